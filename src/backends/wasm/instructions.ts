/** The instructions that operations become: of vectors of 128 bits, and of single elements. */

import type { Operation } from "../../rule/expression.js";
import type { DType } from "../../rule/program.js";
import { type Bytes, simd, TYPE, V128_CONST, ZERO_V128 } from "./encoding.js";

/** Instructions that take their inputs from the stack and leave the result there; the other operations are composed of several. */
const SIMPLE = ["abs", "neg", "sqrt", "add", "sub", "mul", "div", "min", "max"] as const satisfies readonly Operation[];
export interface Instructions {
  readonly simple: Readonly<Record<(typeof SIMPLE)[number], Bytes>>;
  readonly less: Bytes;
  readonly greater: Bytes;
  readonly load: Bytes;
  readonly store: Bytes;
  readonly type: number;
}
/** `codes`: those of SIMPLE in its order, then of comparing, loading and storing. */
const table = (opcode: (code: number) => Bytes, codes: readonly number[], type: number): Instructions => {
  const bytes = codes.map(opcode);
  const [less, greater, load, store] = bytes.slice(SIMPLE.length) as [Bytes, Bytes, Bytes, Bytes];
  const simple = Object.fromEntries(SIMPLE.map((operation, i) => [operation, bytes[i]])) as Instructions["simple"];
  return { simple, less, greater, load, store, type };
};
//                              abs   neg   sqrt  add   sub   mul   div   min   max   lt    gt    load  store
export const VECTOR: Readonly<Record<DType, Instructions>> = {
  float32: table(simd, [0xe0, 0xe1, 0xe3, 0xe4, 0xe5, 0xe6, 0xe7, 0xe8, 0xe9, 0x43, 0x44, 0x00, 0x0b], TYPE.v128),
  float64: table(simd, [0xec, 0xed, 0xef, 0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0x49, 0x4a, 0x00, 0x0b], TYPE.v128),
};
const plain = (code: number): Bytes => [code];
export const SCALAR: Readonly<Record<DType, Instructions>> = {
  float32: table(plain, [0x8b, 0x8c, 0x91, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x5d, 0x5e, 0x2a, 0x38], TYPE.f32),
  float64: table(plain, [0x99, 0x9a, 0x9f, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0x63, 0x64, 0x2b, 0x39], TYPE.f64),
};
export const ZERO: Readonly<Record<number, Bytes>> = {
  [TYPE.v128]: ZERO_V128,
  [TYPE.f32]: [0x43, 0, 0, 0, 0],
  [TYPE.f64]: [0x44, 0, 0, 0, 0, 0, 0, 0, 0],
};
export const F64 = { load: 0x2b, store: 0x39, add: 0xa0, mul: 0xa2, promote: 0xbb } as const;
export const F64X2 = { add: simd(0xf0), mul: simd(0xf2), extract: simd(0x21), promoteLow: simd(0x5f) } as const;
/** Moves the upper two of four float32 to the lower half, where they can be promoted. */
export const UPPER_HALF: Bytes = [...simd(0x0d), ...Array.from({ length: 16 }, (_, i) => (i + 8) % 16)];

export const V128 = { and: simd(0x4e), andNot: simd(0x4f), bitSelect: simd(0x52) } as const;
export const I32X4_MAX = simd(0xb8);
export const I64X2_GREATER = simd(0xd9);
export const PSEUDO = { float32: { min: simd(0xea), max: simd(0xeb) }, float64: { min: simd(0xf6), max: simd(0xf7) } } as const;
/** Every bit of a float but its sign. */
export const MAGNITUDE: Readonly<Record<DType, Bytes>> = {
  float32: [...V128_CONST, ...new Array<Bytes>(4).fill([0xff, 0xff, 0xff, 0x7f]).flat()],
  float64: [...V128_CONST, ...new Array<Bytes>(2).fill([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]).flat()],
};
