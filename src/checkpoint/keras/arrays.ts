/** Arrays as Keras' files hold them, and as we do. */

import { CheckpointError } from "../../errors.js";

/** Arrays of numbers, as files hold them. */
export type Numbers =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** An array of a file, in row-major order. float16 and bfloat16 are read as float32. */
export interface StoredArray {
  readonly name: string;
  readonly shape: readonly number[];
  /** In the file: "float32", "float16", "bfloat16", "int64", ... */
  readonly dtype: string;
  readonly value: Numbers;
}

const TYPES = {
  float64: Float64Array, float32: Float32Array, int8: Int8Array, uint8: Uint8Array, bool: Uint8Array, int16: Int16Array, uint16: Uint16Array,
  int32: Int32Array, uint32: Uint32Array, int64: BigInt64Array, uint64: BigUint64Array, float16: Uint16Array, bfloat16: Uint16Array,
} as const; // biome-ignore format: a table
type TypeName = keyof typeof TYPES;

export const isTypeName = (dtype: string): dtype is TypeName => Object.hasOwn(TYPES, dtype);
export const elementBytes = (dtype: TypeName): number => TYPES[dtype].BYTES_PER_ELEMENT;
export const elementsOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** The numbers in `bytes`, little-endian unless told otherwise; copied. */
export const decodeNumbers = (dtype: TypeName, bytes: Uint8Array, bigEndian = false): Numbers => {
  const copy = bytes.slice(); // aligned
  const size = elementBytes(dtype);
  if (bigEndian) for (let at = 0; at + size <= copy.length; at += size) copy.subarray(at, at + size).reverse();
  const raw = new TYPES[dtype](copy.buffer, 0, Math.floor(copy.length / size));
  if (dtype === "float16") return Float32Array.from(raw as Uint16Array, fromFloat16);
  if (dtype === "bfloat16") return new Float32Array(Uint32Array.from(raw as Uint16Array, (bits) => bits << 16).buffer);
  return raw;
};

/** Exact: float32 holds every float16. */
const fromFloat16 = (bits: number): number => {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  if (exponent === 0) return sign * fraction * 2 ** -14;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction) * 2 ** (exponent - 15);
};

export const isFloating = (value: Numbers): value is Float32Array | Float64Array =>
  value instanceof Float32Array || value instanceof Float64Array;

/** @throws CheckpointError unless the array has as many elements as its shape. */
export const checkedArray = (array: StoredArray): StoredArray => {
  if (elementsOf(array.shape) === array.value.length) return array;
  throw new CheckpointError(
    `${array.name} has shape [${array.shape}]`,
    `${array.value.length} elements`,
    "The file is damaged; write it again.",
  );
};
