/** The table that drives a step: the parts of its variables, and the tiles that workgroups take. It stays as it is until other variables take
 *  part in a step, or one has moved. */

import type { Width } from "./arithmetic.js";
import type { Halves } from "./arrays.js";
import { PART, type PartWords, SPAN, TILE } from "./layout.js";
import { type DeviceArrays, type Part, padded } from "./memory.js";
import { firstElement } from "./pairs.js";

/** A variable in a step. */
export interface StepRow {
  readonly arrays: DeviceArrays;
  /** Place in the list of classes. */
  readonly class: number;
  /** Place among all rows of the optimizer. */
  readonly index?: number;
}

/** What one dispatch of a pass works on: tiles of parts that have the program and the buffers in common. */
export interface Group {
  readonly program: number;
  readonly width: Width;
  /** Which arrays are not float32. */
  readonly halves: Halves;
  /** One of the parts, to ask for the buffers. */
  readonly sample: Part;
  readonly tiles: Range;
  /** The same elements, in the pieces that norms are added up in. */
  readonly spans: Range;
}

/** So many of a list, from the first on. */
export interface Range {
  readonly first: number;
  readonly count: number;
}

/** What one dispatch works on that evaluates scalars: the parts that have the program in common. */
export interface Section extends Range {
  readonly program: number;
}

export interface Table {
  /** The words of each part; for each tile the number of its part; for each span likewise; then the numbers of parts that have several spans. */
  readonly words: Uint32Array<ArrayBuffer>;
  readonly parts: number;
  readonly tiles: number;
  readonly spans: number;
  readonly large: number;
  readonly groups: readonly Group[];
  readonly sections: readonly Section[];
}

interface Entry {
  readonly part: Part;
  readonly words: PartWords;
}

/** The table for a step over these variables. `programOf`, `scalarsOf`: the program of a class, and where in the table its scalars begin.
 *  `merges`: for each program, how many elements may be taken for one variable, where variables follow each other in their arena. */
export const makeTable = (
  rows: readonly StepRow[],
  programOf: readonly number[],
  scalarsOf: readonly number[],
  merges: readonly number[],
): Table => {
  const entries: Entry[] = [];
  const sections: Section[] = [];
  const groups: Group[] = [];
  const tiles: number[] = [];
  const spans: number[] = [];
  for (const program of new Set(programOf)) {
    const firstPart = entries.length;
    for (const row of rows) {
      if (programOf[row.class] !== program) continue;
      for (const entry of entriesOf(row, entries.length, scalarsOf)) {
        const last = entries.length > firstPart ? entries.at(-1)! : null;
        const length = last ? entry.words.state + entry.words.length - last.words.state : 0;
        if (last && length <= merges[program]! && follows(entry, last)) last.words.length = length;
        else entries.push(entry);
      }
    }
    if (entries.length === firstPart) continue;
    sections.push({ program, first: firstPart, count: entries.length - firstPart });
    for (const members of byBuffers(entries, firstPart)) {
      const [firstTile, firstSpan] = [tiles.length, spans.length];
      for (const number of members) {
        const { words } = entries[number]!;
        words.firstTile = tiles.length;
        words.firstSpan = spans.length;
        for (let begin = 0; begin < words.length; begin += TILE) tiles.push(number);
        for (let begin = 0; begin < words.length; begin += SPAN) spans.push(number);
      }
      const sample = entries[members[0]!]!.part;
      const halves = { gradient: sample.g.isHalf === true, copy: sample.arena.has("half"), pairs: sample.pairs };
      groups.push({
        ...{ program, width: widthOf(sample), halves, sample },
        tiles: { first: firstTile, count: tiles.length - firstTile },
        spans: { first: firstSpan, count: spans.length - firstSpan },
      });
    }
  }
  const large = [...entries.keys()].filter((number) => entries[number]!.words.length > SPAN);
  const words = entries.flatMap((entry) => PART.map((name) => entry.words[name])).concat(tiles, spans, large);
  const counts = { parts: entries.length, tiles: tiles.length, spans: spans.length, large: large.length };
  return { words: Uint32Array.from(words), ...counts, groups, sections };
};

/** The parts of a variable stand side by side, wherever they lie: its norms join them. */
const entriesOf = (
  { arrays, class: rowClass, index = 0 }: StepRow,
  firstSibling: number,
  scalarsOf: readonly number[],
): Entry[] =>
  arrays.parts.map((part) => ({
    part,
    words: {
      length: part.length,
      scalars: scalarsOf[rowClass]!,
      firstTile: 0, // these two when its group is known
      firstSpan: 0,
      firstSibling,
      siblings: arrays.parts.length,
      state: part.offset,
      w: part.w.offset,
      g: part.g.offset,
      element: (firstElement(index) + part.begin) >>> 0,
    },
  }));

/** Whether all arrays of one begin where those of the other end, but for room that belongs to nobody. */
const follows = (one: Entry, other: Entry): boolean =>
  [one, other].every(({ part, words }) => isInArena(part) && words.w === words.state && words.g === words.state) &&
  one.part.arena === other.part.arena &&
  one.part.pairs.size === 0 && // random numbers are those of each variable
  one.words.scalars === other.words.scalars &&
  one.words.state === other.words.state + padded(other.words.length);

const isInArena = ({ arena, w, g }: Part): boolean => w.buffer === arena.get("w") && g.buffer === arena.get("g");

/** The numbers of the parts from `first` on, those together that lie in the same buffers. */
const byBuffers = (entries: readonly Entry[], first: number): number[][] => {
  const numbers = new Map<object, number>();
  const numberOf = (object: object): number => {
    if (!numbers.has(object)) numbers.set(object, numbers.size);
    return numbers.get(object)!;
  };
  const groups = new Map<string, number[]>();
  for (let number = first; number < entries.length; number++) {
    const { part } = entries[number]!;
    const shared = part.alone ? [part] : [part.arena, part.w.buffer, part.g.buffer];
    const key = [widthOf(part), part.g.isHalf, ...shared.map(numberOf)].join();
    const group = groups.get(key);
    if (group) group.push(number);
    else groups.set(key, [number]);
  }
  return [...groups.values()];
};

/** Four elements at a time, where every array allows it. Those of an arena do: what lies behind the end of a variable belongs to nobody. A gradient
 *  is only read, so that behind its end there need only be something. */
const widthOf = ({ arena, w, g, length }: Part): Width => {
  const isValueFit = w.buffer === arena.get("w") || (w.offset % 4 === 0 && length % 4 === 0);
  const end = g.offset + 4 * Math.ceil(length / 4);
  const isAnywhere = g.buffer !== arena.get("g") && g.buffer !== undefined; // a variable may have had no gradient yet
  const isGradientFit = !isAnywhere || (g.offset % 4 === 0 && end * (g.isHalf ? 2 : 4) <= g.buffer.size);
  return isValueFit && isGradientFit ? 4 : 1;
};
