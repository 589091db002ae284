/** What the tests of the WebGPU backend share: a device, numbers, and the interpreter as the oracle. */

import { onTestFinished } from "vitest";
import type { RowClass, StepParameters } from "../../src/backend.js";
import { InterpreterBackend } from "../../src/backends/interpreter/interpreter.js";
import type { Corrections } from "../../src/backends/webgpu/arithmetic.js";
import { Device } from "../../src/backends/webgpu/device.js";
import { allocate, type DeviceArrays } from "../../src/backends/webgpu/memory.js";
import { DeviceStep } from "../../src/backends/webgpu/step.js";
import { USAGE } from "../../src/backends/webgpu/usage.js";
import type { Program } from "../../src/rule/program.js";
import { Variable } from "../../src/variable.js";
import { random } from "../semantics/helpers.js";
import { gpu } from "./gpu.js";

export { gpu };

/** A device that is disposed when the test ends. */
export const openDevice = async (corrections?: Corrections): Promise<Device> => {
  const device = await Device.open({ gpu }, corrections);
  onTestFinished(() => device.dispose());
  return device;
};

export type Floats = Float32Array<ArrayBuffer>;

/** One variable: its class, and its arrays by name: "w", "g" and its state. */
export interface Given {
  readonly class: number;
  readonly arrays: Readonly<Record<string, Floats>>;
}

/** Steps, one after the other: for each the programs, one for every class, and the parameters. */
export interface Steps {
  readonly classes: readonly RowClass[];
  readonly programs: readonly (readonly Program[])[];
  readonly parameters: readonly StepParameters[];
}

export const ONE_CLASS: readonly RowClass[] = [{ learningRateMultiplier: 1, weightDecay: 0 }];

/** The arrays after the steps, from the interpreter. */
export const interpret = ({ classes, programs, parameters }: Steps, given: readonly Given[]): Record<string, Floats>[] => {
  const backend = new InterpreterBackend();
  const requests = given.map(({ class: own, arrays }, i) => ({
    variable: new Variable(arrays.w!, { name: `${i}` }),
    range: { begin: 0, end: arrays.w!.length },
    class: own,
    foreign: null,
    state: Object.keys(arrays).filter((name) => name !== "w" && name !== "g"),
  }));
  const fullest = programs.reduce((one, other) => (other[0]!.scalars.length > one[0]!.scalars.length ? other : one));
  const rows = backend.place(requests, fullest, 0);
  for (const [i, row] of rows.entries())
    for (const [name, values] of Object.entries(given[i]!.arrays)) row.view(name).set(values);
  for (const [k, step] of programs.entries()) {
    for (const row of rows) row.gradient = row.view("g");
    const compiled = backend.compile(step, classes);
    compiled.begin(rows, rows.length, parameters[k]!);
    for (let pass = 0; pass < compiled.passes; pass++) {
      if (pass > 0) compiled.joinSums(pass - 1);
      compiled.runPass(pass);
    }
    void compiled.end();
  }
  return rows.map((row, i) =>
    Object.fromEntries(Object.keys(given[i]!.arrays).map((name) => [name, Float32Array.from(row.view(name))])),
  );
};

export interface ComputeOptions {
  /** Elements in an array of an arena at most. */
  readonly capacity?: number;
  /** Called before the first step. */
  readonly prepare?: (variables: readonly DeviceArrays[]) => void;
}

/** Likewise from the device. */
export const compute = async (
  device: Device,
  { classes, programs, parameters }: Steps,
  given: readonly Given[],
  { capacity, prepare = () => {} }: ComputeOptions = {},
): Promise<Record<string, Floats>[]> => {
  const names = Object.keys(given[0]!.arrays);
  const lengths = given.map(({ arrays }) => arrays.w!.length);
  const { variables, free } = await allocate(device, lengths, names, capacity);
  prepare(variables);
  const rows = variables.map((arrays, i) => ({ arrays, class: given[i]!.class }));
  for (const [i, { arrays }] of rows.entries())
    for (const [name, values] of Object.entries(given[i]!.arrays)) arrays.write(name, 0, values);
  const steps = programs.map((step) => new DeviceStep(device, step, classes));
  for (const [k, step] of steps.entries()) step.run(rows, rows.length, parameters[k]!);
  const after: Record<string, Floats>[] = [];
  for (const [i, { arrays }] of rows.entries()) {
    const read = names.map(async (name) => [name, await arrays.read(name, 0, lengths[i]!)] as const);
    after.push(Object.fromEntries(await Promise.all(read)));
  }
  await device.settle();
  for (const step of steps) step.dispose();
  free();
  return after;
};

/** Runs a shader of one's own, in workgroups of 64 threads, as many threads as words: it reads `given` and writes `results`, of the same length. */
export const runShader = async (device: Device, body: string, given: Uint32Array<ArrayBuffer>): Promise<Uint32Array> => {
  const text = `
@group(0) @binding(0) var<storage, read> given: array<u32>;
@group(0) @binding(1) var<storage, read_write> results: array<u32>;
${body}`;
  const { storage, copySource, copyTarget } = USAGE;
  const buffers = [
    device.buffer("given", given.byteLength, storage | copyTarget),
    device.buffer("results", given.byteLength, storage | copySource),
  ] as const;
  device.gpu.queue.writeBuffer(buffers[0], 0, given);
  const pipeline = device.pipeline("test", text);
  const bindGroup = device.gpu.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  const encoder = device.gpu.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  pass.dispatchWorkgroups(Math.ceil(given.length / 64));
  pass.end();
  device.gpu.queue.submit([encoder.finish()]);
  await device.settle();
  const results = new Uint32Array(await device.read(buffers[1], 0, given.byteLength));
  for (const buffer of buffers) device.free(buffer);
  return results;
};

/** What arithmetic likes least. */
export const SPECIAL = Float32Array.of(
  ...[0, -0, 1, -1, 2, 0.5, 3, -3, 1 / 3, 1 + 2 ** -23, 1 - 2 ** -24, 2 - 2 ** -23, 2 ** -90, -(2 ** -90), 2 ** -91, 1e30, -1e30],
  ...[
    1e-30,
    2 ** -126,
    2 ** -125,
    2 ** 127,
    3.4028234663852886e38,
    -3.4028234663852886e38,
    16777215,
    8388609,
    1e-45,
    -1e-45,
    1e-40,
  ],
  ...[Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN],
);

/** Random bits: every exponent as often, NaN and infinities now and then. */
export const anyBits = (length: number, seed: number): Floats => {
  const next = random(seed);
  return new Float32Array(Uint32Array.from({ length }, () => next() * 2 ** 32).buffer);
};

/** Random numbers of about this size, of either sign. */
export const around = (size: number, length: number, seed: number): Floats => {
  const next = random(seed);
  return Float32Array.from({ length }, () => size * (next() - next()) * 2 ** (8 * next()));
};
