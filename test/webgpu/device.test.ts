/** Where a device comes from, what it needs, and what it says when something is wrong. */

import { expect, onTestFinished, test } from "vitest";
import { WebGpuBackend } from "../../src/backends/webgpu/backend.js";
import { Device } from "../../src/backends/webgpu/device.js";
import { allocate } from "../../src/backends/webgpu/memory.js";
import { assertBindable } from "../../src/backends/webgpu/plan.js";
import { DeviceStep } from "../../src/backends/webgpu/step.js";
import { USAGE } from "../../src/backends/webgpu/usage.js";
import { compile } from "../../src/rule/compile.js";
import { element } from "../../src/rule/expression.js";
import { gpu, ONE_CLASS, openDevice } from "./helpers.js";

const rejection = async (act: Promise<unknown>): Promise<string> => {
  const error = await act.then(
    () => new Error("nothing was thrown"),
    (thrown: Error) => thrown,
  );
  return `${error.name}: ${error.message}`;
};

/** A device of the caller's, whose shaders are changed before they are compiled. */
const givenDevice = async (change: (text: string) => string = (text) => text): Promise<GPUDevice> => {
  const device = await (await gpu.requestAdapter())!.requestDevice();
  const create = device.createShaderModule.bind(device);
  device.createShaderModule = (descriptor) => create({ ...descriptor, code: change(descriptor.code) });
  onTestFinished(() => device.destroy());
  return device;
};

const doubling = compile("float32", { w: element("w").mul(2) });
/** A variable of ones, and a step that doubles it. */
const doubler = async (device: Device) => {
  const { variables, free } = await allocate(device, [10], ["w", "g"]);
  variables[0]!.write("w", 0, new Float32Array(10).fill(1));
  const step = new DeviceStep(device, [doubling], ONE_CLASS);
  const rows = variables.map((arrays) => ({ arrays, class: 0 }));
  const run = () => step.run(rows, 1, { learningRate: 1, step: 1 });
  return { run, read: () => variables[0]!.read("w", 0, 10), step, free };
};

test("without WebGPU, the error says where to get it", async () => {
  expect(await rejection(Device.open())).toMatch(/BackendError: There is no WebGPU here.*npm|package webgpu.*backend wasm/);
});

test("what cannot be asked for an adapter is refused", async () => {
  expect(await rejection(Device.open({ gpu: {} as GPU }))).toMatch(/OptionError: gpu must have requestAdapter.*an object/);
});

test("without an adapter, the error says so", async () => {
  const none = { requestAdapter: async () => null } as unknown as GPU;
  expect(await rejection(Device.open({ gpu: none }))).toMatch(/BackendError: There is WebGPU here, but no adapter/);
});

test("an adapter that gives no device: the error says why", async () => {
  const requestDevice = () => Promise.reject(new Error("too many devices"));
  const busy = { requestAdapter: async () => ({ limits: {}, requestDevice }) } as unknown as GPU;
  expect(await rejection(Device.open({ gpu: busy }))).toMatch(/BackendError: The GPU adapter gives no device.*too many devices/);
});

test("why names the adapter and says how it rounds", async () => {
  expect((await openDevice()).why).toMatch(/^WebGPU on SwiftShader.*; it rounds quotients and square roots correctly$/);
});

test.each([
  ["quotients", "float(x) / float(y)", "float(x) * (1.0 / float(y))"],
  ["square roots", "sqrt(float(x))", "1.0 / inverseSqrt(float(x))"],
])("a device whose %s are a little off is found out, and its steps are corrected", async (what, right, wrong) => {
  const device = await Device.open({ device: await givenDevice((text) => text.replace(right, wrong)) });
  expect(device.why).toContain(`its own ${what} are not correctly rounded, and are corrected by integers`);
  expect(device.corrections).toEqual({ quotient: what === "quotients", root: what === "square roots" });
});

test("a device of the caller's is not destroyed, and loses what was made on it", async () => {
  const own = await givenDevice();
  const device = await Device.open({ device: own });
  const { run, read } = await doubler(device);
  run();
  expect([...(await read())]).toEqual(new Array(10).fill(2));
  expect(device.buffers).toBe(2 + 3); // arrays; table, totals, and what dispatches are told
  device.dispose();
  device.dispose();
  expect([device.buffers, device.bytes]).toEqual([0, 0]);
  expect(() => run()).toThrow(/The backend is disposed.*Make a new one/);
  const isLost = await Promise.race([own.lost.then(() => true), own.queue.onSubmittedWorkDone().then(() => false)]);
  expect(isLost).toBe(false);
});

test("steps and arrays free what they made, and a step goes on after it was freed", async () => {
  const device = await openDevice();
  const { run, read, step, free } = await doubler(device);
  run();
  step.dispose();
  step.dispose();
  expect(device.buffers).toBe(2);
  run();
  expect([...(await read())]).toEqual(new Array(10).fill(4));
  step.dispose();
  free();
  free();
  expect([device.buffers, device.bytes]).toEqual([0, 0]);
});

test("a lost device: the next call says what happened and what to do", async () => {
  const device = await openDevice();
  const { run, read } = await doubler(device);
  device.gpu.destroy();
  await device.gpu.lost;
  const words = /The GPU device is lost, and everything in its memory with it. Received: destroyed.*load the last checkpoint/;
  expect(() => run()).toThrow(words);
  expect(await rejection(read())).toMatch(words);
  expect(await rejection(allocate(device, [10], ["w"]))).toMatch(words);
});

test("a device that is lost while it is read from says so", async () => {
  const device = await openDevice();
  const { read } = await doubler(device);
  const reading = read();
  device.gpu.destroy();
  expect(await rejection(reading)).toMatch(/The GPU device is lost/);
});

test("more memory than there is: the error says how much, and nothing is left", async () => {
  const device = await openDevice();
  const { run, read } = await doubler(device);
  const before = [device.buffers, device.bytes];
  // A buffer that is larger than any may be.
  const tooLarge = allocate(device, [5, device.limits.maxBufferSize / 4 + 4096], ["w", "g"], 2 ** 30);
  expect(await rejection(tooLarge)).toMatch(/BackendError: The GPU has no memory.*a request for \d{10} bytes, beside 512 in use/);
  // And what a device without memory answers.
  const { popErrorScope } = device.gpu;
  let scopes = 0;
  device.gpu.popErrorScope = async () => {
    await popErrorScope.call(device.gpu);
    return scopes++ === 0 ? ({ message: "no memory left" } as GPUError) : null;
  };
  expect(await rejection(allocate(device, [10], ["w", "g"]))).toMatch(/a request for 512 bytes.*no memory left/);
  expect([device.buffers, device.bytes]).toEqual([before[0], before[1]]);
  run();
  expect([...(await read())]).toEqual(new Array(10).fill(2));
});

test("more arrays than a shader may bind: the error names them", async () => {
  const device = await openDevice();
  const names = Array.from({ length: device.limits.maxStorageBuffersPerShaderStage }, (_, i) => `slot${i}`);
  const sum = names.map((name) => element(name)).reduce((one, other) => one.add(other));
  expect(() => assertBindable(device, [compile("float32", { w: sum })])).toThrow(
    /more arrays at once than the GPU device binds.*slot0, .*maxStorageBuffersPerShaderStage is \d+/,
  );
});

test("a shader that does not compile is a bug of ours, and the report holds what it takes to mend it", async () => {
  const device = await openDevice();
  device.pipeline("test", "@compute @workgroup_size(1) fn main() { nonsense(); }");
  expect(await rejection(device.settle())).toMatch(/bug of adamax, not of your program.*SwiftShader.*nonsense/s);
  expect(() => device.assertUsable()).toThrow(/bug of adamax/);
});

test("a command that the device refuses, and that nobody watched, is told once", async () => {
  const device = await openDevice();
  const buffer = device.buffer("test", 16, USAGE.storage);
  device.gpu.queue.writeBuffer(buffer, 0, new Uint32Array(1)); // which that usage forbids
  await device.gpu.queue.onSubmittedWorkDone();
  expect(await rejection(device.settle())).toMatch(
    /has refused a command that nobody watched: one of yours on backend.device, or one of adamax/,
  );
  await device.settle();
});

test("a backend that is made with new is led to create, which waits for the device", () => {
  const Untyped = WebGpuBackend as unknown as new (given?: unknown) => unknown;
  for (const given of [undefined, null, {}])
    expect(() => new Untyped(given)).toThrow(/waits for its device\. Received: .*Call await WebGpuBackend\.create/);
});
