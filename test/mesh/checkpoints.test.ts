/** Checkpoints over real ranks: one file, as from one machine, for any number of ranks. */

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Programs } from "./job.js";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let programs: Programs;
let folder: string;
beforeAll(async () => {
  programs = await Programs.build();
  folder = mkdtempSync(join(tmpdir(), "adamax-mesh-files-"));
});
afterAll(() => {
  programs.remove();
  rmSync(folder, { recursive: true });
});

interface Report {
  readonly digest: string;
  readonly begun: number;
  readonly error: string | null;
}
const run = async (size: number, ...args: readonly string[]): Promise<Report[]> => {
  const outcome = await (size === 1 ? programs.runAlone("checkpoints", { args }) : programs.run("checkpoints", size, { args }));
  expect(outcome).toMatchObject({ code: 0, complained: "", orphans: [] });
  return outcome.reports as Report[];
};
const bytes = (file: string) => readFileSync(join(folder, file)).toString("base64");
const path = (file: string) => join(folder, file);

test("saved in the middle of an update and loaded by 2, 3, 1 and 2 ranks, each file is that of one machine, byte for byte", async () => {
  const chain = [2, 3, 1, 2];
  let [before, alone] = ["-", "-"];
  for (const [i, size] of chain.entries()) {
    const [expected] = await run(1, "3", alone, path(`alone-${i}.safetensors`));
    for (const report of await run(size, "3", before, path(`ranks-${i}.safetensors`))) expect(report).toEqual(expected);
    expect(bytes(`ranks-${i}.safetensors`)).toBe(bytes(`alone-${i}.safetensors`));
    before = path(`ranks-${i}.safetensors`);
    alone = path(`alone-${i}.safetensors`);
  }
});

test("what cannot be written is an error on every rank, and nothing hangs", async () => {
  const reports = await run(3, "1", "-", path("no/such/folder.safetensors"));
  expect(reports[0]!.error).toMatch(/^CheckpointError: Saving .* failed while opening/);
  for (const { error } of reports.slice(1)) expect(error).toMatch(/^BackendError: Rank 0 failed, .*CheckpointError: /);
  expect(existsSync(path("no"))).toBe(false);
  expect(readdirSync(folder).filter((name) => !/^(alone|ranks)-\d\.safetensors$/.test(name))).toEqual([]);
});
