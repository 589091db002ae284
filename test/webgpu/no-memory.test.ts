/** A device that has no memory left, at each moment at which something is asked of it: the error says how much was asked for, what follows says so too, others
 *  go on, and so does everything once there is memory again. */

import { Adamax, IndexedSlices, Variable } from "adamax";
import { WebGpuBackend, type WebGpuOptions } from "adamax/webgpu";
import { expect, onTestFinished, test } from "vitest";
import { read, rejected, thrown, variable } from "../semantics/helpers.js";
import { gpu } from "./helpers.js";

const LENGTH = 100_000;
const large = () => new Variable(new Float32Array(LENGTH).fill(1), { name: "large" });
const ones = () => new Float32Array(LENGTH).fill(1);
const everyRow = () =>
  new IndexedSlices(
    ones(),
    Array.from({ length: LENGTH }, (_, row) => row),
  );

/** A backend on a device that gives out no buffer of more than `most` bytes, as a device does that has no memory: with an error of that kind, and a buffer
 *  that is none. `refused`: errors that nobody has waited for. */
const poorBackend = async (options: WebGpuOptions = {}) => {
  const backend = await WebGpuBackend.create({ gpu, ...options });
  const { device } = backend;
  const poor = { backend, most: Number.POSITIVE_INFINITY, refused: [] as string[] };
  const { createBuffer, pushErrorScope, popErrorScope } = device;
  const scopes: { filter: GPUErrorFilter; error: { message: string } | null }[] = [];
  device.pushErrorScope = (filter) => {
    scopes.push({ filter, error: null });
    pushErrorScope.call(device, filter);
  };
  device.popErrorScope = async () => {
    const { error } = scopes.pop()!;
    const popped = await popErrorScope.call(device);
    return (error as GPUError | null) ?? popped;
  };
  device.createBuffer = (descriptor) => {
    if (descriptor.size <= poor.most) return createBuffer.call(device, descriptor);
    pushErrorScope.call(device, "validation");
    const buffer = createBuffer.call(device, { ...descriptor, size: 2 ** 50 });
    void popErrorScope.call(device);
    Object.defineProperty(buffer, "size", { value: descriptor.size });
    const scope = scopes.findLast(({ filter }) => filter === "out-of-memory");
    if (scope) scope.error = { message: "no memory left" };
    else poor.refused.push(`${descriptor.label}`);
    return buffer;
  };
  device.addEventListener("uncapturederror", ({ error }) => poor.refused.push(error.message));
  onTestFinished(() => {
    backend.dispose();
    expect(poor.refused).toEqual([]);
  });
  return poor;
};

const NO_MEMORY = /The GPU has no memory for .*a request for \d+ bytes, beside \d+ in use \(no memory left\)/;

/** What is trained meanwhile and after by another optimizer. */
const expectOthersGoOn = async (backend: WebGpuBackend) => {
  const other = new Adamax({ backend, learningRate: 1 });
  const v = variable([1, 1]);
  other.applyGradients([[Float32Array.of(3, -3), v]]);
  other.dispose();
  expect((await read(v)).map(Math.round)).toEqual([0, 2]);
};

test("in the first step, which builds: the calls that follow say so, nothing is held, and the value comes back", async () => {
  const poor = await poorBackend();
  poor.most = 10_000;
  const { backend } = poor;
  const optimizer = new Adamax({ backend, clipnorm: 1 });
  const w = large();
  optimizer.applyGradients([[ones(), w]]);
  expect((await rejected(w.read())).message).toMatch(NO_MEMORY);
  expect(thrown(() => optimizer.applyGradients([[ones(), w]])).message).toMatch(NO_MEMORY);
  await expectOthersGoOn(backend);
  optimizer.dispose();
  expect(await read(w)).toEqual([...ones()]);
  expect(backend.memory).toEqual({ buffers: 0, bytes: 0 });
  poor.most = Number.POSITIVE_INFINITY;
  using again = new Adamax({ backend, learningRate: 1 });
  again.applyGradients([[ones(), w]]);
  expect(Math.round((await w.read())[7]!)).toBe(0);
});

test.each<[string, WebGpuOptions, () => Float32Array | IndexedSlices]>([
  ["a gradient", {}, ones],
  ["rows of a gradient", {}, everyRow],
  ["rows of a gradient, in bfloat16", { stateDtype: "bfloat16" }, everyRow],
])("for %s alone: the step is not made, the next call says so, and the optimizer goes on as it was", async (_, options, give) => {
  const poor = await poorBackend(options);
  const { backend } = poor;
  const [optimizer, whole] = [new Adamax({ backend, learningRate: 1 }), new Adamax({ backend, learningRate: 1 })];
  const [w, v] = [large(), large()];
  const small = variable([1], "small");
  const first = new IndexedSlices(Float32Array.of(1), [3]);
  optimizer.build([w]);
  whole.applyGradients([[first, v]]);
  optimizer.extend([small]);
  await w.read();
  await small.read();
  const after = (await v.read()).slice(0, 10);
  poor.most = 10_000;
  optimizer.applyGradients([[give(), w]]);
  poor.most = Number.POSITIVE_INFINITY;
  expect((await rejected(optimizer.download())).message).toMatch(NO_MEMORY);
  await expectOthersGoOn(backend);
  expect(optimizer.iterations).toBe(0);
  expect(optimizer.applyGradients([[first, w]])).toBe(1);
  expect((await w.read()).slice(0, 10)).toEqual(after);
});

test("for the tables of a step: it is not made, the next call says so, and the optimizer goes on as it was", async () => {
  const poor = await poorBackend();
  const { backend } = poor;
  const optimizer = new Adamax({ backend, clipnorm: 1 });
  const variables = Array.from({ length: 300 }, (_, i) => variable([i], `${i}`));
  optimizer.applyGradients([[Float32Array.of(1), variables[0]!]]);
  optimizer.extend(variables.slice(1));
  const pairs = variables.map((one) => [Float32Array.of(1), one] as const);
  const before = await read(variables[7]!);
  const { createBuffer } = backend.device;
  backend.device.createBuffer = (descriptor) => {
    poor.most = /table|totals|slots/.test(`${descriptor.label}`) ? 0 : 2 ** 30;
    return createBuffer.call(backend.device, descriptor);
  };
  optimizer.applyGradients(pairs);
  expect((await rejected(optimizer.download())).message).toMatch(NO_MEMORY);
  expect(await read(variables[7]!)).toEqual(before);
  backend.device.createBuffer = createBuffer;
  poor.most = Number.POSITIVE_INFINITY;
  expect(optimizer.applyGradients(pairs)).toBe(2);
  expect(await read(variables[7]!)).not.toEqual(before);
});

test("for several steps, or a micro-batch: what was saved goes on", async () => {
  for (const microBatches of [1, 2]) {
    const poor = await poorBackend();
    const options = microBatches > 1 ? { gradientAccumulationSteps: microBatches } : {};
    const optimizer = new Adamax({ backend: poor.backend, ...options });
    const w = large();
    optimizer.build([w]);
    await optimizer.download();
    const saved = structuredClone(optimizer.saveOwnVariables());
    poor.most = 10_000;
    for (let step = 0; step < 3 - microBatches; step++) optimizer.applyGradients([[ones(), w]]);
    poor.most = Number.POSITIVE_INFINITY;
    expect(await rejected(optimizer.download())).toBeInstanceOf(Error);
    expect(thrown(() => optimizer.applyGradients([[ones(), w]])).message).toMatch(/neither old nor new/);
    optimizer.loadOwnVariables(saved);
    expect(await read(w)).toEqual([...ones()]);
    for (let step = 0; step < microBatches; step++) optimizer.applyGradients([[ones(), w]]);
    expect([optimizer.iterations, (await w.read())[0]! < 1]).toEqual([1, true]);
  }
});

test("for a copy to read, or to write halves of words: that call says so, and later ones work", async () => {
  const poor = await poorBackend({ stateDtype: "bfloat16" });
  const { backend } = poor;
  const optimizer = new Adamax({ backend });
  const w = large();
  optimizer.applyGradients([[ones(), w]]);
  await optimizer.download();
  const saved = structuredClone(optimizer.saveOwnVariables());
  const value = await w.read();
  poor.most = 10_000;
  const message = /cannot be read from. Received: no memory left. Free memory of the GPU/;
  expect((await rejected(w.read())).message).toMatch(message);
  optimizer.applyGradients([[ones(), w]]);
  expect((await rejected(optimizer.download())).message).toMatch(message);
  optimizer.loadOwnVariables(saved);
  poor.most = Number.POSITIVE_INFINITY;
  expect((await rejected(optimizer.download())).message).toMatch(NO_MEMORY);
  await expectOthersGoOn(backend);
  optimizer.loadOwnVariables(saved);
  await optimizer.download();
  expect(optimizer.saveOwnVariables()).toEqual(saved);
  expect(await w.read()).not.toEqual(value); // of the second step, which was made
});

test("for float16 copies: the build is as if it had not been asked for, and there is no copy", async () => {
  const poor = await poorBackend({ float16Copies: true });
  poor.most = 300_000; // a value takes 400,000
  const { backend } = poor;
  const optimizer = new Adamax({ backend });
  const w = large();
  optimizer.build([w]);
  expect((await rejected(optimizer.download())).message).toMatch(NO_MEMORY);
  expect(await read(w)).toEqual([...ones()]);
  expect(thrown(() => backend.float16(w)).message).toMatch(/No float16 copy/);
  expect([w.owner, backend.memory.buffers]).toEqual([null, 0]);
});
