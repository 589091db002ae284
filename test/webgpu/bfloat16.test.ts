/** Slots in bfloat16: what they are rounded to, that this is a function of seed, element and step, and what it saves. */

import { Adamax, type AdamaxOptions, InterpreterBackend, type Optimizer, Variable } from "adamax";
import { checkpointBlob, loadCheckpoint } from "adamax/checkpoint";
import { WebGpuBackend } from "adamax/webgpu";
import { describe, expect, onTestFinished, test } from "vitest";
import { Adam } from "../../examples/rules/adam.js";
import { Lamb } from "../../examples/rules/lamb.js";
import { Lion } from "../../examples/rules/lion.js";
import { USAGE } from "../../src/backends/webgpu/usage.js";
import { difference, stateOf } from "../semantics/helpers.js";
import { around, type Floats, gpu, SPECIAL } from "./helpers.js";

const open = async (options: { seed?: number; float16Copies?: boolean } = {}) => {
  const backend = await WebGpuBackend.create({ gpu, stateDtype: "bfloat16", ...options });
  onTestFinished(() => backend.dispose());
  return backend;
};

/** Once more, and apart from the shaders: the hash, and the rounding. */
const hash = (x: number): number => {
  let h = BigInt(x);
  h ^= h >> 16n;
  h = (h * 0x7feb352dn) & 0xffffffffn;
  h ^= h >> 15n;
  h = (h * 0x846ca68bn) & 0xffffffffn;
  return Number(h ^ (h >> 16n));
};
const randomOf = (seed: number, row: number, element: number, step: number, pair: number): number => {
  const key = hash((hash(seed) + step) % 2 ** 32);
  const first = Number((BigInt(row) * 0x9e3779b1n) & 0xffffffffn);
  return hash((((first + element) % 2 ** 32) ^ ((key + pair * 0x9e3779b9) % 2 ** 32)) >>> 0);
};
const roundedAt = (x: number, random: number): number => {
  if (Number.isNaN(x)) return x;
  const [bits] = new Uint32Array(Float32Array.of(x).buffer) as unknown as [number];
  return new Float32Array(Uint32Array.of((bits + random) & 0xffff0000).buffer)[0]!;
};
const isBfloat16 = (x: number): boolean =>
  Number.isNaN(x) || ((new Uint32Array(Float32Array.of(x).buffer)[0] ?? 1) & 0xffff) === 0;

type Class<Options> = (new (options: Options) => Optimizer<never>) & { readonly rule: { readonly slots: readonly string[] } };
const LENGTHS = [10, 1, 5000, 4096, 33, 0];
const valuesOf = (i: number) => around(1, LENGTHS[i]!, i + 1);
const gradientOf = (i: number, step: number) => around(0.01, LENGTHS[i]!, 100 * step + i);
const variablesAnew = () => LENGTHS.map((_, i) => new Variable(valuesOf(i), { name: `v${i}` }));
const step = (optimizer: Optimizer<never>, variables: readonly Variable[], number: number) =>
  optimizer.applyGradients(variables.map((one, i) => [gradientOf(i, number), one]));

/** The interpreter's steps, after each of which the slots are rounded. */
const expected = async (Rule: Class<object>, options: object, steps: number, seed: number): Promise<Floats[]> => {
  using optimizer = new Rule({ ...options, backend: new InterpreterBackend() });
  const variables = variablesAnew();
  optimizer.build(variables);
  const { slots } = Rule.rule;
  for (let number = 1; number <= steps; number++) {
    const before = optimizer.iterations;
    step(optimizer, variables, number);
    if (optimizer.iterations === before) continue; // micro-batches are only added up
    for (const { name, value } of optimizer.variables.slice(1)) {
      const [, array, variable] = name.split("/") as [string, string, string];
      const place = slots.indexOf(array);
      if (place < 0 || place >= slots.length - (slots.length % 2)) continue;
      for (let i = 0; i < value.length; i++) {
        const random = randomOf(seed, Number(variable.slice(1)), i, optimizer.iterations, place >> 1);
        value[i] = roundedAt(Number(value[i]), place % 2 === 0 ? random & 0xffff : random >>> 16);
      }
    }
  }
  return [...(await Promise.all(variables.map((one) => one.read()))), ...(await stateOf(optimizer)).slice(1)] as Floats[];
};

/** All of the state but the iteration. */
const arraysOf = async (optimizer: Optimizer<never>): Promise<Floats[]> =>
  (await stateOf(optimizer)).slice(1).map((array) => Float32Array.from(array as number[]));

const reached = async (optimizer: Optimizer<never>, variables: readonly Variable[]): Promise<Floats[]> =>
  [...(await Promise.all(variables.map((one) => one.read()))), ...(await arraysOf(optimizer))] as Floats[];

const expectSame = (one: readonly Floats[], other: readonly Floats[]) => {
  expect(one.length).toBe(other.length);
  for (const [i, array] of other.entries())
    expect(difference(Float32Array.from(one[i]!), Float32Array.from(array)), `${i}`).toBeNull();
};

describe("a step is that of float32, and then slots are rounded", () => {
  const all: AdamaxOptions = { learningRate: 0.1, weightDecay: 0.1, globalClipnorm: 0.5, useEma: true, emaMomentum: 0.5 };
  test.each<[string, Class<never>, object, number]>([
    ["Adamax", Adamax, { learningRate: 0.1 }, 0],
    ["Adamax, another seed", Adamax, { learningRate: 0.1 }, 4294967295],
    ["Adamax, everything on", Adamax, all, 5],
    ["Adamax, micro-batches", Adamax, { learningRate: 0.1, gradientAccumulationSteps: 2, clipnorm: 0.1 }, 6],
    ["Adam", Adam, {}, 7],
    ["LAMB, whose norms are of what it computes", Lamb, {}, 8],
    ["Lion, whose only slot stays float32", Lion, {}, 9],
  ])("%s", async (_, Rule, options, seed) => {
    const backend = await open({ seed });
    using optimizer = new (Rule as Class<object>)({ ...options, backend });
    const variables = variablesAnew();
    for (let number = 1; number <= 6; number++) step(optimizer, variables, number);
    expectSame(await reached(optimizer, variables), await expected(Rule as Class<object>, options, 6, seed));
  });
});

test("every slot is a bfloat16, also those that a caller writes: to the nearest, of two the even one, NaN and infinities as they are", async () => {
  const backend = await open();
  using optimizer = new Adamax({ backend });
  const given = Float32Array.of(...SPECIAL, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -23, 1 + 2 ** -7);
  const w = new Variable(new Float32Array(given.length), { name: "w" });
  optimizer.build([w]);
  optimizer.setWeights([[3], given, given.map(Math.abs)]);
  const [m, u] = (await arraysOf(optimizer)) as [Floats, Floats];
  const nearest = (x: number): number => {
    if (!Number.isFinite(x)) return x;
    const [bits] = new Uint32Array(Float32Array.of(x).buffer) as unknown as [number];
    const [below, above] = [bits & 0xffff0000, (bits & 0xffff0000) + 0x10000].map(
      (one) => new Float32Array(Uint32Array.of(one).buffer)[0]!,
    );
    const [down, up] = [
      Math.abs(x - below!),
      Number.isFinite(above!) ? Math.abs(above! - x) : (bits & 0xffff) > 0x8000 ? 0 : Infinity,
    ];
    return down < up || (down === up && (bits & 0x10000) === 0) ? below! : above!;
  };
  expect([...m]).toEqual([...given].map(nearest));
  expect([...u]).toEqual([...given].map((x) => nearest(Math.abs(x))));
  optimizer.applyGradients([[given, w]]);
  for (const array of await arraysOf(optimizer)) expect([...array].filter((x) => !isBfloat16(x))).toEqual([]);
});

test("written in pieces, and one half alone: the other stays", async () => {
  const backend = await open();
  using optimizer = new Adamax({ backend });
  const length = 2 ** 20 + 70_000; // more than goes at once
  const w = new Variable(new Float32Array(length), { name: "w" });
  optimizer.build([w]);
  const numbers = (by: number) => Float32Array.from({ length }, (_, i) => ((i % 200) + 1) * by);
  optimizer.setWeights([[0], numbers(1), numbers(2)]);
  expectSame(await arraysOf(optimizer), [numbers(1), numbers(2)]);
});

test("a training that is resumed on another device, from a checkpoint or in a grown model, goes on with the same bits", async () => {
  const options = { learningRate: 0.1, useEma: true };
  const run = async (breaks: readonly number[], seed: number) => {
    let optimizer: Optimizer<never> = new Adamax({ ...options, backend: await open({ seed }) });
    let variables: Variable[] = variablesAnew();
    for (let number = 1; number <= 8; number++) {
      // The last variable comes later.
      if (number === 1) optimizer.build(variables.slice(0, 4));
      if (number === 3) (optimizer as Adamax).extend(variables.slice(4));
      step(optimizer, variables.slice(0, number < 3 ? 4 : undefined), number);
      if (!breaks.includes(number)) continue;
      const checkpoint = await checkpointBlob({ optimizer });
      const late = variables.slice(optimizer.trainableVariables.length);
      const found = await loadCheckpoint(checkpoint, { optimizer: Adamax, options: { backend: await open({ seed }) } });
      optimizer.dispose();
      optimizer = found.optimizer;
      variables = [...found.variables.values(), ...late];
    }
    const arrays = await reached(optimizer, variables);
    optimizer.dispose();
    return arrays;
  };
  const whole = await run([], 3);
  expectSame(await run([1, 2, 5, 7], 3), whole);
  const other = await run([], 4);
  expect(whole.some((array, i) => difference(Float32Array.from(array), Float32Array.from(other[i]!)) !== null)).toBe(true);
});

test.each([4, 256])("of values in a buffer of the caller's, from byte %i on: the same bits", async (offset) => {
  const backend = await open();
  const length = 5001;
  const values = around(1, length, 1);
  const { storage, copySource, copyTarget } = USAGE;
  const buffer = backend.device.createBuffer({ size: offset + 4 * length, usage: storage | copySource | copyTarget });
  onTestFinished(() => buffer.destroy());
  backend.device.queue.writeBuffer(buffer, offset, values);
  const run = async (w: Variable) => {
    using optimizer = new Adamax({ backend, learningRate: 0.1 });
    for (let number = 0; number < 3; number++) optimizer.applyGradients([[around(0.01, length, number + 9), w]]);
    return await reached(optimizer, [w]);
  };
  expectSame(await run(backend.variable({ buffer, offset, shape: [length] })), await run(new Variable(values)));
});

test("the bytes are saved, beside float16 copies too", async () => {
  const bytesOf = async (stateDtype: "float32" | "bfloat16", float16Copies: boolean) => {
    const backend = await WebGpuBackend.create({ gpu, stateDtype, float16Copies });
    onTestFinished(() => backend.dispose());
    const optimizer = new Adamax({ backend });
    optimizer.build([new Variable(new Float32Array(6400), { name: "w" })]);
    const { bytes } = backend.memory;
    expect(backend.why.includes("bfloat16")).toBe(stateDtype === "bfloat16");
    optimizer.applyGradients([[new Float32Array(6400).fill(1), optimizer.trainableVariables[0]!]]);
    await optimizer.download();
    optimizer.dispose();
    return bytes;
  };
  for (const copies of [false, true])
    expect((await bytesOf("float32", copies)) - (await bytesOf("bfloat16", copies))).toBe(4 * 6400);
});

test("rounding is right on average: of 65,536 equal numbers a quarter of the way up, a quarter goes up", async () => {
  const backend = await open();
  using optimizer = new Adamax({ backend, beta1: 0 }); // m is the gradient
  const w = new Variable(new Float32Array(2 ** 16), { name: "w" });
  const between = 1 + 2 ** -9; // bfloat16 has 1 and 1 + 2^-7
  const up: number[] = [];
  for (let number = 0; number < 3; number++) {
    optimizer.applyGradients([[new Float32Array(2 ** 16).fill(between), w]]);
    const [m] = (await arraysOf(optimizer)) as [Floats];
    expect(new Set(m)).toEqual(new Set([1, 1 + 2 ** -7]));
    up.push(m.filter((x) => x > 1).length);
  }
  // A quarter of 65536, give or take five deviations of 111.
  for (const count of up) expect(Math.abs(count - 2 ** 14)).toBeLessThan(555);
  expect(new Set(up).size).toBeGreaterThan(1);
});
