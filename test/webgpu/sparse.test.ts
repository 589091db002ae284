/** Gradients that name only some rows, on a device: how they travel, and what is kept for them. */

import { Adamax, IndexedSlices, InterpreterBackend, Variable } from "adamax";
import { WebGpuBackend } from "adamax/webgpu";
import { expect, onTestFinished, test } from "vitest";
import { difference } from "../semantics/helpers.js";
import { around, gpu } from "./helpers.js";

/** The device's own limits are larger than this, which it is asked to keep. */
const BINDING = 4 * 8192;
const smallDevice = async () => {
  const device = await (await gpu.requestAdapter())!.requestDevice();
  const { maxStorageBuffersPerShaderStage, maxBufferSize } = device.limits;
  Object.defineProperty(device, "limits", {
    value: { maxStorageBuffersPerShaderStage, maxBufferSize, maxStorageBufferBindingSize: BINDING },
  });
  onTestFinished(() => device.destroy());
  return device;
};

test("rows that are more than a shader can bind go in several pieces, to several arenas, with the bits of the interpreter", async () => {
  const device = await smallDevice();
  const backend = await WebGpuBackend.create({ device });
  let most = 0;
  const { createBindGroup } = device;
  device.createBindGroup = (descriptor) => {
    for (const { resource } of descriptor.entries) {
      const { buffer, offset = 0, size } = resource as GPUBufferBinding;
      most = Math.max(most, size ?? buffer.size - offset);
    }
    return createBindGroup.call(device, descriptor);
  };
  const shapes = [
    [9000, 1],
    [300, 70],
    [2, 12_000],
  ] as const;
  const results = [backend, new InterpreterBackend()].map((on) => {
    const optimizer = new Adamax({ backend: on, learningRate: 0.1 });
    const variables = shapes.map((shape, i) => new Variable(around(1, shape[0] * shape[1], i + 1), { shape, name: `${i}` }));
    for (let step = 0; step < 2; step++)
      optimizer.applyGradients(
        variables.map((one, i) => {
          const rows = Array.from({ length: shapes[i]![0] }, (_, row) => (row * 7 + step) % shapes[i]![0]);
          return [new IndexedSlices(around(1, one.length, 10 * step + i), rows), one];
        }),
      );
    return { optimizer, variables };
  });
  const [there, here] = results.map(({ variables }) => variables);
  for (const [i, one] of there!.entries())
    expect(difference(await one.read(), await here![i]!.read()), `variable ${i}`).toBeNull();
  expect([most > 0, most <= BINDING]).toEqual([true, true]);
  backend.dispose();
});

test("the room for them stays as large as it was, whatever their number, and goes with the last optimizer", async () => {
  const device = await smallDevice();
  const backend = await WebGpuBackend.create({ device });
  const made = () => {
    const optimizer = new Adamax({ backend });
    return { optimizer, w: new Variable(new Float32Array(20_000), { shape: [20_000, 1], name: "w" }) };
  };
  const [one, two] = [made(), made()];
  const step = ({ optimizer, w }: typeof one, rows: number) => {
    const indices = Array.from({ length: rows }, (_, row) => row * 4);
    optimizer.applyGradients([[new IndexedSlices(around(1, rows, rows), indices), w]]);
  };
  step(one, 3000);
  for (let i = 0; i < 2; i++) step(two, 10);
  step(one, 10);
  const held = backend.memory.buffers;
  for (let rows = 1; rows < 200; rows++) step(one, 10 * rows);
  expect(backend.memory.buffers).toBe(held);
  one.optimizer.dispose();
  await one.w.read();
  step(two, 20);
  two.optimizer.dispose();
  await two.w.read();
  expect(backend.memory).toEqual({ buffers: 0, bytes: 0 });
  backend.dispose();
});
