/** How a pass sums squares: in float64, element i of a block in lane i % LANES, the lanes joined by a fixed tree. `partial` is the first of the
 *  locals that hold a sum's lanes, two in each; `scratch` the local of a pointer to memory for them. */

import { type DType, LANES } from "../../rule/program.js";
import { at, getLocal, setLocal } from "./encoding.js";
import { extract, PROMOTE, PROMOTE_LOW, SCALAR, UPPER_HALF, VECTOR } from "./instructions.js";
import type { Bytes } from "./opcodes.js";

const F64 = SCALAR.float64;
const F64X2 = VECTOR.float64;
/** Places of the pairs of lanes of a sum. */
const PAIRS = [...Array(LANES / 2).keys()];

const laneAt = (sum: number, pair: number): Bytes => at(sum * LANES * 8 + pair * 16);

/** Adds the squares of one vector to its lanes: element i of the iteration to lane i. */
export const addSquares = (dtype: DType, value: number, partial: number, copy: number): Bytes => {
  const x = getLocal(value);
  const halves: Bytes[] =
    dtype === "float64"
      ? [x]
      : [
          [x, PROMOTE_LOW],
          [x, x, UPPER_HALF, PROMOTE_LOW],
        ];
  return halves.map((half, i) => {
    const lane = partial + copy * halves.length + i;
    // Promoting twice is cheaper than a local: the engine shares it.
    return setLocal(lane, getLocal(lane), half, half, F64X2.mul, F64X2.add);
  });
};

/** Before a block. */
export const clear = (partial: number): Bytes => PAIRS.map((pair) => setLocal(partial + pair, F64X2.zero));

/** Writes the lanes of a sum to scratch memory, where the tail can reach each. */
export const spill = (scratch: number, partial: number, sum: number): Bytes =>
  PAIRS.map((pair) => [getLocal(scratch), getLocal(partial + pair), F64X2.store, laneAt(sum, pair)]);

/** Adds the square of one element of the tail to its lane in scratch memory, which `scratch` points at by then. */
export const addSquare = (dtype: DType, scratch: number, value: number, sum: number): Bytes => {
  const wide = dtype === "float64" ? getLocal(value) : [getLocal(value), PROMOTE];
  const lane = laneAt(sum, 0);
  return [getLocal(scratch), getLocal(scratch), F64.load, lane, wide, wide, F64.mul, F64.add, F64.store, lane];
};

/** Joins the lanes by the fixed tree: i with i + 8, then + 4, + 2, + 1; and stores the sum of the block. */
export const join = (scratch: number, partial: number, sumsAt: number, sum: number): Bytes => {
  const code: Bytes[] = PAIRS.map((pair) => setLocal(partial + pair, getLocal(scratch), F64X2.load, laneAt(sum, pair)));
  for (let half = LANES / 4; half >= 1; half /= 2)
    for (let pair = partial; pair < partial + half; pair++)
      code.push(setLocal(pair, getLocal(pair), getLocal(pair + half), F64X2.add));
  const total = getLocal(partial);
  return [code, getLocal(sumsAt), total, extract(0), total, extract(1), F64.add, F64.store, at(sum * 8)];
};
