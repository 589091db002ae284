/** Who keeps the state of what. Pure functions of numbers: every rank finds the same. */

import { BLOCK } from "../../rule/program.js";
import type { Range } from "../backend.js";

/** Of each variable, by its length, the elements that `rank` of `size` keeps the state of: one run of blocks through the whole model, as even as whole blocks
 *  allow. Cut on blocks, because the sums of norms are. */
export const shareOf = (lengths: readonly number[], rank: number, size: number): Range[] => {
  const blocks = lengths.map((length) => Math.ceil(length / BLOCK));
  const total = blocks.reduce((sum, count) => sum + count, 0);
  const [from, to] = [Math.floor((total * rank) / size), Math.floor((total * (rank + 1)) / size)];
  let before = 0;
  return lengths.map((length, i) => {
    const clip = (block: number) => Math.min(length, Math.max(0, block - before) * BLOCK);
    const range = { begin: clip(from), end: clip(to) };
    before += blocks[i]!;
    return range;
  });
};

/** The part of `range` that lies in [begin, end), counted from `begin`. */
export const within = (range: Range, begin: number, end: number): Range => {
  const clip = (at: number) => Math.min(Math.max(at, begin), end) - begin;
  return { begin: clip(range.begin), end: clip(range.end) };
};

export const lengthOf = ({ begin, end }: Range): number => end - begin;
