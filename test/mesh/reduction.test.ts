/** Gradients are added in the order of ranks: the same bits on every rank, in every run, under every MPI. */

import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { factorsOf } from "../../src/backends/ranks/windows.js";
import { evenRanges, type Segment, segmentsOf } from "../../src/mesh/shares.js";
import { digest, gradientsOf, MODEL, ONE_BLOCK, plainSum } from "./gradients.js";
import { type Outcome, Programs } from "./job.js";

const meanFactors = (weights: ArrayLike<number>) => factorsOf(weights, false);

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let programs: Programs;
beforeAll(async () => {
  programs = await Programs.build();
});
afterAll(() => programs.remove());

interface Report {
  readonly bits: Record<string, string>;
  readonly share: Segment[];
}

describe.each([
  ["openmpi", 1],
  ["openmpi", 2],
  ["openmpi", 3],
  ["openmpi", 4],
  ["mpich", 3],
] as const)("%s, %i ranks:", (mpi, size) => {
  const gradients = Array.from({ length: size }, (_, rank) => gradientsOf(rank));
  const mean = plainSum(gradients, meanFactors(new Float64Array(size).fill(1))!);
  const sum = plainSum(gradients, new Float64Array(size).fill(1));
  let outcome: Outcome;
  let reports: Report[];
  beforeAll(async () => {
    outcome = await programs.run("reduction", size, { mpi });
    expect(outcome).toMatchObject({ code: 0, complained: "", orphans: [] });
    reports = outcome.reports as Report[];
  });

  const expectBits = (name: string, wanted: (rank: number) => string) =>
    expect(reports.map(({ bits }) => bits[name])).toEqual(reports.map((_, rank) => wanted(rank)));

  test.each(["in one memory", "each in its own"])("every rank has the bits of a plain loop (arrays %s)", (places) => {
    expectBits(`mean, ${places}`, () => digest(mean));
    expectBits(`sum, ${places}, into others`, () => digest(sum));
    expectBits(`mean, ${places}, shares gathered`, () => digest(mean));
  });

  test.each(["in one memory", "each in its own"])("each rank has its own share of them (arrays %s)", (places) => {
    const lengths = MODEL.map(({ length }) => length);
    const shareOfRank = (rank: number) => segmentsOf(evenRanges(lengths, size), size)[rank]!;
    expect(reports.map(({ share }) => share)).toEqual(reports.map((_, rank) => shareOfRank(rank)));
    expectBits(`mean, ${places}, own share`, (rank) => digest(mean, shareOfRank(rank)));
  });

  test("a rank that owns nothing has them, too", () => {
    const parts = gradients.map((_, rank) => gradientsOf(rank, ONE_BLOCK));
    const mean = plainSum(parts, meanFactors(new Float64Array(size).fill(1))!);
    expectBits("a model of one block", () => digest(mean));
  });

  test("what is added into other arrays stays as it was", () => {
    for (const places of ["in one memory", "each in its own"])
      expectBits(`the gradients, ${places}, after that`, () => "untouched");
  });

  test("unequal parts are weighted, and a rank without examples counts as zero, whatever it has", () => {
    const weights = Array.from({ length: size }, (_, r) => (r === size - 1 && size > 1 ? 0 : 10 + r));
    expectBits("weighted", () => digest(plainSum(gradients, meanFactors(weights)!)));
  });
});

test("the order of adding shows in these gradients: another one gives other bits", () => {
  const gradients = [0, 1, 2].map((rank) => gradientsOf(rank));
  const factors = [1, 1, 1];
  expect(digest(plainSum(gradients, factors))).not.toBe(digest(plainSum(gradients.toReversed(), factors)));
});

test("the mean of one rank is its gradient, and the mean of equal gradients is that gradient, bit for bit", () => {
  const [one] = [gradientsOf(0)];
  expect(digest(plainSum([one], meanFactors([5])!))).toBe(digest(one));
  const floats = one.filter((values) => values instanceof Float32Array);
  for (const size of [2, 3, 4, 7, 100])
    expect(digest(plainSum(new Array(size).fill(floats), meanFactors(new Float64Array(size).fill(3))!))).toBe(digest(floats));
});

test("weights that are all 0 have no mean", () => {
  expect(meanFactors([0, 0])).toBeNull();
});
