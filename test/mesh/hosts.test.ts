/** Two hosts, over TCP: the same bits, and a cable that is pulled. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { TwoHosts } from "./hosts.js";
import { Programs } from "./job.js";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

/** What the system lets us make is known before the tests have their names: one that is not run says so in its own, and counts as skipped. */
const making = (): TwoHosts | string => {
  try {
    return new TwoHosts();
  } catch (error) {
    return (error as Error).message.trim().replaceAll("\n", ": ");
  }
};
const made = making();
const hosts = typeof made === "string" ? null : made;
const claim =
  "a training on two hosts has the bits of one on one host; where the cable is pulled, the deadline ends it and names what waited";
const name = hosts ? claim : `NOT RUN HERE (network namespaces are refused: ${made}): ${claim}`;
if (!hosts) console.log(name);

let programs: Programs;
let folder: string;
beforeAll(async () => {
  programs = await Programs.build();
  folder = mkdtempSync(join(tmpdir(), "adamax-mesh-two-"));
});
afterAll(() => {
  hosts?.remove();
  programs.remove();
  rmSync(folder, { recursive: true });
});

test.runIf(hosts)(name, async () => {
  if (!hosts) return; // for the compiler
  const args = [join(folder, "one"), "2", "0"];
  const [expected] = (await programs.run("resumed", 2, { args })).reports as [{ digest: string }];
  const outcome = await programs.runBy(hosts.launcher, "resumed", 2, { args: [join(folder, "two"), "2", "0"] });
  expect(outcome).toMatchObject({ code: 0, orphans: [] });
  for (const report of outcome.reports) expect(report).toMatchObject({ digest: expected.digest });

  const whileRunning = () => void setTimeout(() => hosts.pullCable(), 4000);
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
