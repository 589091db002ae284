/** The backend: what is special where variables are in a GPU's memory. What every backend does is tested in test/semantics. */

import { Adamax, type GradientAndVariable, InterpreterBackend, ShapeError, Variable } from "adamax";
import { WebGpuBackend } from "adamax/webgpu";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { USAGE } from "../../src/backends/webgpu/usage.js";
import { expectRefused, UNTRAINABLE } from "../far-memory.js";
import { difference, f32, GRADIENTS, read, rejected, stateOf, thrown, variable } from "../semantics/helpers.js";
import { around, type Floats, gpu } from "./helpers.js";

const START = [1, -1, 0.5, 2];
const { storage, copySource, copyTarget } = USAGE;
const backend = await WebGpuBackend.create({ gpu });
afterAll(() => backend.dispose());

const ownBackend = async (): Promise<WebGpuBackend> => {
  const own = await WebGpuBackend.create({ gpu });
  onTestFinished(() => own.dispose());
  return own;
};

/** A buffer that holds these values, from `offset` bytes on. */
const bufferOf = (values: Floats, offset = 0, usage: number = storage | copySource | copyTarget, device = backend.device) => {
  const buffer = device.createBuffer({ size: offset + values.byteLength + 64, usage: usage | copyTarget });
  device.queue.writeBuffer(buffer, offset, values);
  onTestFinished(() => buffer.destroy());
  return buffer;
};

/** What a buffer holds. */
const contents = async (buffer: GPUBuffer, offset: number, length: number, device = backend.device): Promise<number[]> => {
  const copy = device.createBuffer({ size: 4 * length, usage: USAGE.mapRead | copyTarget });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, offset, copy, 0, 4 * length);
  device.queue.submit([encoder.finish()]);
  await copy.mapAsync(1);
  const values = [...new Float32Array(copy.getMappedRange())];
  copy.destroy();
  return values;
};

/** An optimizer after one step, and its variable. */
const trained = (options = {}) => {
  const optimizer = new Adamax({ backend, ...options });
  onTestFinished(() => optimizer.dispose());
  const w = variable(START);
  optimizer.applyGradients([[GRADIENTS[0]!, w]]);
  return { optimizer, w };
};

describe("is refused in words, and nothing is built:", () => {
  test.each<[string, Variable | Float32Array, RegExp]>([
    [
      "float64",
      new Variable(Float64Array.of(1), { name: "w" }),
      /cannot train float64.*Received: variable "w".*Make it of a Float32Array/,
    ],
    ...UNTRAINABLE,
  ])("%s", async (_, given, message) => {
    const before = backend.memory;
    await expectRefused(backend, given, message);
    expect(backend.memory).toEqual(before);
  });

  test("a buffer of another backend's device", async () => {
    const other = await ownBackend();
    const optimizer = new Adamax({ backend });
    const w = other.variable({ buffer: bufferOf(f32(1, 2), 0, storage, other.device), shape: [2], name: "w" });
    expect(thrown(() => optimizer.build([w])).message).toMatch(/another backend has made of a buffer.*Received: variable "w"/);
  });

  test.each<[string, unknown, RegExp]>([
    ["both a device and a gpu", { device: backend.device, gpu }, /takes a device, or gpu to get one from. Received: both/],
    ["an option that is none", { adapter: {} }, /no such option. Received: adapter=.*It takes device, gpu, float16Copies/],
    ["an option that is nearly one", { stateDtypes: "bfloat16" }, /Did you mean stateDtype\?/],
    ["null", null, /takes one object of options. Received: null/],
    [
      "a device in the place of options",
      { device: true },
      /device of WebGpuBackend.create must be a GPUDevice. Received: device=true/,
    ],
    [
      "a dtype that is none",
      { stateDtype: "float16" },
      /stateDtype .* must be "float32" or "bfloat16". Received: stateDtype="float16"/,
    ],
    ["a seed that is too large", { stateDtype: "bfloat16", seed: 2 ** 32 }, /seed .* must be an integer in \[0, 2\^32\)/],
    ["a seed of nothing", { seed: 1 }, /seed is for what is rounded at random. Received: seed=1, stateDtype=float32/],
  ])("%s", async (_, options, message) => {
    expect((await rejected(WebGpuBackend.create(options as never))).message).toMatch(message);
  });
});

test("value is an error that names read and write; read and write work", async () => {
  const { w } = trained();
  expect(thrown(() => w.value).message).toMatch(/Await variable.read\(\).*write/);
  await w.write([4, 3, 2, 1]);
  expect(await read(w)).toEqual([4, 3, 2, 1]);
});

test("saveOwnVariables says that download comes first, and then works", async () => {
  const { optimizer } = trained();
  expect(thrown(() => optimizer.saveOwnVariables()).message).toMatch(/Await optimizer.download\(\) first/);
  await optimizer.download();
  const saved = optimizer.saveOwnVariables();
  expect([...saved[1]!]).toEqual([...optimizer.variables[1]!.value]);
});

test("variable.buffer is where the value is, and stays there; before build and elsewhere it is an error", async () => {
  const w = variable(START);
  const message = /is not in memory of a GPU.*Build it on adamax\/webgpu/;
  expect(thrown(() => w.buffer).message).toMatch(message);
  using near = new Adamax();
  near.build([w]);
  expect(thrown(() => w.buffer).message).toMatch(message);
  const { optimizer, w: other } = trained({ useEma: true });
  const { buffer, offset, size } = other.buffer;
  expect([size, offset % 256]).toEqual([16, 0]);
  optimizer.extend([variable([1], "late")]);
  optimizer.applyGradients([[GRADIENTS[1]!, other]]);
  optimizer.swapAverages();
  expect(other.buffer).toEqual({ buffer, offset, size });
  expect(await contents(buffer, offset, 4)).toEqual(await read(other));
});

/** The same training from arrays and from buffers, or in buffers; and on the interpreter. */
const LENGTHS = [10, 4, 5000, 1];
const starts = LENGTHS.map((length, i) => around(1, length, i + 1));
const gradients = [1, 2, 3].map((step) => LENGTHS.map((length, i) => around(0.01, length, 10 * step + i)));
const options = { globalClipnorm: 0.05, weightDecay: 0.1, useEma: true, learningRate: 0.1 };

const trainedOn = async (
  on: InterpreterBackend | WebGpuBackend,
  make: (values: Floats, i: number) => Variable,
  give: (values: Floats) => GradientAndVariable[0],
) => {
  using optimizer = new Adamax({ ...options, backend: on });
  const variables = starts.map((values, i) => make(values.slice(), i));
  for (const step of gradients) optimizer.applyGradients(step.map((values, i) => [give(values), variables[i]!]));
  return [...(await Promise.all(variables.map((one) => one.read()))), ...(await stateOf(optimizer)).slice(1)];
};
const plain = (values: Floats, i: number) => new Variable(values, { name: `${i}` });
const expected = trainedOn(new InterpreterBackend(), plain, (values) => values);

const expectAsInterpreted = async (reached: Awaited<typeof expected>) => {
  for (const [i, array] of (await expected).entries())
    expect(difference(Float32Array.from(reached[i] as Floats), Float32Array.from(array as Floats)), `array ${i}`).toBeNull();
};

describe("buffers of the caller's", () => {
  test.each([0, 4, 256])("gradients in them, from byte %i on: the bits of arrays", async (offset) => {
    await expectAsInterpreted(await trainedOn(backend, plain, (values) => ({ buffer: bufferOf(values, offset), offset })));
  });

  test.each([0, 12, 256])("values in them, from byte %i on: trained where they are", async (offset) => {
    const own = await ownBackend();
    const made: { buffer: GPUBuffer; values: Floats }[] = [];
    const inBuffer = (values: Floats, i: number) => {
      const buffer = bufferOf(values, offset, storage | copySource, own.device);
      made.push({ buffer, values });
      return own.variable({ buffer, offset, shape: [values.length], name: `${i}` });
    };
    const before = own.memory;
    const reached = await trainedOn(own, inBuffer, (values) => values);
    await expectAsInterpreted(reached);
    for (const [i, { buffer, values }] of made.entries())
      expect(await contents(buffer, offset, values.length, own.device)).toEqual([...(reached[i] as Floats)]);
    expect(own.memory).toEqual(before);
  });

  test("values and gradients in one buffer, side by side", async () => {
    const all = new Float32Array(64 + 64);
    all.set(START);
    const buffer = bufferOf(all);
    using optimizer = new Adamax({ backend });
    using other = new Adamax();
    const [w, v] = [backend.variable({ buffer, shape: [4] }), variable(START)];
    for (const gradient of GRADIENTS) {
      backend.device.queue.writeBuffer(buffer, 256, gradient);
      optimizer.applyGradients([[{ buffer, offset: 256 }, w]]);
      other.applyGradients([[gradient, v]]);
    }
    expect(await read(w)).toEqual(await read(v));
  });

  test("a variable in one can be read and written before build and after dispose, and be trained again", async () => {
    const buffer = bufferOf(f32(...START));
    const w = backend.variable({ buffer, shape: [2, 2], name: "w" });
    expect(w.buffer).toEqual({ buffer, offset: 0, size: 16 });
    expect([`${w}`, w.length, await read(w)]).toEqual(['variable "w" (shape [2,2], float32)', 4, START]);
    await w.write([4, 3, 2, 1]);
    for (let i = 0; i < 2; i++) {
      const optimizer = new Adamax({ backend });
      optimizer.build([w]);
      expect(w.buffer).toEqual({ buffer, offset: 0, size: 16 });
      optimizer.applyGradients([[f32(1, 1, 1, 1), w]]);
      optimizer.dispose();
    }
    expect((await read(w)).map((x) => Math.round(x * 1000))).toEqual([3998, 2998, 1998, 998]);
  });

  test.each<[string, (buffer: GPUBuffer) => unknown, RegExp]>([
    [
      "too small",
      (buffer) => ({ buffer, offset: 64 + 4 }),
      /must be 4 float32 numbers, 16 bytes. Received: a buffer of 80 bytes/,
    ],
    ["not on 4 bytes", (buffer) => ({ buffer, offset: 2 }), /must begin at a multiple of 4 bytes. Received: offset 2/],
    ["bare", (buffer) => buffer, /is a bare GPUBuffer.*Pass \{ buffer, offset \}/],
    ["none", () => ({ buffer: {} }), /must be in a GPUBuffer/],
    ["for copies only", () => ({ buffer: bufferOf(f32(...START), 0, copySource) }), /that shaders can bind.*STORAGE/],
  ])("a gradient %s is refused, and nothing has changed", async (_, give, message) => {
    const { optimizer, w } = trained();
    const before = [...(await stateOf(optimizer)), await read(w)];
    const error = thrown(() => optimizer.applyGradients([[give(bufferOf(f32(...START))) as never, w]]));
    expect(error).toBeInstanceOf(ShapeError);
    expect(error.message).toMatch(message);
    expect([...(await stateOf(optimizer)), await read(w)]).toEqual(before);
  });

  test("a gradient that is the value, or lies in it, is refused", async () => {
    const { optimizer, w } = trained();
    expect(thrown(() => optimizer.applyGradients([[w.buffer, w]])).message).toMatch(
      /must not lie where the step writes.*in the value of variable "w"/,
    );
    expect(optimizer.applyGradients([[GRADIENTS[1]!, w]])).toBe(2);
  });

  test("of another device: the step is not made, the next call says so, and the optimizer goes on as it was", async () => {
    const own = await ownBackend();
    const { optimizer, w } = trained();
    const before = await read(w);
    optimizer.applyGradients([[{ buffer: bufferOf(f32(...START), 0, storage, own.device) }, w]]);
    expect(await read(w)).toEqual(before);
    const message = /refuses a step over buffers of yours.*Pass buffers of backend.device that are neither destroyed nor mapped/;
    expect((await rejected(optimizer.download())).message).toMatch(message);
    const other = trained();
    for (const one of [other, { optimizer, w }]) expect(one.optimizer.applyGradients([[GRADIENTS[1]!, one.w]])).toBe(2);
    expect(await read(w)).toEqual(await read(other.w));
  });

  test("destroyed, with steps after it: none of them counts, and the calls that follow say so", async () => {
    const { optimizer, w } = trained();
    const buffer = bufferOf(f32(...START));
    optimizer.applyGradients([[{ buffer }, w]]);
    const before = await read(w);
    buffer.destroy();
    for (let step = 0; step < 2; step++) optimizer.applyGradients([[{ buffer }, w]]);
    expect(await read(w)).toEqual(before);
    for (const message of [/refuses a step over buffers of yours/, /neither old nor new/])
      expect(thrown(() => optimizer.applyGradients([[GRADIENTS[1]!, w]])).message).toMatch(message);
    const other = trained();
    other.optimizer.applyGradients([[GRADIENTS[1]!, other.w]]); // others go on
    expect(await read(other.w)).not.toEqual(before);
  });
});

describe("memory", () => {
  test("dispose frees every buffer of an optimizer, and that of the backend all", async () => {
    const own = await ownBackend();
    const before = own.memory;
    const optimizer = new Adamax({ backend: own, useEma: true, globalClipnorm: 1, gradientAccumulationSteps: 2 });
    const [v, w, late] = [variable(START, "v"), variable(START, "w"), variable([1], "late")];
    for (const gradient of GRADIENTS)
      optimizer.applyGradients([
        [gradient, v],
        [gradient, w],
      ]);
    optimizer.extend([late]);
    optimizer.swapAverages();
    expect(own.memory.buffers).toBeGreaterThan(before.buffers);
    optimizer.dispose();
    const values = await read(w);
    expect(values).toEqual(await read(v));
    expect(await read(late)).toEqual([1]); // what is still being read is not freed yet
    expect(own.memory).toEqual(before);
    const second = new Adamax({ backend: own });
    second.applyGradients([[GRADIENTS[0]!, w]]);
    own.dispose();
    expect(own.memory).toEqual({ buffers: 0, bytes: 0 });
  });

  test("dispose of optimizer and backend at once brings the values back first", async () => {
    const own = await ownBackend();
    const { optimizer, w } = trained({ backend: own });
    const values = await read(w);
    optimizer.dispose();
    own.dispose();
    expect(await read(w)).toEqual(values);
    expect([w.owner, own.memory.buffers]).toEqual([null, 0]);
  });

  test("that is not there: the error says how much was asked for, and everything is as it was", async () => {
    const own = await ownBackend();
    const { optimizer, w } = trained({ backend: own });
    await read(w);
    const held = own.memory;
    const large = variable([1], "large");
    Object.defineProperty(large, "length", { value: 2 ** 34, writable: true });
    optimizer.extend([large]);
    Object.defineProperty(large, "length", { value: 1 });
    const error = await rejected(large.read());
    expect(error.message).toMatch(/no memory for the variables.*a request for 206158430208 bytes, beside \d+ in use/);
    expect(thrown(() => optimizer.applyGradients([[GRADIENTS[1]!, w]])).message).toBe(error.message);
    expect([optimizer.trainableVariables, large.owner, await read(large)]).toEqual([[w], null, [1]]);
    expect(own.memory).toEqual(held);
    const other = trained();
    for (const one of [{ optimizer, w }, other]) one.optimizer.applyGradients([[GRADIENTS[1]!, one.w]]);
    expect(await read(w)).toEqual(await read(other.w));
    expect(await stateOf(optimizer)).toEqual(await stateOf(other.optimizer));
  });

  test("a step allocates nothing, whatever its gradients are", async () => {
    const { optimizer, w } = trained();
    const buffer = bufferOf(f32(...START));
    optimizer.applyGradients([[{ buffer }, w]]);
    const { createBuffer, createBindGroup } = backend.device;
    const held = backend.memory;
    let made = 0;
    backend.device.createBuffer = (...given) => {
      made++;
      return createBuffer.apply(backend.device, given);
    };
    backend.device.createBindGroup = (...given) => {
      made++;
      return createBindGroup.apply(backend.device, given);
    };
    for (let i = 0; i < 5; i++) optimizer.applyGradients([[{ buffer }, w]]);
    backend.device.createBuffer = createBuffer;
    backend.device.createBindGroup = createBindGroup;
    expect([made, backend.memory]).toEqual([0, held]);
  });
});

describe("a device that is lost", () => {
  test("the next call says what to do, and so does reading", async () => {
    const own = await ownBackend();
    const { optimizer, w } = trained({ backend: own });
    await read(w);
    own.device.destroy();
    await own.device.lost;
    const words = /The GPU device is lost, and everything in its memory with it.*Make a new backend.*load the last checkpoint/;
    expect(thrown(() => optimizer.applyGradients([[GRADIENTS[1]!, w]])).message).toMatch(words);
    expect((await rejected(w.read())).message).toMatch(words);
    optimizer.dispose();
    expect((await rejected(w.read())).message).toMatch(words);
  });
});
