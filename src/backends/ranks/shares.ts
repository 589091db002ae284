/** Who keeps the state of what, and what of a variable lies where. Pure functions of numbers: every rank finds the same. */

import type { Range } from "../../backend.js";
import { BLOCK } from "../../rule/program.js";

/** The elements [begin, end) of `count` that are the part of `rank`, of `size`: contiguous, as even as whole numbers allow. */
export const partOf = (count: number, rank: number, size: number): readonly [begin: number, end: number] => [
  Math.floor((count * rank) / size),
  Math.floor((count * (rank + 1)) / size),
];

export const blocksIn = (length: number): number => Math.ceil(length / BLOCK);

/** Of each variable, by its length, the elements that `rank` of `size` keeps the state of: one run of blocks through the whole model, as even as whole blocks
 *  allow. Cut on blocks, because the sums of norms are. */
export const shareOf = (lengths: readonly number[], rank: number, size: number): Range[] => {
  const total = lengths.reduce((sum, length) => sum + blocksIn(length), 0);
  const [from, to] = partOf(total, rank, size);
  let before = 0;
  return lengths.map((length) => {
    const clip = (block: number) => Math.min(length, Math.max(0, block - before) * BLOCK);
    const range = { begin: clip(from), end: clip(to) };
    before += blocksIn(length);
    return range;
  });
};

/** The part of `range` that lies in [begin, end), counted from `begin`. */
export const within = (range: Range, begin: number, end: number): Range => {
  const clip = (at: number) => Math.min(Math.max(at, begin), end) - begin;
  return { begin: clip(range.begin), end: clip(range.end) };
};

export const lengthOf = ({ begin, end }: Range): number => end - begin;

/** Elements that lie together in a variable and in a rank's part of it. */
export interface Run {
  /** Where they begin in the whole. */
  readonly whole: number;
  /** Where they begin in the part. */
  readonly part: number;
  readonly length: number;
}

/** Of `runs`, which are in order, what lies in [begin, end) of the whole and in `range` of the part. */
export const runsWithin = (runs: Iterable<Run>, begin: number, end: number, range: Range): Run[] => {
  const list: Run[] = [];
  for (const { whole, part, length } of runs) {
    const from = Math.max(0, begin - whole, range.begin - part);
    const to = Math.min(length, end - whole, range.end - part);
    if (from < to) list.push({ whole: whole + from, part: part + from, length: to - from });
    if (whole >= end) break;
  }
  return list;
};
