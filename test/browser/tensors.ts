/** tf.Variables on TensorFlow.js' webgpu backend, for tests. */

import * as tf from "@tensorflow/tfjs";

export const wave = (length: number, phase: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898 + phase) * 2);

export const variableOf = (name: string, values: Float32Array, shape: number[] = [values.length]): tf.Variable =>
  tf.tidy(() => tf.variable(tf.tensor(values, shape), true, name));

/** Of TensorFlow.js' backend. */
export interface Kernels {
  readonly device: GPUDevice;
  readonly tensorMap: { get(dataId: object): { resource: GPUBuffer } };
  submitQueue?: unknown;
}
export const kernels = (): Kernels => tf.backend() as unknown as Kernels;
