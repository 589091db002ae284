/** Checkpoints of far memory: streamed out of it and into it, with the bytes of near memory. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Adamax, type Backend, BackendError, CheckpointError, InterpreterBackend, type Variable } from "adamax";
import { checkpointBlob, loadCheckpoint, type OnProgress, saveCheckpoint } from "adamax/checkpoint";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { folder } from "../checkpoint/helpers.js";
import { type Shapes, train } from "../checkpoint/steps.js";
import { everything, expectToGoOn, trained } from "../far-memory.js";
import { rejected, thrown } from "../semantics/helpers.js";
import { FarBackend } from "./backend.js";

const far = new FarBackend("wasm");
afterAll(() => far.dispose());

/** So large that a checkpoint has several pieces. */
const SHAPES: Shapes = { kernel: { shape: [400, 1000] }, bias: { shape: [1000], dtype: "float64" } };

test("the file of far memory is that of near memory, byte for byte", async () => {
  const [here, there] = [trained(new InterpreterBackend(), 3, SHAPES), trained(far, 3, SHAPES)];
  const bytes = async ({ optimizer }: typeof here) => Buffer.from(await (await checkpointBlob({ optimizer })).arrayBuffer());
  expect((await bytes(there)).equals(await bytes(here))).toBe(true);
});

test.each<[string, () => Backend, () => Backend]>([
  ["far to far", () => far, () => far],
  ["far to near", () => far, () => new InterpreterBackend()],
  ["near to far", () => new InterpreterBackend(), () => far],
])("a training goes on with the same bits from memory that is %s, in the middle of a window", async (_, from, to) => {
  await expectToGoOn(from(), to(), SHAPES, 6);
});

describe("while a checkpoint is being saved", () => {
  test.each<[string, (optimizer: Adamax, variables: readonly Variable[]) => unknown]>([
    ["a step", (optimizer, variables) => train(optimizer, variables, 1, 2)],
    ["finalizing", (optimizer) => optimizer.finalizeVariableValues()],
    ["a value that is written", (_, [w]) => w!.write(new Float32Array(w!.length))],
    [
      "loading",
      (optimizer) =>
        optimizer.setWeights(optimizer.variables.map(({ shape }) => new Float32Array(shape.reduce((a, b) => a * b, 1)))),
    ],
  ])("%s, from onProgress or from outside, makes the saving fail, and the old file stays", async (_, change) => {
    const file = join(folder(), "model.safetensors");
    const { optimizer, variables } = trained(far, 1, SHAPES);
    await saveCheckpoint(file, { optimizer });
    const before = readFileSync(file);
    let told = 0;
    const onProgress = () => {
      if (++told === 1) change(optimizer, variables);
    };
    const error = await rejected(saveCheckpoint(file, { optimizer, onProgress }));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toMatch(/changed while they were being saved/);
    const saving = saveCheckpoint(file, { optimizer });
    change(optimizer, variables);
    expect((await rejected(saving)).message).toMatch(/changed while they were being saved/);
    expect(readFileSync(file).equals(before)).toBe(true);
  });
});

test("while one is being loaded, no step is made; what was downloaded before is not taken for what was loaded", async () => {
  const blob = await checkpointBlob({ optimizer: trained(far, 3, SHAPES).optimizer });
  const { optimizer, variables } = trained(far, 1, SHAPES);
  await optimizer.download();
  let isChecked = false; // it is read twice: first to be checked, then to be loaded
  const refusals: string[] = [];
  const onProgress: OnProgress = ({ bytes, total }) => {
    if (isChecked) refusals.push(thrown(() => train(optimizer, variables, 1, 2)).message);
    isChecked ||= bytes === total;
  };
  await loadCheckpoint(blob, { optimizer, onProgress });
  expect(refusals.length).toBeGreaterThan(1);
  for (const refusal of refusals) expect(refusal).toMatch(/A checkpoint is being loaded.*Await loadCheckpoint/);
  expect(optimizer.iterations).toBe(1);
  expect(thrown(() => optimizer.variables[1]!.value).message).toMatch(/Await optimizer.download\(\) first/);
});

test("loading mends what a step left that broke off over there, also where that becomes known in its middle", async () => {
  const own = new FarBackend("wasm");
  onTestFinished(() => own.dispose());
  const [{ optimizer, variables }, other] = [trained(own, 3, SHAPES), trained(new InterpreterBackend(), 6, SHAPES)];
  const blob = await checkpointBlob({ optimizer });
  let isChecked = false;
  const refusals: string[] = [];
  const onProgress: OnProgress = ({ bytes, total }) => {
    if (isChecked) refusals.push(thrown(() => optimizer.loadOwnVariables({})).message);
    else if (bytes === total) {
      isChecked = true;
      own.breakAfter(0, "the device is gone");
      train(optimizer, variables, 3, 4); // the last that is done before the optimizer is held
    }
  };
  await loadCheckpoint(blob, { optimizer, onProgress });
  expect(refusals).toEqual(refusals.map(() => expect.stringMatching(/A checkpoint is being loaded/)));
  train(optimizer, variables, 3, 6);
  expect((await everything(optimizer, variables)).equals(await everything(other.optimizer, other.variables))).toBe(true);
});

test("where the other thread dies in the middle of loading, the error says so, and nothing is done with what it left", async () => {
  const blob = await checkpointBlob({ optimizer: trained(far, 3, SHAPES).optimizer });
  const own = new FarBackend("wasm");
  const { optimizer, variables } = trained(own, 1, SHAPES);
  let isChecked = false;
  const onProgress: OnProgress = ({ bytes, total }) => {
    if (isChecked && bytes < total) own.die();
    isChecked ||= bytes === total;
  };
  const loading = loadCheckpoint(blob, { optimizer, onProgress });
  expect((await rejected(loading)).message).toMatch(/Loading .* broke off.*Received: The thread that held the memory is gone/);
  const error = thrown(() => train(optimizer, variables, 1, 2));
  expect(error).toBeInstanceOf(BackendError);
  expect(error.message).toMatch(/neither old nor new.*is gone/);
});
