/** Figures about arrays. Pure. */

import { isFloating, type Numbers } from "../checkpoint/keras/arrays.js";

export interface Statistics {
  /** Of the finite numbers; null when there are none. */
  readonly min: number | null;
  readonly max: number | null;
  readonly mean: number | null;
  readonly zeros: number;
  readonly nonFinite: number;
}

export const statisticsOf = (values: Numbers): Statistics => {
  let [min, max, zeros, nonFinite] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0];
  let [mean, finite] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    const value = Number(values[i]);
    if (value === 0) zeros++;
    if (!Number.isFinite(value)) nonFinite++;
    else {
      if (value < min) min = value;
      if (value > max) max = value;
      mean += (value - mean) / ++finite; // a sum of float64 could overflow
    }
  }
  return finite === 0 ? { min: null, max: null, mean: null, zeros, nonFinite } : { min, max, mean, zeros, nonFinite };
};

/** How many of the finite numbers lie in each of `bins` equal parts of their range; equal numbers all lie in the middle one. */
export const histogramOf = (values: Numbers, { min, max }: Statistics, bins: number): number[] => {
  const counts = new Array<number>(bins).fill(0);
  if (min === null || max === null) return counts;
  const scale = bins / (max / 2 - min / 2); // halves: the range of float64 numbers may be no number
  for (let i = 0; i < values.length; i++) {
    const value = Number(values[i]);
    if (!Number.isFinite(value)) continue;
    const bin = min === max ? Math.floor(bins / 2) : Math.min(bins - 1, Math.floor((value / 2 - min / 2) * scale));
    counts[bin]!++;
  }
  return counts;
};

/** Elements that differ, and the largest distance in ulps: how many numbers of the type lie between. Two NaNs are the same. */
export const distance = (a: Numbers, b: Numbers): { elements: number; ulps: number } => {
  let [elements, ulps] = [0, 0];
  const double = a instanceof Float64Array || b instanceof Float64Array;
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [Number(a[i]), Number(b[i])];
    if (x === y || (Number.isNaN(x) && Number.isNaN(y))) continue;
    elements++;
    const between = !isFloating(a) ? Math.abs(x - y) : Math.abs(Number(ordinal(x, double) - ordinal(y, double)));
    ulps = Math.max(ulps, Number.isNaN(x) || Number.isNaN(y) ? Number.POSITIVE_INFINITY : between);
  }
  return { elements, ulps };
};

const view = new DataView(new ArrayBuffer(8));
/** The place of a number among all of its type, in order. */
const ordinal = (value: number, double: boolean): bigint => {
  if (double) view.setFloat64(0, value);
  else view.setFloat32(0, value);
  const bits = double ? view.getBigInt64(0) : BigInt(view.getInt32(0));
  return bits >= 0n ? bits : (double ? -(2n ** 63n) : -(2n ** 31n)) - bits;
};
