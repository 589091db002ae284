/** What the doors of the backend refuse in words, and what they take that looks odd. */

import { Adamax, IndexedSlices, ShapeError, Variable } from "adamax";
import { WebGpuBackend } from "adamax/webgpu";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { USAGE } from "../../src/backends/webgpu/usage.js";
import { f32, read, rejected, stateOf, thrown, variable } from "../semantics/helpers.js";
import { gpu } from "./helpers.js";

const { storage, copySource, copyTarget } = USAGE;
const backend = await WebGpuBackend.create({ gpu, float16Copies: true });
const other = await WebGpuBackend.create({ gpu });
afterAll(() => {
  backend.dispose();
  other.dispose();
});

const bufferOf = (bytes = 64, device = backend.device, usage: number = storage | copySource | copyTarget): GPUBuffer => {
  const buffer = device.createBuffer({ size: bytes, usage });
  onTestFinished(() => buffer.destroy());
  return buffer;
};

test.each<[string, unknown]>([
  ["an empty object", {}],
  ["what has a queue", { queue: {}, limits: {} }],
  ["an adapter", await gpu.requestAdapter()],
])("%s is no device", async (_, device) => {
  const error = await rejected(WebGpuBackend.create({ device: device as GPUDevice }));
  expect(error.message).toMatch(/device of WebGpuBackend.create must be a GPUDevice. Received: device=an object/);
});

test("a device or a GPU in the place of options is not passed over", async () => {
  for (const given of [backend.device, gpu])
    expect((await rejected(WebGpuBackend.create(given as never))).message).toMatch(
      /takes one object of options. Received: an object \(GPU.*Pass \{ device \}, or \{ gpu \}/,
    );
});

test("what is read of variables that have just been built is there, also where the backend is disposed meanwhile", async () => {
  const own = await WebGpuBackend.create({ gpu });
  const optimizer = new Adamax({ backend: own, learningRate: 1 });
  const w = variable([1, 2]);
  optimizer.applyGradients([[f32(1, -1), w]]);
  const reading = read(w);
  own.dispose();
  expect((await reading).map(Math.round)).toEqual([0, 3]);
  expect(own.memory).toEqual({ buffers: 0, bytes: 0 });
});

test.each(["at once", "a moment later"])("a device that is lost %s after a build: reading says so, in words", async (when) => {
  const own = await WebGpuBackend.create({ gpu });
  const optimizer = new Adamax({ backend: own });
  const w = variable([1, 2]);
  optimizer.build([w]);
  if (when !== "at once") await read(w);
  const reading = Promise.all([rejected(w.read()), rejected(optimizer.download())]);
  own.device.destroy();
  for (const error of await reading) expect(error.message).toMatch(/The GPU device is lost/);
});

test("a device that is lost already gives no backend, and says so", async () => {
  const device = await (await gpu.requestAdapter())!.requestDevice();
  device.destroy();
  expect((await rejected(WebGpuBackend.create({ device }))).message).toMatch(/The GPU device is lost.*destroyed/);
});

test.each<[string, (buffer: GPUBuffer) => unknown, RegExp]>([
  ["nothing", () => undefined, /WebGpuBackend.variable takes one object of options. Received: undefined/],
  ["null", () => null, /takes one object of options. Received: null/],
  [
    "a name that is misspelt",
    (buffer) => ({ buffer, shape: [2], ofset: 4 }),
    /no such option. Received: ofset=4. Did you mean offset/,
  ],
  ["a dtype", (buffer) => ({ buffer, shape: [2], dtype: "float16" }), /no such option. Received: dtype="float16"/],
  ["a constraint", (buffer) => ({ buffer, shape: [2], constraint: () => {} }), /no such option. Received: constraint=/],
  ["no buffer", () => ({ shape: [2] }), /must be in a GPUBuffer. Received: null/],
  ["a shape that is none", (buffer) => ({ buffer, shape: [1.5] }), /must be a list of sizes. Received: \[1.5\]/],
  ["a bigint", (buffer) => ({ buffer, shape: [2], offset: 4n }), /must begin at a multiple of 4 bytes. Received: offset 4n/],
  ["a text", (buffer) => ({ buffer, shape: [2], offset: "4" }), /must begin at a multiple of 4 bytes. Received: offset "4"/],
])("a variable of a buffer and %s is refused", (_, give, message) => {
  expect(thrown(() => backend.variable(give(bufferOf()) as never)).message).toMatch(message);
});

test.each<[string, (buffer: GPUBuffer) => unknown, RegExp]>([
  ["a name that is misspelt", (buffer) => ({ buffer, ofset: 4 }), /no such property. Received: ofset=4. Did you mean offset/],
  [
    "another name",
    (buffer) => ({ buffer, values: 4 }),
    /no such property. Received: values=4. It takes buffer, offset, dtype, size/,
  ],
  ["a bigint", (buffer) => ({ buffer, offset: 4n }), /multiple of 4 bytes. Received: offset 4n/],
  ["a text", (buffer) => ({ buffer, offset: "4" }), /multiple of 4 bytes. Received: offset "4"/],
  [
    "a size that is less",
    (buffer) => ({ buffer, offset: 8, size: 4 }),
    /must be 2 float32 numbers, 8 bytes.*of which size names 4/,
  ],
])("a gradient in a buffer with %s is refused, and nothing has changed", async (_, give, message) => {
  using optimizer = new Adamax({ backend });
  const w = variable([1, 2]);
  optimizer.applyGradients([[f32(1, 1), w]]);
  const before = [...(await stateOf(optimizer)), await read(w)];
  const error = thrown(() => optimizer.applyGradients([[give(bufferOf()) as never, w]]));
  expect(error).toBeInstanceOf(ShapeError);
  expect(error.message).toMatch(message);
  expect([...(await stateOf(optimizer)), await read(w)]).toEqual(before);
});

test("where a value is, that can be bound, is a gradient too: size says as much as it takes, or more", async () => {
  using optimizer = new Adamax({ backend: other, learningRate: 1 });
  const [v, w] = [variable([1, -1], "v"), variable([0, 0], "w")];
  optimizer.build([v, w]);
  optimizer.applyGradients([[v.buffer, w]]);
  expect((await read(w)).map(Math.round)).toEqual([-1, 1]);
  optimizer.applyGradients([[{ ...v.buffer, size: 256 }, w]]);
  expect((await read(w)).map(Math.round)).toEqual([-2, 2]);
});

test.each([
  [9, 2, "float32"],
  [11, 2, "float32"],
  [6, 2, "float16"],
  [10, 4, "float16"],
] as const)("a buffer of %i bytes holds a gradient of %i %ss", async (bytes, length, dtype) => {
  using optimizer = new Adamax({ backend: other, learningRate: 1 });
  const w = variable(new Array(length).fill(1));
  optimizer.build([w]);
  optimizer.applyGradients([[{ buffer: bufferOf(bytes, other.device), dtype }, w]]);
  await optimizer.download();
  expect(await read(w)).toEqual(new Array(length).fill(1));
});

test("but not where its last element is in half a word", () => {
  const message = /ends in half a word.*Received: a buffer of 10 bytes. Make it of a multiple of 4/;
  using optimizer = new Adamax({ backend: other });
  const gradient = { buffer: bufferOf(10, other.device), dtype: "float16" } as const;
  expect(thrown(() => optimizer.applyGradients([[gradient, variable([1, 2, 3, 4, 5])]])).message).toMatch(message);
});

test("a mistake of the caller's on backend.device is told once, by the next step, and all goes on", async () => {
  const own = await WebGpuBackend.create({ gpu });
  onTestFinished(() => own.dispose());
  const optimizer = new Adamax({ backend: own, learningRate: 1 });
  const w = variable([3]);
  optimizer.applyGradients([[f32(1), w]]);
  await read(w);
  const refused = new Promise((resolve) => own.device.addEventListener("uncapturederror", resolve, { once: true }));
  own.device.createBuffer({ size: 2 ** 50, usage: storage });
  await own.device.queue.onSubmittedWorkDone();
  await refused;
  expect((await read(w)).map(Math.round)).toEqual([2]);
  await optimizer.download();
  const message =
    /refused a command that nobody watched: one of yours on backend.device.*WebGPU on.*If it is yours, correct it, and go on/;
  expect(thrown(() => optimizer.applyGradients([[f32(1), w]])).message).toMatch(message);
  expect(optimizer.applyGradients([[f32(1), w]])).toBe(2);
  expect((await read(w)).map(Math.round)).toEqual([1]);
});

/** Memory that threads share, and memory that may grow: WebGPU takes neither by itself. */
describe.each<[string, (bytes: number) => ArrayBufferLike]>([
  ["shared", (bytes) => new SharedArrayBuffer(bytes)],
  [
    "resizable",
    (bytes) => new (ArrayBuffer as new (bytes: number, options: object) => ArrayBuffer)(bytes, { maxByteLength: 2 * bytes }),
  ],
])("arrays in %s memory", (_, make) => {
  const of = (values: Float32Array): Float32Array => {
    const array = new Float32Array(make(values.byteLength) as ArrayBuffer);
    array.set(values);
    return array;
  };

  test.each([3, 40_000])("of %i elements are values, gradients, rows of them, and what is written", async (length) => {
    const trained = async (own: (values: Float32Array) => Float32Array) => {
      using optimizer = new Adamax({ backend: other, learningRate: 0.1 });
      const w = new Variable(own(new Float32Array(length).fill(2)), { name: "w" });
      optimizer.applyGradients([[own(new Float32Array(length).fill(3)), w]]);
      optimizer.applyGradients([[new IndexedSlices(own(f32(1, 2)), [2, 2]), w]]);
      const before = await w.read();
      await w.write(own(before.map((x) => x + 1)));
      return [before, await w.read()];
    };
    expect(await trained(of)).toEqual(await trained((values) => values));
  });
});

describe("a variable in a buffer of the caller's", () => {
  test("is not trained by a backend in main memory, which would train something else", async () => {
    const w = backend.variable({ buffer: bufferOf(), shape: [2], name: "w" });
    await w.write([5, 6]);
    for (const near of ["wasm", "interpreter"] as const) {
      using optimizer = new Adamax({ backend: near });
      const error = thrown(() => optimizer.applyGradients([[f32(1, 1), w]]));
      expect(error.message).toMatch(/value of variable "w".*is in a buffer of a GPU.*train it on the backend that made it/);
    }
    expect(thrown(() => w.value).message).toMatch(/Await variable.read\(\)/);
    expect(await read(w)).toEqual([5, 6]);
  });

  test("must not have elements in common with another in training, of the same optimizer or another", async () => {
    const buffer = bufferOf();
    const at = (offset: number, length: number, name: string) => backend.variable({ buffer, offset, shape: [length], name });
    const [a, b, c, none] = [at(0, 4, "a"), at(12, 4, "b"), at(16, 2, "c"), at(8, 0, "none")];
    const optimizer = new Adamax({ backend });
    const message =
      /value of variable "b".*must not lie in that of another.*Received: variable "a".*from byte 0 on.*from byte 12 on/;
    expect(thrown(() => optimizer.build([b, a])).message).toMatch(message);
    optimizer.build([a, c, none]);
    using second = new Adamax({ backend });
    expect(thrown(() => second.build([b])).message).toMatch(message);
    expect([b.owner, second.trainableVariables]).toEqual([null, []]);
    optimizer.dispose();
    second.build([b]);
    expect(b.owner).toBe("Adamax");
  });

  test("that is written while it is trained has its float16 copy renewed", async () => {
    const w = backend.variable({ buffer: bufferOf(), offset: 4, shape: [4], name: "w" });
    await w.write([1, 1, 1, 1]);
    using optimizer = new Adamax({ backend });
    optimizer.build([w]);
    await w.write([2, 2, 2, 2]);
    const { buffer, offset, size } = backend.float16(w);
    const copy = bufferOf(size, backend.device, USAGE.mapRead | copyTarget);
    const encoder = backend.device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, offset, copy, 0, size);
    backend.device.queue.submit([encoder.finish()]);
    await copy.mapAsync(1);
    expect([...new Uint16Array(copy.getMappedRange())]).toEqual(new Array(4).fill(0x4000));
  });

  test.each<[string, () => GPUBuffer]>([
    ["of another device", () => bufferOf(64, other.device)],
    [
      "that was destroyed",
      () => {
        const buffer = bufferOf();
        buffer.destroy();
        return buffer;
      },
    ],
    [
      "that is mapped",
      () => backend.device.createBuffer({ size: 64, usage: storage | copySource | copyTarget, mappedAtCreation: true }),
    ],
  ])("%s: each call says what is wrong with it, and others go on", async (_, make) => {
    const w = backend.variable({ buffer: make(), shape: [2], name: "w" });
    const words = "Pass buffers of backend.device that are neither destroyed nor mapped";
    expect((await rejected(w.read())).message).toMatch(new RegExp(`cannot be read from.*${words}`));
    expect((await rejected(w.write([1, 2]))).message).toMatch(new RegExp(`refuses to write the value of variable "w".*${words}`));
    const optimizer = new Adamax({ backend });
    optimizer.build([w]);
    optimizer.applyGradients([[f32(1, 1), w]]);
    expect((await rejected(optimizer.download())).message).toMatch(new RegExp(`refuses a step over buffers of yours.*${words}`));
    optimizer.dispose();
    using another = new Adamax({ backend, learningRate: 1 });
    const v = variable([1]);
    another.applyGradients([[f32(1), v]]);
    expect(Math.round((await read(v))[0]!)).toBe(0);
  });
});

test("a float16 copy goes with its optimizer", async () => {
  const optimizer = new Adamax({ backend });
  const w = variable([1, 2]);
  optimizer.build([w]);
  expect(backend.float16(w).size).toBe(4);
  optimizer.dispose();
  expect(thrown(() => backend.float16(w)).message).toMatch(/No float16 copy of variable "w".*Build it first/);
});
