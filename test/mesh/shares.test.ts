/** Who owns what: every element somebody, none two, and each piece where it belongs. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { partOf } from "../../src/backends/ranks/shares.js";
import { Layout } from "../../src/mesh/layout.js";
import {
  evenRanges,
  type Round,
  roundsOf as roundsOfShares,
  type Segment,
  type Shape,
  segmentsOf,
  wordsPerElement,
} from "../../src/mesh/shares.js";
import { UNSHARDED } from "../../src/mesh/unsharded.js";
import { BLOCK } from "../../src/rule/program.js";
import { meshOf } from "./fakes.js";

const anyLength = fc.oneof(
  fc.integer({ min: 0, max: 20 }),
  fc.integer({ min: 0, max: 40 * BLOCK }),
  fc.constantFrom(BLOCK, 3 * BLOCK),
);
const anyModel: fc.Arbitrary<Shape[]> = fc.array(
  fc.record({ length: anyLength, dtype: fc.constantFrom("float32" as const, "float64" as const) }),
  { maxLength: 12 },
);
const anySize = fc.oneof(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 70 }));

/** What the segments make up where each of them begins at the end of another. */
const joined = (segments: readonly Segment[]): Segment[] => {
  const list: Segment[] = [];
  for (const segment of [...segments].sort((a, b) => a.array - b.array || a.begin - b.begin)) {
    const last = list.at(-1);
    if (last?.array === segment.array && last.end === segment.begin) list[list.length - 1] = { ...last, end: segment.end };
    else list.push(segment);
  }
  return list;
};
const whole = (model: readonly Shape[]): Segment[] =>
  model.flatMap(({ length }, array) => (length > 0 ? [{ array, begin: 0, end: length }] : []));

test("parts are contiguous, cover everything, and differ by one at most", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 1000 }), anySize, (count, size) => {
      const parts = Array.from({ length: size }, (_, rank) => partOf(count, rank, size));
      expect(parts[0]![0]).toBe(0);
      expect(parts.at(-1)![1]).toBe(count);
      for (const [rank, [begin]] of parts.entries()) if (rank > 0) expect(begin).toBe(parts[rank - 1]![1]);
      const lengths = parts.map(([begin, end]) => end - begin);
      expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(1);
    }),
  );
});

const sharesOf = (model: readonly Shape[], size: number) =>
  segmentsOf(
    evenRanges(
      model.map(({ length }) => length),
      size,
    ),
    size,
  );
const roundsOf = (model: readonly Shape[], size: number) => roundsOfShares(model, sharesOf(model, size));

describe("shares", () => {
  test("every element belongs to exactly one rank", () => {
    fc.assert(
      fc.property(anyModel, anySize, (model, size) => {
        expect(joined(sharesOf(model, size).flat())).toEqual(whole(model));
      }),
    );
  });

  test("they lie in the order of ranks, and are cut only on the edges of blocks", () => {
    fc.assert(
      fc.property(anyModel, anySize, (model, size) => {
        const segments = sharesOf(model, size).flat();
        for (const [i, { array, begin, end }] of segments.entries()) {
          expect(begin % BLOCK).toBe(0);
          expect(end % BLOCK === 0 || end === model[array]!.length).toBe(true);
          const next = segments[i + 1];
          if (next) expect(next.array > array || next.begin === end).toBe(true);
        }
      }),
    );
  });

  test("no rank has more than a block more than another", () => {
    fc.assert(
      fc.property(anyModel, anySize, (model, size) => {
        const blocks = sharesOf(model, size).map((share) =>
          share.reduce((sum, { begin, end }) => sum + Math.ceil((end - begin) / BLOCK), 0),
        );
        expect(Math.max(...blocks) - Math.min(...blocks)).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe("rounds", () => {
  const wordsOf = (model: readonly Shape[], segments: readonly Segment[]) =>
    segments.reduce((sum, { array, begin, end }) => sum + (end - begin) * wordsPerElement(model[array]!.dtype), 0);
  const ofRank = (rounds: readonly Round[], rank: number) => rounds.flatMap(({ pieces }) => pieces[rank]!);

  test("the pieces of a rank are its share, whole and once", () => {
    fc.assert(
      fc.property(anyModel, anySize, (model, size) => {
        const rounds = roundsOf(model, size);
        const shares = sharesOf(model, size);
        for (let rank = 0; rank < size; rank++) expect(joined(ofRank(rounds, rank))).toEqual(shares[rank]);
      }),
    );
  });

  test("a round says how many words each piece has, moves some, and stays small", () => {
    fc.assert(
      fc.property(anyModel, anySize, (model, size) => {
        for (const { pieces, counts, isDirect } of roundsOf(model, size)) {
          expect([...counts]).toEqual(pieces.map((piece) => wordsOf(model, piece)));
          expect(Math.max(...counts)).toBeGreaterThan(0);
          expect(Math.max(...counts)).toBeLessThanOrEqual(Math.max(2 * BLOCK, 2 ** 18 / size));
          expect(isDirect).toBe(pieces.every((piece) => piece.length <= 1));
        }
      }),
    );
  });

  test("a model of large arrays travels from where it lies", () => {
    const model: Shape[] = [1_000_000, 500_000, 1_000_000].map((length) => ({ length, dtype: "float32" }));
    expect(roundsOf(model, 2).every(({ isDirect }) => isDirect)).toBe(true);
  });

  test("a thousand small arrays travel in few rounds", () => {
    const model: Shape[] = Array.from({ length: 1000 }, () => ({ length: 100, dtype: "float32" }));
    expect(roundsOf(model, 2)).toHaveLength(1);
  });
});

test("the parts that a layout gives its ranks make up the whole, whatever the shape", () => {
  const anyAxes = fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 4 });
  const anySpecs = fc.shuffledSubarray([UNSHARDED, UNSHARDED, UNSHARDED, UNSHARDED, "a", "b"], { minLength: 4, maxLength: 4 });
  const property = (shape: number[], specs: string[], a: number, b: number) => {
    const mesh = meshOf({ a, b });
    const layout = new Layout(specs.slice(0, shape.length), mesh);
    const whole = Float64Array.from({ length: shape.reduce((product, size) => product * size, 1) }, (_, i) => i);
    const back = new Float64Array(whole.length).fill(-1);
    for (let rank = 0; rank < mesh.size; rank++) {
      const part = layout.slice(whole, shape, rank);
      expect(part.length).toBe(layout.localShape(shape, rank).reduce((product, size) => product * size, 1));
      layout.unslice(part, back, shape, rank);
    }
    expect(back).toEqual(whole);
  };
  const anyCount = fc.integer({ min: 1, max: 4 });
  fc.assert(fc.property(anyAxes, anySpecs, anyCount, anyCount, property));
});
