/** How a pass sums squares: in float64, element i of a block in lane i % LANES, the lanes joined by a fixed tree. `partial` is the first of the
 *  locals that hold a sum's lanes, two in each; `scratch` the local of a pointer to memory for them. */

import { type DType, LANES } from "../../rule/program.js";
import { at, type Bytes, getLocal, setLocal } from "./encoding.js";
import { F64, F64X2, UPPER_HALF, VECTOR } from "./instructions.js";

/** Adds the squares of one vector to its lanes: element i of the iteration to lane i. */
export const addSquares = (dtype: DType, value: number, partial: number, copy: number): Bytes => {
  const halves: Bytes[] =
    dtype === "float64"
      ? [getLocal(value)]
      : [
          [...getLocal(value), ...F64X2.promoteLow],
          [...getLocal(value), ...getLocal(value), ...UPPER_HALF, ...F64X2.promoteLow],
        ];
  return halves.flatMap((half, i) => {
    const lane = partial + copy * halves.length + i;
    // Promoting twice is cheaper than a local: the engine shares it.
    return [...getLocal(lane), ...half, ...half, ...F64X2.mul, ...F64X2.add, ...setLocal(lane)];
  });
};

/** Writes the lanes of a sum to scratch memory, where the tail can reach each. */
export const spill = (scratch: number, partial: number, sum: number): Bytes =>
  Array.from({ length: LANES / 2 }, (_, k) => [
    ...getLocal(scratch),
    ...getLocal(partial + sum * (LANES / 2) + k),
    ...VECTOR.float64.store,
    ...at(sum * LANES * 8 + k * 16),
  ]).flat();

/** Adds the square of one element of the tail to its lane in scratch memory, which `scratch` points at by then. */
export const addSquare = (dtype: DType, scratch: number, value: number, sum: number): Bytes => {
  const wide = dtype === "float64" ? getLocal(value) : [...getLocal(value), F64.promote];
  const lane = at(sum * LANES * 8);
  return [...getLocal(scratch), ...getLocal(scratch), F64.load, ...lane, ...wide, ...wide, F64.mul, F64.add, F64.store, ...lane];
};

/** Joins the lanes by the fixed tree: i with i + 8, then + 4, + 2, + 1; and stores the sum of the block. */
export const join = (scratch: number, partial: number, sumsAt: number, sum: number): Bytes => {
  const lane = (k: number) => partial + sum * (LANES / 2) + k;
  const code: Bytes = [];
  for (let k = 0; k < LANES / 2; k++)
    code.push(...getLocal(scratch), ...VECTOR.float64.load, ...at(sum * LANES * 8 + k * 16), ...setLocal(lane(k)));
  for (let half = LANES / 4; half >= 1; half /= 2)
    for (let k = 0; k < half; k++)
      code.push(...getLocal(lane(k)), ...getLocal(lane(k + half)), ...F64X2.add, ...setLocal(lane(k)));
  code.push(
    ...getLocal(sumsAt),
    ...getLocal(lane(0)),
    ...F64X2.extract,
    0,
    ...getLocal(lane(0)),
    ...F64X2.extract,
    1,
    F64.add,
    F64.store,
    ...at(sum * 8),
  );
  return code;
};
