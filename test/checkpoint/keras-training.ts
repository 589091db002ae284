/** The trainings of fixtures/keras-files.py, gone on with here. */

import { readFileSync } from "node:fs";
import { Adamax, type AdamaxOptions, type Optimizer, schedules, type Variable } from "../../dist/index.js";

export interface Training {
  readonly name: string;
  readonly files: readonly string[];
  readonly variables: readonly { name: string; shape: number[]; trainable: boolean }[];
  /** The variables' values when the files were saved. */
  readonly saved: readonly string[];
  /** The trained variables' values after so many more steps in Python. */
  readonly after?: Readonly<Record<string, readonly string[]>>;
}

export const FOLDER = "fixtures/keras-files";
const golden = JSON.parse(readFileSync("fixtures/keras-files.json", "utf8")) as { calls: number; trainings: Training[] };
export const { calls, trainings } = golden;
/** Those whose course in Python is known, with each of their files. */
export const continued = trainings.flatMap((training) =>
  training.after ? training.files.map((file) => [file, training] as const) : [],
);

/** float32 free running against TensorFlow. Without clipping and averages not a bit differs. TensorFlow's float32 power in the cosine, norms in
 *  float32 and averages differ by an ulp or so in each step, and add up over 40. Legacy Adamax is a kernel of its own, which divides by the bias
 *  correction first; what a step is off by stays when a weight shrinks. */
export const ULPS: Readonly<Record<string, number>> = {
  "keras-average": 16,
  "keras-accumulate": 8,
  "tf_keras-average": 8,
  "tf_keras-legacy": 8,
};

export const decode = (text: string): Float32Array => {
  const bytes = Buffer.from(text, "base64");
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
};

/** A .weights.h5 file holds no configuration: this is how the Python script made its optimizer. */
export const optionsOf = (name: string): AdamaxOptions => {
  const learningRate = new schedules.CosineDecay({ initialLearningRate: 0.1, decaySteps: 100, alpha: 0.1 });
  const average = {
    learningRate,
    weightDecay: 0.01,
    globalClipnorm: 1,
    useEma: true,
    emaMomentum: 0.9,
    emaOverwriteFrequency: 6,
  };
  return name === "keras-average" ? average : { learningRate: 0.01 };
};
export const givenFor = (file: string, { name }: Training): Adamax | AdamaxOptions =>
  file.endsWith(".weights.h5") ? new Adamax(optionsOf(name)) : {};

/** Models of several files: fixtures/keras-folders.py. */
export const FOLDERS = "fixtures/keras-folders";
export const folders = JSON.parse(readFileSync("fixtures/keras-folders.json", "utf8")) as {
  calls: number;
  trainings: Training[];
};

/** Where a model of several files begins. */
export const beginningOf = (name: string): string => {
  if (/-(saved|exported)$/.test(name)) return `${FOLDERS}/${name}`;
  return `${FOLDERS}/${name}/${name.endsWith("-shards") ? "model.weights.json" : "model.index"}`;
};

/** How the Python script made the optimizers whose files do not say it. */
const average = {
  learningRate: new schedules.CosineDecay({ initialLearningRate: 0.1, decaySteps: 100, alpha: 0.1 }),
  useEma: true,
};
const MADE: Readonly<Record<string, AdamaxOptions>> = {
  "average-weights": { ...average, weightDecay: 0.004, clipvalue: 0.5, emaMomentum: 0.9, emaOverwriteFrequency: 6 },
  "keras-checkpoint": { learningRate: 0.01, useEma: true, emaMomentum: 0.9 },
  "keras-accumulate": { learningRate: 0.01, gradientAccumulationSteps: 3 },
};

/** What `restore` is given for a model of several files, with these options besides. */
export const givenForFolder = (name: string, more: AdamaxOptions = {}): Adamax | AdamaxOptions => {
  if (name.endsWith("-saved")) return more;
  // A legacy optimizer keeps its numbers in the checkpoint, all but epsilon, and no schedule.
  return name.startsWith("legacy")
    ? { epsilon: 1e-7, ...(name.includes("cosine") ? { learningRate: average.learningRate } : {}), ...more }
    : new Adamax({ ...(MADE[name] ?? { learningRate: 0.01 }), ...more });
};

const f = Math.fround;

/** The gradient that the Python script says in words: element i of trained variable v. */
const gradientOf = (w: Float32Array, v: number): Float32Array =>
  w.map((value, i) => f(f(value - (((7 * i + 3 * v) % 11) - 5) / 8) * 0.5));

/** Goes on for `steps` with `variables`, in the order of the Python script. Where the optimizer divides gradients by a loss scale, they are given multiplied by it, as a scaled loss gives them. */
export const train = (
  optimizer: Optimizer<never>,
  steps: number,
  afterStep: (step: number, variables: readonly Variable[]) => void = () => {},
  variables: readonly Variable[] = optimizer.trainableVariables,
): void => {
  const scale = optimizer.settings.lossScaleFactor ?? 1;
  for (let step = 1; step <= steps; step++) {
    optimizer.applyGradients(
      variables.map((one, v) => [gradientOf(one.value as Float32Array, v).map((value) => value * scale), one]),
    );
    afterStep(step, variables);
  }
};

/** The largest error, in ulps of the largest operand: the weight, or what a step can move it by. */
export const ulpsBetween = (actual: ArrayLike<number>, expected: Float32Array, learningRate: number): number =>
  expected.reduce((worst, value, i) => {
    const operand = Math.max(Math.abs(value), learningRate);
    return Math.max(worst, Math.abs(actual[i]! - value) / 2 ** (Math.floor(Math.log2(operand)) - 23));
  }, 0);
