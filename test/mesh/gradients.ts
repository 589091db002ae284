/** A model whose arrays are of every kind, and gradients for it that say which rank's they are. */

import { createHash } from "node:crypto";
import type { Values } from "../../src/backend.js";
import type { Segment, Shape } from "../../src/mesh/shares.js";
import { ARRAYS } from "../../src/rule/program.js";

/** Large ones to cut, small ones to pack, a tail, a single element, nothing; both dtypes. */
export const MODEL: readonly Shape[] = [
  { length: 300_001, dtype: "float32" },
  { length: 10, dtype: "float32" },
  { length: 0, dtype: "float32" },
  { length: 70_000, dtype: "float64" },
  { length: 1, dtype: "float64" },
  { length: 4096, dtype: "float32" },
  { length: 3, dtype: "float64" },
  { length: 131_072, dtype: "float32" },
  { length: 5000, dtype: "float64" },
];

export const ONE_BLOCK: readonly Shape[] = [{ length: 10, dtype: "float32" }];

/** Of sizes so different that another order of adding shows in the last bits. */
export const gradientsOf = (rank: number, model: readonly Shape[] = MODEL): Values[] =>
  model.map(({ length, dtype }, i) => {
    let state = 7919 * rank + i + 1;
    const next = () => {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      return state / 2 ** 31;
    };
    const values = new ARRAYS[dtype](length);
    for (let k = 0; k < length; k++) values[k] = next() * 10 ** (6 * next());
    return values;
  });

/** What must come of it: factors[0] * first + factors[1] * second + ..., in float64, rounded once. */
export const plainSum = (parts: readonly (readonly Values[])[], factors: ArrayLike<number>): Values[] =>
  parts[0]!.map((first, i) =>
    first.map((_, k) => {
      let sum = -0;
      for (const [rank, part] of parts.entries()) if (factors[rank] !== 0) sum += factors[rank]! * part[i]![k]!;
      return sum;
    }),
  );

/** The bits of arrays, or of some segments of them. */
export const digest = (arrays: readonly Values[], segments?: readonly Segment[]): string => {
  const hash = createHash("sha256");
  const all = arrays.map(({ length }, array) => ({ array, begin: 0, end: length }));
  for (const { array, begin, end } of segments ?? all) {
    const part = arrays[array]!.slice(begin, end);
    hash.update(new Uint8Array(part.buffer));
  }
  return hash.digest("hex");
};

/** The bits of arrays in which all NaN are one. */
export const digestOf = (arrays: readonly Values[]): string =>
  digest(arrays.map((values) => values.map((x) => (Number.isNaN(x) ? NaN : x))));
