/** What we use of TensorFlow.js that it does not document is in one list, and what is missing there is noticed before it is used. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { BackendError } from "../../src/errors.js";
import { assertHas, lacking, PRIVATE_MEMBERS } from "../../src/tfjs/core/private-members.js";
import { Adamax } from "../../src/tfjs/index.js";
import { tf, use } from "./backends.js";

test("this TensorFlow.js has all of them", async () => {
  await use("wasm");
  const wasm = tf.backend() as unknown as { wasm: object };
  expect(lacking("engine", tf.engine())).toEqual([]);
  expect(lacking("engineState", tf.engine().state)).toEqual([]);
  expect(lacking("wasmBackend", wasm)).toEqual([]);
  expect(lacking("emscripten", wasm.wasm)).toEqual([]);
  expect(lacking("callbackList", new tf.CallbackList())).toEqual([]);
});

test("no file asks the engine for another one", () => {
  const files = readdirSync("src/tfjs", { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  const asked = files.flatMap((name) => [
    ...readFileSync(join("src/tfjs", name), "utf8").matchAll(/engine\(\)\.(\w+)(?:\.(\w+))?/g),
  ]);
  expect(asked.length).toBeGreaterThan(4);
  const { engine, engineState } = PRIVATE_MEMBERS;
  for (const [, member, next] of asked) {
    expect(engine).toContain(member);
    if (next) expect(engineState).toContain(next);
  }
});

test("one that is missing is named, with the release that lacks it", () => {
  const call = () => assertHas("engineState", { tensors: new Map() });
  expect(call).toThrow(BackendError);
  expect(call).toThrow(`Received: TensorFlow.js ${tf.version_core} without tensorInfo (engineState)`);
});

test("an optimizer that cannot reach the heap of the wasm backend gives the same bits, and why says that values are copied", async () => {
  await use("wasm");
  const run = (optimizer: Adamax) => {
    const w = tf.variable(tf.tensor1d(Array.from({ length: 50 }, (_, i) => i / 25 - 1))); // no linspace on the oldest wasm
    for (let step = 0; step < 3; step++) optimizer.minimize(() => w.square().sum() as tf.Scalar);
    const values = w.dataSync();
    w.dispose();
    return values;
  };
  const options = { learningRate: 0.1, weightDecay: 0.01 };
  using near = new Adamax(options);
  const prototype = Object.getPrototypeOf(tf.backend()) as { typedArrayFromHeap?: unknown };
  const { typedArrayFromHeap } = prototype;
  delete prototype.typedArrayFromHeap;
  using far = new Adamax(options);
  prototype.typedArrayFromHeap = typedArrayFromHeap;
  expect([near.backend.why, far.backend.why]).toEqual([
    expect.stringContaining("in the memory of TensorFlow.js"),
    expect.stringContaining("TensorFlow.js runs on wasm, so values and gradients are copied to main memory in each step"),
  ]);
  expect(run(far)).toEqual(run(near));
});
