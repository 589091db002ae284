/** Variables that another optimizer trains, saved and loaded beside one's own: what that one does with them counts as well. */

import { mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Adamax, type AdamaxOptions, CheckpointError, OptionError, Variable } from "adamax";
import { checkpointBlob, kerasWeights, loadCheckpoint, saveCheckpoint } from "adamax/checkpoint";
import { expect, test } from "vitest";
import { rejection } from "./helpers.js";

/** A variable, its optimizer, and one step of it. */
const player = (name: string, elements = 1, options: AdamaxOptions = {}) => {
  const variable = new Variable(new Float32Array(elements).fill(5), { name });
  const optimizer = new Adamax({ learningRate: 1, beta1: 0, epsilon: 0, ...options }); // a step is one down;
  const step = () => optimizer.applyGradients([[new Float32Array(elements).fill(1), variable]]);
  step();
  return { variable, optimizer, step };
};

/** Of which the checkpoints are, and who else trains. */
const two = (elements = 1, options: AdamaxOptions = {}) => ({ own: player("own"), other: player("other", elements, options) });

test("its averages are not saved as values", async () => {
  const { own, other } = two(1, { useEma: true });
  other.optimizer.swapAverages();
  const saving = checkpointBlob({ optimizer: own.optimizer, variables: [other.variable] });
  expect((await rejection(saving)).message).toContain("The variables hold their averages");
  expect(() => kerasWeights({ variables: [other.variable] })).toThrow("The variables hold their averages");
  other.optimizer.swapAverages();
  const model = kerasWeights({ variables: [other.variable] });
  other.optimizer.swapAverages();
  expect(() => model.with({ variables: [other.variable] })).toThrow("The variables hold their averages");
});

test("values are not loaded into its averages", async () => {
  const { own, other } = two(1, { useEma: true });
  const blob = await checkpointBlob({ optimizer: own.optimizer, variables: [other.variable] });
  other.step();
  other.optimizer.swapAverages();
  const loading = () => loadCheckpoint(blob, { optimizer: own.optimizer, variables: [other.variable] });
  expect(await rejection(loading())).toBeInstanceOf(OptionError);
  other.optimizer.swapAverages();
  await loading();
  expect(other.variable.value[0]).toBe(4);
});

test("a step of it while they are saved is an error, and no file is left", async () => {
  const { own, other } = two(3_000_000);
  const folder = mkdtempSync(join(tmpdir(), "adamax-"));
  const saving = saveCheckpoint(join(folder, "two.safetensors"), {
    optimizer: own.optimizer,
    variables: [other.variable],
    onProgress: ({ bytes, total }) => void (bytes < total && other.step()),
  });
  expect((await rejection(saving)).message).toContain("changed while they were being saved");
  expect(readdirSync(folder)).toEqual([]);
});

test("while they are loaded it makes no step, and afterwards it goes on", async () => {
  const { own, other } = two(3_000_000);
  const blob = await checkpointBlob({ optimizer: own.optimizer, variables: [other.variable] });
  const refusals: string[] = [];
  let isChecked = false;
  await loadCheckpoint(blob, {
    optimizer: own.optimizer,
    variables: [other.variable],
    onProgress({ bytes, total }) {
      if (isChecked)
        try {
          other.step();
        } catch (error) {
          refusals.push((error as Error).message);
        }
      isChecked ||= bytes === total;
    },
  });
  expect(refusals.length).toBeGreaterThan(0);
  for (const message of refusals) expect(message).toContain("A checkpoint is being loaded");
  expect(new Set(other.variable.value)).toEqual(new Set([4]));
  other.step();
  expect(new Set(other.variable.value)).toEqual(new Set([3]));
});

test("where loading breaks off it is broken, too: its values may be torn", async () => {
  const { own, other } = two();
  const blob = await checkpointBlob({ optimizer: own.optimizer, variables: [other.variable] });
  let reports = 0;
  const loading = loadCheckpoint(blob, {
    optimizer: own.optimizer,
    variables: [other.variable],
    onProgress({ bytes, total }) {
      if (bytes === total && ++reports === 2) throw new Error("no more");
    },
  });
  expect((await rejection(loading)).message).toContain("no more");
  expect(other.step).toThrow("neither old nor new");
  expect(own.step).toThrow("neither old nor new");
});

test("an optimizer whose variables are only here is left alone", async () => {
  const { own, other } = two(1, { useEma: true });
  const blob = await checkpointBlob({ optimizer: own.optimizer });
  other.optimizer.swapAverages();
  await loadCheckpoint(blob, { optimizer: own.optimizer, variables: [other.variable], onlyHere: ["other"] });
  other.optimizer.swapAverages();
  expect(other.variable.value[0]).toBe(4);
});

test("files of Keras: what is gone through once is not lost, and what is not of the model is refused", () => {
  const value = Float32Array.of(1, 2, 3, 4, 5, 6);
  const kernel = (shape: number[], name = "dense/kernel") => new Variable(value.slice(), { name, shape });
  const model = kerasWeights({ variables: [kernel([2, 3])].values() });
  expect(model.variables.map(({ name }) => name)).toEqual(["dense/kernel"]);
  expect(() => kerasWeights({ variables: [] })).toThrow(CheckpointError);

  expect(() => model.with({ variables: [kernel([3, 2])] })).toThrow("has the shape [2,3] there, and [3,2] here");
  const optimizer = new Adamax();
  optimizer.build([kernel([3, 2])]);
  expect(() => model.with({ optimizer })).toThrow("has the shape [2,3] there, and [3,2] here");
  const large = Float64Array.of(1e39, Infinity, 0, 0, 0, 0);
  expect(() => model.with({ variables: [{ name: "dense/kernel", value: large }] })).toThrow("Received: 1e+39. Scale them.");
  large[0] = 1e38;
  expect(model.with({ variables: [{ name: "dense/kernel", value: large }] }).variables[0]!.value[1]).toBe(Infinity);
});

test("files of Keras: values are not passed over for those of the optimizer", () => {
  const { variable, optimizer } = player("dense/kernel", 2);
  const model = kerasWeights({ variables: [variable], optimizer });
  const value = Float32Array.of(1, 2);
  expect(() => model.with({ variables: [{ name: "dense/kernel", value }], optimizer })).toThrow("The optimizer has other values");
  value.set(variable.value);
  expect(model.with({ variables: [{ name: "dense/kernel", value }], optimizer }).variables[0]!.value).toEqual(value);
  value.fill(7);
  expect(model.with({ variables: [{ name: "dense/kernel", value }] }).variables[0]!.value).toEqual(value);
});
