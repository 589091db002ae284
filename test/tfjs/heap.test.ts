/** The step in the memory of TensorFlow.js' wasm backend. */

import { Adamax as CoreAdamax, Variable } from "adamax";
import { Adamax, type AdamaxOptions } from "adamax/tfjs";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { tf, use } from "./backends.js";
import { wave } from "./models.js";

beforeEach(() => use("wasm"));
afterEach(() => tf.disposeVariables());

interface WasmModule {
  HEAPU8: Uint8Array;
  _malloc(bytes: number): number;
  _free(pointer: number): void;
}
const wasmModule = () => (tf.backend() as tf.KernelBackend & { wasm: WasmModule }).wasm;

/** Takes memory of TensorFlow.js until its heap has to grow, which detaches every view of it. */
const growHeap = (): void => {
  const { buffer } = wasmModule().HEAPU8;
  const taken: tf.Tensor[] = [];
  while (wasmModule().HEAPU8.buffer === buffer) taken.push(tf.zeros([2 ** 22]));
  tf.dispose(taken);
};

const options: AdamaxOptions = { learningRate: 0.1, useEma: true, emaMomentum: 0.5, clipnorm: 1, weightDecay: 0.1 };

test("state survives when the heap grows: before a step, a swap, a save and the end", async () => {
  const w = tf.variable(tf.tensor1d(wave(5000)), true, "w");
  const reference = new Variable(wave(5000));
  const [adamax, core] = [new Adamax(options), new CoreAdamax({ ...options, learningRate: 0.1 } as object)];
  const step = (phase: number) => {
    tf.tidy(() => adamax.applyGradients({ w: tf.tensor1d(wave(5000, phase)) }));
    core.applyGradients([[wave(5000, phase), reference]]);
  };
  step(1);
  growHeap();
  step(2);
  growHeap();
  adamax.swapAverages();
  core.swapAverages();
  expect(w.dataSync()).toEqual(reference.value);
  growHeap();
  adamax.swapAverages();
  core.swapAverages();
  growHeap();
  const saved = (await adamax.getWeights()).slice(1).map(({ tensor }) => tensor.dataSync());
  expect(saved).toEqual(core.variables.slice(1).map(({ value }) => new Float32Array(value as Float32Array)));
  step(3);
  growHeap();
  adamax.finalizeVariableValues();
  core.finalizeVariableValues();
  expect(w.dataSync()).toEqual(reference.value);
}, 20_000);

test("steps take no more of the heap than they give back, and dispose gives back the rest", () => {
  const module = wasmModule();
  const w = tf.tidy(() => tf.variable(tf.tensor1d(wave(5000)))); // without the tidy, the tensor would share the variable's data
  const gradients = [{ name: w.name, tensor: tf.tensor1d(wave(5000, 1)) }];
  const malloc = vi.spyOn(module, "_malloc");
  const free = vi.spyOn(module, "_free");
  const taken = () => malloc.mock.calls.length - free.mock.calls.length;
  const adamax = new Adamax(options);
  adamax.applyGradients(gradients);
  const byState = taken();
  expect(byState).toBeGreaterThan(0);
  for (let i = 0; i < 10; i++) adamax.applyGradients(gradients);
  expect(taken()).toBe(byState);
  adamax.dispose();
  adamax.dispose();
  expect(taken()).toBe(0); // the value that w has now stands where its first one was
  vi.restoreAllMocks();
});

test("a new value is seen by kernels that keep their weights packed", () => {
  const w = tf.tidy(() => tf.variable(tf.ones([4, 4]).as2D(4, 4)));
  const x = tf.ones([2, 4]) as tf.Tensor2D;
  const product = () => tf.tidy(() => tf.matMul(x, w as unknown as tf.Tensor2D).dataSync()[0]!);
  const adamax = new Adamax({ learningRate: 0.1 });
  const before = product();
  adamax.applyGradients([{ name: w.name, tensor: tf.ones([4, 4]) }]);
  expect(product()).toBeCloseTo(before - 0.4, 5);
  adamax.dispose();
});

test("what is left of a disposed variable is not written into memory that others have now", () => {
  const adamax = new Adamax({ ...options, gradientAccumulationSteps: 2 });
  const [gone, kept] = [tf.tidy(() => tf.variable(tf.zeros([5000]))), tf.variable(tf.zeros([2]))];
  adamax.applyGradients([gone, kept].map(({ name, shape }) => ({ name, tensor: tf.ones(shape) })));
  gone.dispose();
  const others = [1, 2, 3].map((phase) => tf.tensor1d(wave(5000, phase))); // where it was, most likely
  adamax.applyGradients([{ name: kept.name, tensor: tf.ones([2]) }]); // applies what it had accumulated
  adamax.swapAverages();
  adamax.swapAverages();
  adamax.finalizeVariableValues();
  for (const [i, other] of others.entries()) expect(other.dataSync()).toEqual(wave(5000, i + 1));
  expect(kept.dataSync()[0]).toBeLessThan(0);
});

test("an optimizer made while the cpu backend ran trains tensors of the wasm backend, and the other way round", async () => {
  const run = async (first: "cpu" | "wasm", second: "cpu" | "wasm") => {
    await use(first);
    const w = tf.variable(tf.tensor1d([1, 2, 3]));
    const adamax = new Adamax(options);
    adamax.applyGradients([{ name: w.name, tensor: tf.tensor1d([1, -1, 2]) }]);
    await use(second);
    adamax.applyGradients([{ name: w.name, tensor: tf.tensor1d([1, 1, 1]) }]);
    w.assign(w.mul(2));
    adamax.applyGradients([{ name: w.name, tensor: tf.tensor1d([0, 1, 1]) }]);
    return [...w.dataSync()];
  };
  const [onCpu, onWasm, away, home] = [
    await run("cpu", "cpu"),
    await run("wasm", "wasm"),
    await run("cpu", "wasm"),
    await run("wasm", "cpu"),
  ];
  expect(onWasm).toEqual(onCpu);
  expect(away).toEqual(onCpu);
  expect(home).toEqual(onCpu);
});

test("with a backend or threads of one's own, or jitCompile: false, the step runs outside of the heap with the same bits", () => {
  const run = (given: AdamaxOptions) => {
    const w = tf.variable(tf.tensor1d(wave(5000)));
    const adamax = new Adamax({ ...options, ...given });
    for (let i = 0; i < 3; i++) adamax.applyGradients([{ name: w.name, tensor: tf.tensor1d(wave(5000, i)) }]);
    return { values: w.dataSync(), why: adamax.backend.why };
  };
  const inHeap = run({});
  expect(inHeap.why).toContain("in the memory of TensorFlow.js");
  for (const given of [
    { backend: "wasm" as const },
    { backend: "interpreter" as const },
    { jitCompile: false },
    { threads: 2 },
  ]) {
    const outside = run(given);
    expect(outside.why).not.toContain("in the memory of TensorFlow.js");
    expect(outside.values).toEqual(inHeap.values);
  }
});

test("a step after tf.removeBackend is refused in words, and the next backend starts anew", async () => {
  const factory = tf.findBackendFactory("wasm");
  tf.variable(tf.tensor1d([1, 2]), true, "w");
  const gradient = () => ({ w: tf.tensor1d([1, 1]) });
  const [near, foreign] = [new Adamax(options), new Adamax({ ...options, backend: "wasm" })];
  for (const adamax of [near, foreign]) adamax.applyGradients(gradient());
  tf.removeBackend("wasm");
  await tf.setBackend("cpu");
  for (const adamax of [near, foreign, new Adamax()])
    expect(() => adamax.applyGradients(gradient())).toThrow(/has no data any more.*whose backend was removed/);
  near.dispose();
  delete tf.engine().registeredVariables.w; // disposing of it would free what is gone
  tf.registerBackend("wasm", factory);
  await use("wasm");
  const again = tf.variable(tf.tensor1d([1, 2]), true, "again");
  new Adamax({ learningRate: 0.5 }).applyGradients({ again: tf.tensor1d([1, 1]) });
  expect(again.dataSync()[1]).toBeCloseTo(1.5);
});
