/** Ranks that die, hang or leave: the job ends everywhere, with a status that says so, and nothing is left of it. */

import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { MpiName } from "../../src/mesh/mpi-abi.js";
import { type Outcome, Programs } from "./job.js";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let programs: Programs;
beforeAll(async () => {
  programs = await Programs.build();
});
afterAll(() => programs.remove());

const run = (scenario: string, mpi: MpiName, size = 3): Promise<Outcome> =>
  programs.run("faults", size, { mpi, args: [scenario] });

const expectBroken = ({ code, orphans, reports }: Outcome) => {
  expect(code).not.toBe(0);
  expect(orphans).toEqual([]);
  expect(reports.filter((report, rank) => report !== null && rank !== 1)).toEqual([]);
};

// Two jobs at a time: most of it is waiting for deadlines.
describe.concurrent.each<MpiName>(["openmpi", "mpich"])("%s:", (mpi) => {
  test.each(["a loop", "SIGSTOP"])(
    "a rank that hangs (%s) is named, with step and operation, when the time is over",
    async (fault) => {
      const outcome = await run(fault, mpi);
      expectBroken(outcome);
      expect(outcome.complained).toMatch(
        /rank [02] of 3 ends the job. allgather \(gradients of step 5\) has waited for longer than 3000 ms. Received: nothing from rank 1 \(/,
      );
    },
  );

  test("in a group it is named by its rank in the mesh", async () => {
    const outcome = await run("a loop in a group", mpi, 4);
    expect(outcome.code).not.toBe(0);
    expect(outcome.orphans).toEqual([]);
    expect(outcome.complained).toMatch(/rank 3 of 4 ends the job\. allgather .* Received: nothing from rank 1 \(/);
  });

  test("a rank that is in another call is named with that call", async () => {
    const outcome = await run("another call", mpi);
    expectBroken(outcome);
    expect(outcome.complained).toMatch(
      /allgather \(gradients of step 5\) has waited .* Received: rank 1 waits in barrier \(validation of epoch 3\)\. |barrier \(validation of epoch 3\) has waited .* Received: rank 0 waits in allgather \(gradients of step 5\); rank 2 waits in/,
    );
  });

  test("a rank that has come to the end too early is named", async () => {
    const outcome = await run("its end", mpi);
    expectBroken(outcome);
    expect(outcome.complained).toMatch(
      /has waited .* Received: rank 1 waits in gather \(the end of the program\)\. |gather \(the end of the program\) has waited .* Received: rank 0 waits in allgather/,
    );
  });

  test.each(["SIGKILL", "SIGTERM"])("a rank that dies by %s ends all", async (signal) => {
    expectBroken(await run(signal, mpi));
  });

  test("process.exit(0) before the end is no success", async () => {
    const outcome = await run("process.exit", mpi);
    expectBroken(outcome);
    expect(outcome.complained).toMatch(/rank 1 of 3 ends the job. process.exit was called before the end. .* mesh.dispose/);
  });

  test.each(["an exception", "a rejection"])("%s in one rank ends all, and is shown", async (fault) => {
    const outcome = await run(fault, mpi);
    expectBroken(outcome);
    expect(outcome.complained).toMatch(
      /rank 1 of 3 ends the job. An exception was not caught: RangeError: the loss of rank 1\n +at .*faults/,
    );
  });

  test("a status that is not 0 at the end of one rank is the job's", async () => {
    const outcome = await run("exitCode", mpi);
    expectBroken(outcome);
    expect(outcome.code).toBe(3);
  });

  test("a program that stops at a promise without end is no success", async () => {
    expectBroken(await run("a promise without end", mpi));
  });

  test("a rank that hangs before createMesh does not hold those who have called it", async () => {
    const outcome = await run("hangs before the mesh", mpi);
    expectBroken(outcome);
    expect(outcome.complained).toMatch(/createMesh has waited for the other ranks for longer than 3000 ms/);
  });

  test("nor does one that leaves before it", async () => {
    expectBroken(await run("process.exit before the mesh", mpi)); // found by the deadline, or by mpirun
  });

  test("with timeout: Infinity a rank may be as late as it likes", async () => {
    const outcome = await programs.run("faults", 3, { mpi, args: ["lateness", "Infinity"] });
    expect(outcome).toMatchObject({ code: 0, complained: "", reports: ["whole", "whole", "whole"], orphans: [] });
  });

  test("after dispose, process.exit is a normal end, and another mesh is refused", async () => {
    const outcome = await run("disposal", mpi);
    expect(outcome).toMatchObject({ code: 0, complained: "", orphans: [] });
    for (const report of outcome.reports)
      expect(report).toMatch(/BackendError: MPI has ended in this process, and cannot start again/);
  });
});
