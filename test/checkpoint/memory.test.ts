/** Saving and loading need little more than the state itself. In a process of its own, which holds nothing else. */

import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";

test("saving and loading 200 MB needs at most 64 MiB beyond the state", { timeout: 120_000 }, () => {
  const printed = execFileSync(process.execPath, ["--expose-gc", "--import", "tsx", "bench/checkpoint.ts", "200"], {
    encoding: "utf8",
  });
  const { bytes, saving, loading } = JSON.parse(printed) as Record<
    "saving" | "loading",
    { mebibytesBeyondState: number; reports: number }
  > & { bytes: number };
  expect(bytes).toBeGreaterThan(199e6);
  expect(saving.mebibytesBeyondState).toBeLessThan(64); // measured: see docs/checkpoints.md
  expect(loading.mebibytesBeyondState).toBeLessThan(64);
  expect([saving.reports > 40, loading.reports > 80]).toEqual([true, true]); // and progress is reported all along
});
