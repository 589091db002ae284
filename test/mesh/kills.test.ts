/** Ranks that are killed. The long version: npx tsx test/mesh/endurance.ts */

import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Programs } from "./job.js";
import { killUntil } from "./kills.js";

vi.setConfig({ testTimeout: 300_000, hookTimeout: 120_000 });

let programs: Programs;
beforeAll(async () => {
  programs = await Programs.build();
});
afterAll(() => programs.remove());

test("a random rank is killed at a random moment, three times: run again, the training ends as if it had never been", async () => {
  const { kills, trainings, wrong } = await killUntil(programs, 2, 3, 2500, 7);
  expect(wrong).toEqual([]);
  expect([kills, trainings > 0]).toEqual([3, true]);
});
