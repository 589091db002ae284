/** The package's entry adamax/webgpu: training where shaders are, in the memory of a GPU. */

export { WebGpuBackend, type WebGpuOptions } from "../backends/webgpu/backend.js";
export type { DeviceSource } from "../backends/webgpu/device.js";
export type { BufferVariable, BufferVariableOptions } from "../backends/webgpu/variable.js";
