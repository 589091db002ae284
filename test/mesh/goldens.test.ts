/** The goldens of the core, on real ranks. (The semantics suite runs on ranks that are threads: test/ranks.) */

import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Programs } from "./job.js";

vi.setConfig({ testTimeout: 600_000, hookTimeout: 120_000 });

/** Real steps of tf_keras and Keras 3 (float32, float64, sparse) and of four other rules, and what PyTorch and Optax trained. Of each trajectory the
 *  first step and the last. What is left out says something of the goldens (that they refuse a wrong rule) or of one machine (that steps of a
 *  thousand add up as in Keras), and nothing of ranks. */
const SUITE = `
import { run } from "../ranks/harness.js";
import { mesh, trace } from "./suite/adamax.js";
import "../semantics/goldens.test.js";
import "../semantics/rules.test.js";
import "../checkpoint/adamax-export.test.js";
import { chosen } from "../semantics/golden.js";
import { report } from "./report.js";
chosen.isWanted = (k, count) => k === 0 || k === count - 1;
const outcome = await run([/interpreter/, /goldens reject/, /the goldens of .* refuse/, /no mistake/, /the bound refuses/, /1000 steps/]);
report(mesh.rank, { ...outcome, ...trace });
`;

interface Report {
  readonly passed: number;
  readonly failed: readonly string[];
  readonly left: readonly string[];
  readonly hash: number;
  readonly steps: number;
}

let programs: Programs;
beforeAll(async () => {
  programs = await Programs.build();
  const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  await programs.add("suite", SUITE, {
    adamax: here("suite/adamax.ts"),
    "adamax/checkpoint": here("suite/checkpoint.ts"),
    vitest: here("../ranks/harness.ts"),
  });
});
afterAll(() => programs.remove());

test("three ranks, state in shares: the goldens pass on each, with the bits of one machine", async () => {
  const [alone] = (await programs.runAlone("suite", { patience: 280_000 })).reports as [Report];
  expect(alone.failed).toEqual([]);
  expect(alone.passed).toBeGreaterThan(10);
  console.log(`goldens on ranks: ${alone.passed} families, ${alone.steps} steps`);
  const outcome = await programs.run("suite", 3, { patience: 280_000 });
  expect(outcome).toMatchObject({ code: 0, orphans: [] });
  for (const { passed, failed, hash, steps } of outcome.reports as Report[]) {
    expect(failed).toEqual([]);
    expect([passed, steps, hash]).toEqual([alone.passed, alone.steps, alone.hash]);
  }
});
