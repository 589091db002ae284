/** The sum of what the ranks have sent, in their order, compiled to WebAssembly: the same loops in TypeScript take eight times as long, longer than the exchange.
 *
 *  Each element becomes factors[0] * part[0] + factors[1] * part[1] + ..., computed in float64 from left to right and rounded once to the dtype. */

import { at, encodeModule, getLocal, i32Const, setLocal, simd, v128Const, type WasmFunction } from "../backends/wasm/encoding.js";
import { PROMOTE_LOW, VECTOR } from "../backends/wasm/instructions.js";
import * as OP from "../backends/wasm/opcodes.js";
import type { DType } from "../rule/program.js";

type Bytes = OP.Bytes;

/** Adds `count` elements. Pointers and the stride are bytes; `parts` of `ranks` ranks, one every `stride`; `factors` are float64. It may touch up to
 *  `OVERRUN` elements behind the last one. */
export type Addition = (parts: number, stride: number, ranks: number, factors: number, out: number, count: number) => void;

/** Pairs of elements that the loop adds side by side. */
const PAIRS = 4;
export const OVERRUN: number = 2 * PAIRS;

/** Parameters, then variables; the last are the sums, one for each pair. */
const PARTS = 0;
const STRIDE = 1;
const RANKS = 2;
const FACTORS = 3;
const OUT = 4;
const TURNS = 5;
const PART = 6;
const FACTOR_PLACE = 7;
const LEFT = 8;
const FACTOR = 9;
const SUM = 10;

/** Two elements to float64 and back, and the bytes that they take. */
const PAIR: Readonly<Record<DType, { bytes: number; load: (at: Bytes) => Bytes; store: (at: Bytes) => Bytes }>> = {
  float32: {
    bytes: 8,
    load: (place) => [...simd(0x5d), ...place, ...PROMOTE_LOW], // v128.load64_zero
    store: (place) => [...simd(0x5e), ...simd(0x5b), ...place, 0], // f32x4.demote_f64x2_zero, v128.store64_lane
  },
  float64: {
    bytes: 16,
    load: (place) => [...VECTOR.float64.load, ...place],
    store: (place) => [...VECTOR.float64.store, ...place],
  },
};
/** Where adding begins: -0 + x is x, for -0 too. */
const MINUS_ZERO = v128Const(0, 0, 0, 0, 0, 0, 0, 0x80);
const F64X2 = { add: simd(0xf0), mul: simd(0xf2) } as const;

const addition = (dtype: DType): WasmFunction => {
  const { bytes, load, store } = PAIR[dtype];
  const forEachPair = (code: (sum: number, offset: number) => Bytes): Bytes =>
    Array.from({ length: PAIRS }, (_, pair) => code(SUM + pair, pair * bytes)).flat();
  const move = (local: number, by: Bytes): Bytes => [...getLocal(local), ...by, OP.i32Add, ...setLocal(local)];
  const copy = (to: number, from: number): Bytes => [...getLocal(from), ...setLocal(to)];
  const repeatWhile = (local: number): Bytes => [...move(local, i32Const(-1)), ...getLocal(local), ...OP.brIf, OP.end];
  return {
    type: 0,
    locals: [
      [3, OP.i32],
      [1 + PAIRS, OP.v128],
    ],
    code: [
      ...OP.loop,
      ...[...copy(PART, PARTS), ...copy(FACTOR_PLACE, FACTORS), ...copy(LEFT, RANKS)],
      ...forEachPair((sum) => [...MINUS_ZERO, ...setLocal(sum)]),
      ...OP.loop,
      ...[...getLocal(FACTOR_PLACE), ...simd(0x0a), ...at(0), ...setLocal(FACTOR)], // v128.load64_splat
      ...forEachPair((sum, offset) => [
        ...[...getLocal(sum), ...getLocal(PART), ...load(at(offset))],
        ...[...getLocal(FACTOR), ...F64X2.mul, ...F64X2.add, ...setLocal(sum)],
      ]),
      ...[...move(PART, getLocal(STRIDE)), ...move(FACTOR_PLACE, i32Const(8))],
      ...repeatWhile(LEFT),
      ...forEachPair((sum, offset) => [...getLocal(OUT), ...getLocal(sum), ...store(at(offset))]),
      ...[...move(PARTS, i32Const(PAIRS * bytes)), ...move(OUT, i32Const(PAIRS * bytes))],
      ...repeatWhile(TURNS),
    ],
  };
};

/** The additions in `memory`, by dtype. */
export const additionsIn = (memory: WebAssembly.Memory): Readonly<Record<DType, Addition>> => {
  const parameters = new Array<number>(6).fill(OP.i32);
  const instantiate = (dtype: DType): Addition => {
    const module = new WebAssembly.Module(encodeModule([parameters], [addition(dtype)], null));
    const { run } = new WebAssembly.Instance(module, { memory: { memory } }).exports as unknown as { run: Addition };
    return (parts, stride, ranks, factors, out, count) => {
      if (count > 0) run(parts, stride, ranks, factors, out, Math.ceil(count / OVERRUN));
    };
  };
  return { float32: instantiate("float32"), float64: instantiate("float64") };
};
