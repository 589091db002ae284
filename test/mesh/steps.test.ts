/** An optimizer with a mesh, on real ranks: what one machine makes of the gradients that they have in common, bit for bit. */

import type { MeshDimension } from "adamax/mesh";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { digestOf } from "./gradients.js";
import { Programs } from "./job.js";
import { anyMeshModel, dimensionsOf, isExact, trainAlone } from "./models.js";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let programs: Programs;
beforeAll(async () => {
  programs = await Programs.build();
});
afterAll(() => programs.remove());

const COUNT = 30;
const SEED = 11;

describe.each([
  ["openmpi", 1, 1],
  ["openmpi", 2, 1],
  ["openmpi", 3, 2],
  ["openmpi", 4, 1],
  ["mpich", 3, 1],
] as const)("%s, %i ranks, %i threads:", (mpi, size, threads) => {
  test("any options, layouts, weights, with state whole or in shares: values and state of one machine, bit for bit", async () => {
    const outcome = await programs.run("steps", size, { mpi, args: [`${COUNT}`, `${SEED}`, `${threads}`] });
    expect(outcome).toMatchObject({ code: 0, complained: "", orphans: [] });
    vi.spyOn(console, "warn").mockImplementation(() => {});
    let compared = 0;
    for (const [i, model] of fc.sample(anyMeshModel, { numRuns: COUNT, seed: SEED }).entries()) {
      const digests = outcome.reports.map((report) => (report as string[])[i]);
      expect(new Set(digests).size, JSON.stringify(model)).toBe(1);
      if (!isExact(model)) continue;
      const [, [, columns]] = dimensionsOf(model, size) as [MeshDimension, MeshDimension];
      expect(digests[0], JSON.stringify(model)).toBe(digestOf(trainAlone(model, size / columns)));
      compared++;
    }
    expect(compared).toBeGreaterThan(COUNT * 0.7);
  });
});
