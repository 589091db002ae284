/** Meshes of real ranks. */

import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Programs } from "./job.js";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let programs: Programs;
beforeAll(async () => {
  programs = await Programs.build();
});
afterAll(() => programs.remove());

test("four ranks make a mesh of 2 x 2; those along a dimension form a group, in order", async () => {
  const outcome = await programs.run("meshes", 4, { args: ["groups"] });
  expect(outcome).toMatchObject({ code: 0, complained: "", orphans: [] });
  const along = { batch: [[0, 2], [1, 3]], model: [[0, 1], [2, 3]] }; // biome-ignore format: rows and columns
  expect(outcome.reports).toEqual(
    [0, 1, 2, 3].map((rank) => {
      const [batch, model] = [Math.floor(rank / 2), rank % 2] as const;
      const groups = [along.batch[model], along.model[batch], [0, 1, 2, 3]];
      // All ranks say the same, also those whose team has examples: they would be in the next call.
      const weights = [
        [
          expect.stringMatching(/same place along batch have .* the same weight\. Received: weight=0 on rank 0, 1 on rank 1/),
          true,
        ],
        [expect.stringMatching(/^OptionError: Some rank must have examples\. Received: weight=0 on ranks 0, 2/), true],
      ];
      return { shape: [2, 2], size: 4, coords: [batch, model], groups, again: along.batch[model], weights };
    }),
  );
});

test("without mpirun, or with one rank, the same program is a mesh of one", async () => {
  const one = { shape: [1], size: 1, coords: [0], groups: [], again: [], weights: [] };
  for (const outcome of [
    await programs.runAlone("meshes", { args: ["one"] }),
    await programs.run("meshes", 1, { args: ["one"] }),
    await programs.run("meshes", 1, { args: ["one"], mpi: "mpich" }),
  ])
    expect(outcome).toMatchObject({ code: 0, complained: "", reports: [one], orphans: [] });
});

test.each([
  ["indivisible", /The sizes of a mesh must divide the number of ranks\. Received: batch=-1, model=3 \(3\) for 4 ranks/],
  ["too few", /must make up the number of ranks\. Received: batch=2 \(2\) for 4 ranks/],
  ["different", /Every rank must make the same mesh\. Received: batch=4 on rank 0, data=4 on rank 1/],
  ["in a worker", /made on the main thread\. Received: a worker thread/],
])("a mesh that is %s ends the job with the reason", async (scenario, reason) => {
  const outcome = await programs.run("meshes", 4, { args: [scenario] });
  expect(outcome.code).not.toBe(0);
  expect(outcome.complained).toMatch(reason);
  expect(outcome).toMatchObject({ reports: [null, null, null, null], orphans: [] });
});

test.each([
  ["PMI_SIZE", /one of several by MPICH's mpirun, .*Received: PMI_SIZE=2, and a world of 1\. .*apt-get install mpich\)/],
  ["OMPI_COMM_WORLD_SIZE", /one of several by Open MPI's mpirun, .*a world of 1\. .*apt-get install openmpi-bin\)/],
  ["SLURM_STEP_NUM_TASKS", /one of several by srun, .*a world of 1/],
])("a process that another launcher has started (%s=2, a world of one) is refused", async (sign, reason) => {
  const outcome = await programs.runAlone("meshes", { args: ["one"], env: { [sign]: "2" } });
  expect(outcome.complained).toMatch(reason);
  expect(outcome).toMatchObject({ code: 1, reports: [null], orphans: [] });
});

test("the ranks of one MPI under the mpirun of the other are refused", async () => {
  const outcome = await programs.run("meshes", 2, { args: ["one"], mpi: "mpich", env: { OMPI_COMM_WORLD_SIZE: "2" } });
  expect(outcome.code).not.toBe(0);
  expect(outcome.complained).toMatch(/Received: OMPI_COMM_WORLD_SIZE=2, and a world of 1/);
  expect(outcome).toMatchObject({ reports: [null, null], orphans: [] });
});
