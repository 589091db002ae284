/** Two hosts, over TCP: the same bits, and a cable that is pulled. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { TwoHosts } from "./hosts.js";
import { Programs } from "./job.js";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let programs: Programs;
let hosts: TwoHosts | null = null;
let folder: string;
beforeAll(async () => {
  programs = await Programs.build();
  folder = mkdtempSync(join(tmpdir(), "adamax-mesh-two-"));
  try {
    hosts = new TwoHosts();
  } catch (error) {
    console.log(`not run here: two hosts as network namespaces. ${(error as Error).message.split("\n")[0]}`);
  }
});
afterAll(() => {
  hosts?.remove();
  programs.remove();
  rmSync(folder, { recursive: true });
});

test("a training on two hosts has the bits of one on one host; where the cable is pulled, the deadline ends it and names what waited", async () => {
  const args = [join(folder, "one"), "2", "0"];
  const [expected] = (await programs.run("resumed", 2, { args })).reports as [{ digest: string }];
  if (!hosts) return;
  const outcome = await programs.runBy(hosts.launcher, "resumed", 2, { args: [join(folder, "two"), "2", "0"] });
  expect(outcome).toMatchObject({ code: 0, orphans: [] });
  for (const report of outcome.reports) expect(report).toMatchObject({ digest: expected.digest });

  const whileRunning = () => void setTimeout(() => hosts?.pullCable(), 4000);
  const pulled = await programs.runBy(hosts.launcher, "resumed", 2, {
    args: [join(folder, "three"), "1000", "50", "3000"],
    patience: 15_000, // mpirun may go on waiting for the other host
    whileRunning,
  });
  expect(pulled.code).not.toBe(0);
  expect(pulled.complained).toMatch(
    /rank [01] of 2 ends the job\. \w+ \(.*\) has waited for longer than 3000 ms\. Received: nothing from rank [01] \(/,
  );
  expect(pulled.reports).toEqual([null, null]);
});
