/** Long work on a GPU: checkpoints that stream out of its memory and into it, and trainings that never leave it. */

import { Adamax, type Backend, fit, InterpreterBackend } from "adamax";
import { checkpointBlob, loadCheckpoint } from "adamax/checkpoint";
import { WebGpuBackend } from "adamax/webgpu";
import { afterAll, expect, onTestFinished, test } from "vitest";
import { USAGE } from "../../src/backends/webgpu/usage.js";
import { type Shapes, train } from "../checkpoint/steps.js";
import { everything, expectToGoOn, trained } from "../far-memory.js";
import { read, rejected, thrown, variable } from "../semantics/helpers.js";
import { gpu } from "./helpers.js";

const device = await WebGpuBackend.create({ gpu });
afterAll(() => device.dispose());

/** So large that a checkpoint has several pieces. */
const SHAPES: Shapes = { kernel: { shape: [1200, 1000] }, bias: { shape: [1000] } };

test("a checkpoint is that of near memory, byte for byte, and streams: a piece at a time is in the device's memory besides", async () => {
  const [here, there] = [trained(new InterpreterBackend(), 3, SHAPES), trained(device, 3, SHAPES)];
  await read(there.variables[1]!);
  const held = device.memory.bytes;
  let most = 0;
  const onProgress = () => {
    most = Math.max(most, device.memory.bytes - held);
  };
  const bytes = async ({ optimizer }: typeof here) =>
    Buffer.from(await (await checkpointBlob({ optimizer, onProgress })).arrayBuffer());
  const { createBuffer } = device.device;
  device.device.createBuffer = (descriptor) => {
    queueMicrotask(onProgress);
    return createBuffer.call(device.device, descriptor);
  };
  const file = await bytes(there);
  device.device.createBuffer = createBuffer;
  expect(file.equals(await bytes(here))).toBe(true);
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThanOrEqual(4 * 2 ** 20); // of 24 MB
});

test.each<[string, () => Backend, () => Backend]>([
  ["device to device", () => device, () => device],
  ["device to near memory", () => device, () => new InterpreterBackend()],
  ["near memory to device", () => new InterpreterBackend(), () => device],
])("a training goes on with the same bits from %s, in the middle of a window", async (_, from, to) => {
  await expectToGoOn(from(), to(), SHAPES, 5);
});

test("after the device is lost, a checkpoint resumes on a new one", async () => {
  const small: Shapes = { kernel: { shape: [40, 10] } };
  const first = await WebGpuBackend.create({ gpu });
  const { optimizer, variables } = trained(first, 3, small);
  const blob = await checkpointBlob({ optimizer });
  first.device.destroy();
  await first.device.lost;
  expect(thrown(() => train(optimizer, variables, 3, 4)).message).toMatch(/Make a new backend.*load the last checkpoint/);
  expect((await rejected(checkpointBlob({ optimizer }))).message).toMatch(/The GPU device is lost/);
  const second = await WebGpuBackend.create({ gpu });
  onTestFinished(() => second.dispose());
  const loaded = await loadCheckpoint(blob, { optimizer: Adamax, options: { backend: second } });
  const resumed = [...loaded.variables.values()];
  train(loaded.optimizer, resumed, 3, 6);
  const whole = trained(device, 6, small);
  expect((await everything(loaded.optimizer, resumed)).equals(await everything(whole.optimizer, whole.variables))).toBe(true);
  loaded.optimizer.dispose();
});

/** The distance of a value from a target, and its gradient, as a shader that knows only buffers. */
const DISTANCE = /* wgsl */ `
@group(0) @binding(0) var<storage, read> w: array<f32, 4>;
@group(0) @binding(1) var<storage, read_write> gradient: array<f32, 4>;
@group(0) @binding(2) var<storage, read_write> loss: f32;
@compute @workgroup_size(1) fn main() {
  loss = 0.0;
  for (var i = 0; i < 4; i++) {
    gradient[i] = w[i] - f32(i);
    loss += abs(gradient[i]);
  }
}`;

test("fit trains by a loss that knows only buffers, and reads its number every ten steps", async () => {
  const { queue } = device.device;
  const options = { learningRate: 0.1, useEma: true };
  using optimizer = new Adamax({ backend: device, ...options });
  const w = variable([5, 5, 5, 5]);
  optimizer.build([w]);
  const { storage, copySource, copyTarget, mapRead } = USAGE;
  const make = (size: number, usage: number) => {
    const buffer = device.device.createBuffer({ size, usage });
    onTestFinished(() => buffer.destroy());
    return buffer;
  };
  const [gradient, distance, near] = [make(16, storage), make(4, storage | copySource), make(4, copyTarget | mapRead)];
  const module = device.device.createShaderModule({ code: DISTANCE });
  const pipeline = device.device.createComputePipeline({ layout: "auto", compute: { module } });
  const bindGroup = device.device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [w.buffer, { buffer: gradient }, { buffer: distance }].map((resource, binding) => ({ binding, resource })),
  });
  let [steps, reads] = [0, 0];
  let known = Number.NaN;
  let reading: Promise<void> = Promise.resolve();
  const readDistance = async () => {
    reads++;
    await near.mapAsync(1);
    known = new Float32Array(near.getMappedRange())[0]!;
    near.unmap();
  };
  const loss = async () => {
    const isRead = steps++ % 10 === 0;
    if (isRead) await reading; // of ten steps ago: the queue has the nine since to go on with
    const encoder = device.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(1);
    pass.end();
    if (isRead) encoder.copyBufferToBuffer(distance, 0, near, 0, 4);
    queue.submit([encoder.finish()]);
    if (isRead) reading = readDistance();
    return { loss: known, gradients: [[{ buffer: gradient }, w]] as const };
  };
  const { epochs } = await fit({ optimizer, data: new Array(50).fill(0), loss, epochs: 2, progress: "none" });
  await reading;
  expect([reads, epochs.length]).toEqual([10, 2]);
  expect(known).toBeLessThan(4);

  using other = new Adamax({ backend: "interpreter", ...options });
  const v = variable([5, 5, 5, 5]);
  for (let i = 0; i < 100; i++) other.applyGradients([[Float32Array.from(v.value, (x, k) => x - k), v]]);
  other.finalizeVariableValues();
  expect(await read(w)).toEqual(await read(v));
});
