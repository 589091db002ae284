/** The trainings of fixtures/adamax-exports.py, gone on with here. */

import { readFileSync } from "node:fs";
import { type AdamaxOptions, type Optimizer, schedules, type Variable } from "adamax";

interface Training {
  readonly name: string;
  readonly rate: { readonly learningRate: number } | { readonly cosine: readonly [number, number, number] };
  readonly scale: number;
  readonly dtype: "float32" | "float64";
  /** The parameters when they were exported, and after each of 20 steps more; base64. */
  readonly states: readonly (readonly string[])[];
}

export const FOLDER = "fixtures/adamax-exports";
const golden = JSON.parse(readFileSync(`${FOLDER}.json`, "utf8")) as {
  readonly steps: number;
  readonly trainings: readonly Training[];
};
export const { steps, trainings } = golden;
export const trainingOf = (file: string): Training => trainings.find(({ name }) => name === file.replace(/\.\w+$/, ""))!;

/** Three parameters, named alike but for PyTorch's "_". */
const ORDER = ["first/kernel", "first/bias", "second/kernel"];
export const inOrder = (variables: readonly Variable[]): Variable[] =>
  ORDER.map((name) => variables.find((one) => one.name.replace("_", "/") === name)!);

export const valuesAt = ({ states, dtype }: Training, k: number): (Float32Array | Float64Array)[] =>
  states[k]!.map((text) => {
    const { buffer, byteOffset, byteLength } = Buffer.from(text, "base64");
    const bytes = buffer.slice(byteOffset, byteOffset + byteLength);
    return dtype === "float32" ? new Float32Array(bytes) : new Float64Array(bytes);
  });

/** What the export does not say. */
export const rateOf = ({ rate }: Training): AdamaxOptions => {
  if ("learningRate" in rate) return {};
  const [initialLearningRate, decaySteps, alpha] = rate.cosine;
  return { learningRate: new schedules.CosineDecay({ initialLearningRate, decaySteps, alpha }) };
};

/** The step `k` of all, with the gradient that the Python script says in words. */
export const step = (optimizer: Optimizer<never>, variables: readonly Variable[], k: number, scale: number): void => {
  optimizer.applyGradients(
    variables.map((variable, v) => [
      variable.value.map((_, i) => (scale * (((7 * i + 3 * v + 5 * k) % 11) - 5)) / 8 / 2 ** Math.floor(k / 2)),
      variable,
    ]),
  );
};
