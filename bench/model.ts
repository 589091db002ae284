/** The models that all sides train, and their numbers. */

export interface Model {
  readonly tensors: number;
  /** Parameters in each tensor. */
  readonly size: number;
}

export const parametersOf = ({ tensors, size }: Model): number => tensors * size;

export const nameOf = ({ tensors, size }: Model): string => (tensors === 1 ? count(size) : `${tensors} x ${count(size)}`);

const count = (size: number): string => (size < 10_000 ? `${size}` : size.toExponential().replace("e+", "e"));

/** Uniform in [-0.5, 0.5), exact in float32. The C program makes the same numbers. */
export const fill = <T extends Float32Array | Float64Array>(values: T, seed: number): T => {
  let state = seed >>> 0;
  for (let i = 0; i < values.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = (state >>> 8) / 2 ** 24 - 0.5;
  }
  return values;
};

/** Values of tensor `t`, and its gradient. */
export const initialValue = (t: number, size: number): Float32Array => fill(new Float32Array(size), 2 * t + 1);
export const initialGradient = (t: number, size: number): Float32Array => fill(new Float32Array(size), 2 * t + 2);

/** What every side computes with; Keras' defaults. */
export const LEARNING_RATE = 0.001;
export const BETA1 = 0.9;
export const BETA2 = 0.999;
export const EPSILON = 1e-7;

/** FNV-1a over the bits, continued from `hash`; equal to the C program's. */
export const hashBits = (values: Float32Array, hash = 2166136261): number => {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < bits.length; i++) hash = Math.imul(hash ^ bits[i]!, 16777619) >>> 0;
  return hash;
};
