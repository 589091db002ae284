/** What ranks say to each other, between real ranks. */

import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type Outcome, Programs } from "./job.js";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let programs: Programs;
beforeAll(async () => {
  programs = await Programs.build();
});
afterAll(() => programs.remove());

const KINDS = ["ArrayBuffer", "SharedArrayBuffer", "a part of WebAssembly memory"];

interface Report {
  readonly results: Record<string, { broadcast: number[]; gathered: number[]; received: number[]; more: number[] }>;
  readonly intact: boolean;
  readonly texts: string[];
  readonly ranksOnHost: number;
}

const numbersOf = (rank: number, count: number, from = 0) => Array.from({ length: count }, (_, i) => 1000 * rank + from + i);

describe.each([
  ["openmpi", 1],
  ["openmpi", 2],
  ["openmpi", 3],
  ["openmpi", 4],
  ["mpich", 3],
] as const)("%s, %i ranks:", (mpi, size) => {
  let outcome: Outcome;
  let reports: Report[];
  const ranks = Array.from({ length: size }, (_, rank) => rank);
  beforeAll(async () => {
    outcome = await programs.run("collectives", size, { mpi });
    reports = outcome.reports as Report[];
  });

  test("the program ends normally, and nothing is left of it", () => {
    expect(outcome).toMatchObject({ code: 0, complained: "", orphans: [] });
  });

  test.each(KINDS)("broadcast gives every rank what the root has, in %s", (kind) => {
    for (const { results } of reports) expect(results[kind]!.broadcast).toEqual(numbersOf(size - 1, 1000));
  });

  test.each(KINDS)("allgather gives every rank all parts, of different lengths, in %s", (kind) => {
    const wanted = ranks.flatMap((rank) => numbersOf(rank, 3 * rank + 1));
    for (const { results } of reports) expect(results[kind]!.gathered).toEqual(wanted);
  });

  test.each(KINDS)("alltoall gives every rank its part from each other, of different lengths, in %s, two at a time", (kind) => {
    for (const [rank, { results }] of reports.entries()) {
      const from = (sender: number) =>
        sender === rank ? new Array(rank + 1).fill(0) : numbersOf(sender, rank + 1, size * (size - 1 - rank));
      expect(results[kind]!.received).toEqual(ranks.flatMap(from));
      expect(results[kind]!.more).toEqual(ranks.flatMap(from));
    }
  });

  test("what travels is not lost to the garbage collector", () => {
    for (const { intact } of reports) expect(intact).toBe(true);
  });

  test("texts of any length are gathered", () => {
    for (const { texts } of reports) expect(texts).toEqual(ranks.map((rank) => "é".repeat(rank) + rank));
  });

  test("a rank knows how many share its machine", () => {
    for (const { ranksOnHost } of reports) expect(ranksOnHost).toBe(size);
  });
});
