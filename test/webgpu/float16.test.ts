/** float16 on a device: gradients that are, and copies of values, by integers, as every device should make them. */

import { Adamax, InterpreterBackend, ShapeError, Variable } from "adamax";
import { WebGpuBackend } from "adamax/webgpu";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { USAGE } from "../../src/backends/webgpu/usage.js";
import { difference, stateOf, thrown, variable } from "../semantics/helpers.js";
import { anyBits, around, type Floats, gpu, SPECIAL } from "./helpers.js";

const backend = await WebGpuBackend.create({ gpu, float16Copies: true });
afterAll(() => backend.dispose());
const { storage, copySource, copyTarget, mapRead } = USAGE;

/** A float16 as a number. */
const numberOf = (half: number): number => {
  const [sign, exponent, fraction] = [half & 0x8000 ? -1 : 1, (half >> 10) & 31, half & 0x3ff];
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
};
/** All that are not NaN, in the order of their numbers; and the nearest of them: where two are as near, the even one. */
const POSITIVE = Array.from({ length: 0x7c01 }, (_, half) => numberOf(half));
const halfOf = (x: number): number => {
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  if (Number.isNaN(x)) return 0x7e00;
  const magnitude = Math.abs(x);
  if (magnitude >= 65520) return sign | 0x7c00;
  let [low, high] = [0, 0x7bff];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (POSITIVE[middle]! <= magnitude) low = middle;
    else high = middle;
  }
  const [below, above] = [magnitude - POSITIVE[low]!, POSITIVE[high]! - magnitude];
  return sign | (below < above || (below === above && low % 2 === 0) ? low : high);
};

const halvesIn = async ({ buffer, offset, size }: { buffer: GPUBuffer; offset: number; size: number }): Promise<number[]> => {
  const bytes = Math.ceil(size / 4) * 4;
  const copy = backend.device.createBuffer({ size: bytes, usage: mapRead | copyTarget });
  const encoder = backend.device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, offset, copy, 0, bytes);
  backend.device.queue.submit([encoder.finish()]);
  await copy.mapAsync(1);
  const halves = [...new Uint16Array(copy.getMappedRange())].slice(0, size / 2);
  copy.destroy();
  return halves;
};

/** NaNs have many bits. */
const plain = (half: number) => ((half & 0x7fff) > 0x7c00 ? 0x7e00 : half);
const expectCopies = async (variables: readonly Variable[]) => {
  for (const one of variables) {
    const values = await one.read();
    const halves = await halvesIn(backend.float16(one));
    const wrong = [...values].flatMap((x, i) =>
      plain(halves[i]!) === halfOf(x) ? [] : [`${x}: ${halves[i]}, not ${halfOf(x)}`],
    );
    expect(wrong.slice(0, 5)).toEqual([]);
  }
};

test("the reference of these tests takes every float16 to itself", () => {
  for (const [half, x] of POSITIVE.entries()) expect([halfOf(x), halfOf(-x)]).toEqual([half, half | 0x8000]);
});

describe("gradients", () => {
  const halves = (length: number, seed: number) => Uint16Array.from(around(0.01, length, seed), halfOf);
  const inBuffer = (values: Uint16Array<ArrayBuffer>, offset: number) => {
    const bytes = new Uint16Array(2 * Math.ceil((values.length + offset / 2 + 1) / 2));
    bytes.set(values, offset / 2);
    const buffer = backend.device.createBuffer({ size: bytes.byteLength, usage: storage | copyTarget });
    backend.device.queue.writeBuffer(buffer, 0, bytes);
    onTestFinished(() => buffer.destroy());
    return { buffer, offset, dtype: "float16" as const };
  };
  const LENGTHS = [10, 4, 5000, 1];

  test.each([0, 2, 8, 256])(
    "from byte %i on: the bits of the same numbers as float32, under a loss scale and a norm",
    async (offset) => {
      const options = { lossScaleFactor: 1024, globalClipnorm: 1e-5, useEma: true };
      const run = async (on: WebGpuBackend | InterpreterBackend) => {
        using optimizer = new Adamax({ ...options, backend: on });
        const variables = LENGTHS.map((length, i) => new Variable(around(1, length, i + 1), { name: `${i}` }));
        for (let step = 0; step < 3; step++)
          optimizer.applyGradients(
            variables.map((one, i) => {
              const gradient = halves(one.length, 10 * step + i);
              return [on === backend ? inBuffer(gradient, offset) : Float32Array.from(gradient, numberOf), one];
            }),
          );
        return [...(await Promise.all(variables.map((one) => one.read()))), ...(await stateOf(optimizer)).slice(1)] as Floats[];
      };
      const [reached, expected] = [await run(backend), await run(new InterpreterBackend())];
      for (const [i, array] of expected.entries())
        expect(difference(Float32Array.from(reached[i]!), Float32Array.from(array))).toBeNull();
    },
  );

  test("every float16 there is arrives as the number that it is", async () => {
    using optimizer = new Adamax({ backend, beta1: 0 });
    const w = new Variable(new Float32Array(2 ** 16), { name: "w" });
    const all = Uint16Array.from({ length: 2 ** 16 }, (_, half) => half);
    optimizer.applyGradients([[inBuffer(all, 0), w]]);
    await optimizer.download();
    const arrived = optimizer.variables[1]!.value as Floats;
    expect(
      difference(
        arrived.map((x) => x + 0),
        Float32Array.from(all, numberOf).map((x) => x + 0),
      ),
    ).toBeNull();
  });

  test("of another dtype, or where there are not enough, are refused", () => {
    using optimizer = new Adamax({ backend });
    const w = variable([1, 2, 3]);
    optimizer.build([w]);
    const { buffer } = inBuffer(halves(3, 1), 0);
    const refusal = (gradient: object) => {
      const error = thrown(() => optimizer.applyGradients([[gradient as never, w]]));
      expect(error).toBeInstanceOf(ShapeError);
      return error.message;
    };
    expect(refusal({ buffer, dtype: "int8" })).toMatch(/must be of float32 or float16. Received: dtype "int8"/);
    expect(refusal({ buffer })).toMatch(/must be 3 float32 numbers, 12 bytes. Received: a buffer of 8 bytes/);
    expect(refusal({ buffer, offset: 4, dtype: "float16" })).toMatch(/must be 3 float16 numbers, 6 bytes/);
    expect(refusal({ buffer, offset: 1, dtype: "float16" })).toMatch(/must begin at a multiple of 2 bytes/);
  });
});

describe("copies of values", () => {
  const values = new Float32Array([
    ...SPECIAL,
    65504,
    65519,
    65520,
    -65520,
    1e5,
    2 ** -24,
    2 ** -25,
    1.5 * 2 ** -25,
    6e-5,
    ...anyBits(20_000, 1),
    ...around(1, 9000, 2),
  ]);

  test("are the nearest float16 of every value: after build, a step, a write, a swap, and loading", async () => {
    using optimizer = new Adamax({ backend, useEma: true, learningRate: 0.1 });
    const variables = [new Variable(values.slice(), { name: "a" }), new Variable(values.slice(5, 12), { name: "b" })];
    optimizer.build(variables);
    await expectCopies(variables);
    for (let step = 0; step < 2; step++)
      optimizer.applyGradients(variables.map((one, i) => [around(1, one.length, 10 * step + i), one]));
    await expectCopies(variables);
    await variables[1]!.write(around(3, 7, 9));
    await expectCopies(variables);
    optimizer.swapAverages();
    await expectCopies(variables);
    optimizer.swapAverages();
    optimizer.finalizeVariableValues();
    await expectCopies(variables);
  });

  test.each([0, 4])("of values in a buffer of the caller's, from byte %i on", async (offset) => {
    const finite = around(1, 4001, 3);
    const buffer = backend.device.createBuffer({ size: offset + finite.byteLength, usage: storage | copySource | copyTarget });
    onTestFinished(() => buffer.destroy());
    backend.device.queue.writeBuffer(buffer, offset, finite);
    using optimizer = new Adamax({ backend });
    const w = backend.variable({ buffer, offset, shape: [4001] });
    optimizer.build([w]);
    await expectCopies([w]);
    optimizer.applyGradients([[around(1, 4001, 4), w]]);
    await expectCopies([w]);
  });

  test("that nobody keeps are an error", async () => {
    const own = await WebGpuBackend.create({ gpu });
    onTestFinished(() => own.dispose());
    const w = variable([1]);
    expect(thrown(() => own.float16(w)).message).toMatch(
      /No float16 copy of variable "w".*float16Copies=false.*float16Copies: true/,
    );
    expect(thrown(() => backend.float16(w)).message).toMatch(/not built on this backend.*Build it first/);
  });

  test("go with the optimizer", async () => {
    const own = await WebGpuBackend.create({ gpu, float16Copies: true });
    onTestFinished(() => own.dispose());
    const optimizer = new Adamax({ backend: own });
    const w = variable([1, 2]);
    optimizer.applyGradients([[Float32Array.of(1, 1), w]]);
    optimizer.dispose();
    await w.read();
    expect(own.memory).toEqual({ buffers: 0, bytes: 0 });
  });
});
