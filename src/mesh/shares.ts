/** Who owns what, and in which pieces it travels: pure functions of numbers, so that every rank comes to the same without a word. */

import type { Range } from "../backend.js";
import { blocksIn, partOf, shareOf } from "../backends/ranks/shares.js";
import { ARRAYS, BLOCK, type DType } from "../rule/program.js";

/** An array of the model. */
export interface Shape {
  readonly length: number;
  readonly dtype: DType;
}

/** Elements [begin, end) of one array. */
export interface Segment {
  /** Its place in the list of arrays. */
  readonly array: number;
  readonly begin: number;
  readonly end: number;
}

/** By rank, the segments that are these ranges of the arrays. */
export const segmentsOf = (rangesByArray: readonly (readonly Range[])[], size: number): Segment[][] =>
  Array.from({ length: size }, (_, rank) =>
    rangesByArray.flatMap((ranges, array) => {
      const { begin, end } = ranges[rank]!;
      return begin < end ? [{ array, begin, end }] : [];
    }),
  );

/** Shares as even as whole blocks allow: of each array, by rank, which elements. */
export const evenRanges = (lengths: readonly number[], size: number): Range[][] => {
  const byRank = Array.from({ length: size }, (_, rank) => shareOf(lengths, rank, size));
  return lengths.map((_, array) => byRank.map((ranges) => ranges[array]!));
};

/** Words of four bytes in an element. */
export const wordsPerElement = (dtype: DType): number => ARRAYS[dtype].BYTES_PER_ELEMENT / 4;

/** One piece of every rank's share, which travel together. */
export interface Round {
  /** By rank: its segments. */
  readonly pieces: readonly (readonly Segment[])[];
  /** By rank: the words of its piece. */
  readonly counts: Int32Array;
  /** Whether a piece is one segment at most, which can travel from where it lies. */
  readonly isDirect: boolean;
}

/** Words that a round moves from or to one rank: large enough that messages cost little, and small enough for the cache. (A step of 1e7 on two ranks, in
 *  milliseconds: 10.3 with 2^17, 8.1 with 2^18, 7.6 with 2^19, 8.2 with 2^20; from 2^20 on, an exchange that is disturbed takes much longer.) */
const ROUND = 2 ** 18;
/** With many ranks a round becomes more: messages get no smaller than this. */
const LEAST_PIECE = 2 * BLOCK;
/** A segment of fewer words is packed together with others, as copying it costs less than a message. */
const SMALL = 4 * BLOCK;

/** The shares of all ranks, `shares` by rank, cut into pieces. Every element of the model is in one piece of one round. */
export const roundsOf = (model: readonly Shape[], shares: readonly (readonly Segment[])[]): Round[] => {
  const size = shares.length;
  const limit = Math.max(LEAST_PIECE, Math.floor(ROUND / size / LEAST_PIECE) * LEAST_PIECE);
  const small = Math.min(SMALL, limit);
  const words = model.map(({ dtype }) => wordsPerElement(dtype));
  const wordsOf = ({ array, begin, end }: Segment) => (end - begin) * words[array]!;
  const direct: Segment[][][] = [];
  const together: Segment[][][] = [];
  for (const share of shares) {
    const large = share.filter((segment) => wordsOf(segment) >= small);
    const rest = share.filter((segment) => wordsOf(segment) < small);
    direct.push(large.flatMap((segment) => cut(segment, limit / words[segment.array]!)));
    together.push(pack(rest, wordsOf, limit));
  }
  return [...sideBySide(direct), ...sideBySide(together)].map((pieces) => ({
    pieces,
    counts: Int32Array.from(pieces, (piece) => piece.reduce((sum, segment) => sum + wordsOf(segment), 0)),
    isDirect: pieces.every((piece) => piece.length <= 1),
  }));
};

/** The k-th of each list, for every k; of lists that have ended, nothing. */
const sideBySide = (lists: readonly (readonly Segment[][])[]): Segment[][][] =>
  Array.from({ length: Math.max(...lists.map((list) => list.length)) }, (_, k) => lists.map((list) => list[k] ?? []));

/** `segment` in pieces as even as whole blocks allow, none of more than `limit` elements, which are whole blocks. */
const cut = ({ array, begin, end }: Segment, limit: number): Segment[][] => {
  const blocks = blocksIn(end - begin);
  const pieces = Math.ceil((blocks * BLOCK) / limit);
  return Array.from({ length: pieces }, (_, i) => {
    const [first, last] = partOf(blocks, i, pieces);
    return [{ array, begin: begin + first * BLOCK, end: Math.min(end, begin + last * BLOCK) }];
  });
};

/** The segments in groups, none of more than `limit` words. */
const pack = (segments: readonly Segment[], wordsOf: (segment: Segment) => number, limit: number): Segment[][] => {
  const groups: Segment[][] = [];
  let room = 0;
  for (const segment of segments) {
    const words = wordsOf(segment);
    if (words > room) {
      groups.push([]);
      room = limit;
    }
    groups.at(-1)!.push(segment);
    room -= words;
  }
  return groups;
};
