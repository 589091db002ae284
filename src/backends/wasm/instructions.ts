/** The instructions that operations become: of vectors of 128 bits, and of single elements. */

import type { Operation } from "../../rule/expression.js";
import type { DType } from "../../rule/program.js";
import { simd, v128Const } from "./encoding.js";
import { type Bytes, f32, f64, select, v128 } from "./opcodes.js";

/** Operations that are one instruction, which takes its inputs from the stack and leaves the result there; the others are composed of several. */
type Simple = Exclude<Operation, "flush" | "ifPositive">;
/** pmin and pmax, which vectors alone have, give the second where it is less or greater than the first, else the first. */
type Pseudo = "pmin" | "pmax";
export interface Instructions
  extends Readonly<Record<Simple | Pseudo | "less" | "greater" | "load" | "store" | "zero" | "select", Bytes>> {
  readonly type: number;
}
const FROM_SQRT = ["sqrt", "add", "sub", "mul", "div", "min", "max", "pmin", "pmax"] as const satisfies readonly (
  | Simple
  | Pseudo
)[];
/** Codes follow each other in three rows: abs and neg, those of FROM_SQRT, less and greater. */
const table = (
  opcode: (code: number) => Bytes,
  [abs, sqrt, less, load, store]: [abs: number, sqrt: number, less: number, load: number, store: number],
  type: number,
  zero: Bytes,
  select: Bytes,
): Instructions => {
  const fromSqrt = Object.fromEntries(FROM_SQRT.map((operation, i) => [operation, opcode(sqrt + i)]));
  return {
    ...(fromSqrt as Record<(typeof FROM_SQRT)[number], Bytes>),
    abs: opcode(abs),
    neg: opcode(abs + 1),
    less: opcode(less),
    greater: opcode(less + 1),
    load: opcode(load),
    store: opcode(store),
    type,
    zero,
    select,
  };
};
export const BIT_SELECT = simd(0x52);
export const VECTOR: Readonly<Record<DType, Instructions>> = {
  float32: table(simd, [0xe0, 0xe3, 0x43, 0x00, 0x0b], v128, v128Const(0), BIT_SELECT),
  float64: table(simd, [0xec, 0xef, 0x49, 0x00, 0x0b], v128, v128Const(0), BIT_SELECT),
};
const plain = (code: number): Bytes => [code];
export const SCALAR: Readonly<Record<DType, Instructions>> = {
  float32: table(plain, [0x8b, 0x91, 0x5d, 0x2a, 0x38], f32, [0x43, 0, 0, 0, 0], [select]),
  float64: table(plain, [0x99, 0x9f, 0x63, 0x2b, 0x39], f64, [0x44, 0, 0, 0, 0, 0, 0, 0, 0], [select]),
};
/** From float32 to float64: one element, and the lower two of a vector. */
export const PROMOTE = 0xbb;
export const PROMOTE_LOW = simd(0x5f);
/** Moves the upper two of four float32 to the lower half, where they can be promoted. */
export const UPPER_HALF: Bytes = [simd(0x0d), Array.from({ length: 16 }, (_, i) => (i + 8) % 16)];
/** One of the two float64 of a vector. */
export const extract = (lane: 0 | 1): Bytes => [simd(0x21), lane];

export const AND = simd(0x4e);
export const AND_NOT = simd(0x4f);
export const I32X4_MAX = simd(0xb8);
export const I64X2_GREATER = simd(0xd9);
/** Every bit of a float but its sign. */
export const MAGNITUDE: Readonly<Record<DType, Bytes>> = {
  float32: v128Const(0xff, 0xff, 0xff, 0x7f),
  float64: v128Const(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f),
};
