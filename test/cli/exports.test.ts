/** Exports of PyTorch's and Optax's Adamax, with the command. */

import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { edited } from "../checkpoint/adamax-export-edits.js";
import { adamax, emptyFolder } from "./adamax.js";

vi.setConfig({ testTimeout: 60_000 }); // several processes each

const FOLDER = "fixtures/adamax-exports";
const COSINE =
  '{"learning_rate": {"class_name": "CosineDecay", "config": {"initial_learning_rate": 0.05, "decay_steps": 100, "alpha": 0.1}}}';

test("inspect names the library, the steps and the place of epsilon", async () => {
  const { code, printed } = await adamax("inspect", `${FOLDER}/torch-large-epsilon.safetensors`);
  expect(code).toBe(0);
  expect(printed).toMatch(/^torch.optim.Adamax, 7 steps$/m);
  expect(printed).toMatch(/^ {2}epsilon: 0.01$/m);
  expect(printed).toMatch(/epsilon inside/);
  expect(printed).toMatch(/^norm\/first_kernel +\[3, 4\] +float32/m);
  const { arrays, format } = JSON.parse((await adamax("inspect", "--json", `${FOLDER}/optax.npz`)).printed);
  expect({ format, arrays: arrays.length }).toEqual({ format: "export", arrays: 9 });
});

test("metadata that other tools add do not matter", async () => {
  const file = join(emptyFolder(), "model.safetensors");
  writeFileSync(
    file,
    edited(() => {}, { format: "pt" }),
  );
  expect((await adamax("inspect", file)).printed).toMatch(/^torch.optim.Adamax, 7 steps$/m);
});

test("inspect says what will not be carried over", async () => {
  expect((await adamax("inspect", `${FOLDER}/optax-decay-schedule.npz`)).printed).toMatch(/Not carried over: .*a schedule/);
});

test("convert makes a checkpoint, from which only class and norm differ", async () => {
  const to = join(emptyFolder(), "run.safetensors");
  expect(await adamax("convert", `${FOLDER}/torch-large-epsilon.safetensors`, to)).toEqual({
    code: 0,
    printed: "",
    complained: "",
  });
  const { printed } = await adamax("diff", `${FOLDER}/torch-large-epsilon.safetensors`, to);
  const lines = printed.trimEnd().split("\n");
  expect(lines[0]).toBe('optimizer: "torch.optim.Adamax" and "Adamax"');
  expect(lines.slice(1).map((line) => line.replace(/:.*/, ""))).toEqual([
    "norm/first_bias",
    "norm/first_kernel",
    "norm/second_kernel",
  ]);
});

test("convert makes a .weights.h5 file for Keras", async () => {
  const to = join(emptyFolder(), "model.weights.h5");
  expect(await adamax("convert", `${FOLDER}/optax.npz`, to)).toMatchObject({ code: 0 });
  expect((await adamax("inspect", to)).printed).toMatch(/^norm\/first\/kernel +\[3, 4\] +float32/m); // it holds no names
});

test("convert asks for what is not in the export, and takes it, a schedule too", async () => {
  const to = join(emptyFolder(), "run.safetensors");
  const refused = await adamax("convert", `${FOLDER}/optax-decay-schedule.npz`, to);
  expect(refused).toMatchObject({ code: 1 });
  expect(refused.complained).toMatch(/cannot be carried over as it is.*Give learningRate/);
  expect(existsSync(to)).toBe(false);
  expect(await adamax("convert", `${FOLDER}/optax-decay-schedule.npz`, to, "--options", COSINE)).toMatchObject({ code: 0 });
  expect((await adamax("inspect", to)).printed).toMatch(
    /learning_rate: CosineDecay\(initial_learning_rate=0.05, decay_steps=100/,
  );
});
