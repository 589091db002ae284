/** Processes that are killed with SIGKILL, and started again. A longer run: kills.ts, as a program. */

import { expect, test } from "vitest";
import { killTrainings, type Program } from "./kills.js";

test.each<Program>(["core", "tfjs"])(
  "%s: killed at any moment, up to five times, a training ends as one that was never killed",
  { timeout: 120_000 },
  async (program) => {
    const { kills, broken } = await killTrainings(program, 4, 3);
    expect(broken).toEqual([]);
    expect(kills).toBeGreaterThan(3);
  },
);
