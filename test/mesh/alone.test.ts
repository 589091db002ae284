/** What one rank alone does or refuses does not let the others wait, whatever it does next: they are told. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Programs } from "./job.js";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

/** By scenario, what the rank is told that does it. */
const REFUSED: readonly (readonly [scenario: string, message: RegExp])[] = [
  ["build of no list", /^OptionError: variables of build must be a list of variables/],
  ["progress of build throws", /^RangeError: mine$/],
  ["build again", /^OptionError: build must come before build/],
  ["extend by one twice", /^ShapeError: A variable can be given only once/],
  ["a constraint throws", /^RangeError: mine$/],
  ["minimize throws", /^RangeError: mine$/],
  ["minimize rejects", /^RangeError: mine$/],
  ["minimize of no number", /^OptionError: .*loss/],
  ["averages of another variable", /^ShapeError: This optimizer was built for 2 other variables/],
  ["averages begun for another variable", /^ShapeError: This optimizer was built for 2 other variables/],
  ["swapped after dispose", /^BackendError: This optimizer was disposed/],
  ["own variables that are too few", /^CheckpointError: The state must have 7 arrays/],
  ["save with an unknown option", /^OptionError: saveCheckpoint has no such option/],
  ["save what is no JSON", /^OptionError: .*JSON/],
  ["progress of save throws", /^RangeError: mine$/],
  ["load with an unknown option", /^OptionError: loadCheckpoint has no such option/],
  ["load what does not fit", /does not fit, and nothing was loaded:\n- onlyInFile: nothing is called "c"/],
  ["load into a new one what does not fit", /does not fit, and nothing was loaded:/],
  ["load that breaks off", /broke off.*mine/],
  ["manager without its metric", /^OptionError: A manager that keeps the best by loss/],
  ["manager whose folder is a file", /^CheckpointError: The folder .* cannot be read/],
  ["manager that knows no best", /^OptionError: This manager has no metric/],
  ["fit with an unknown option", /^OptionError: fit has no such option/],
  ["fit whose checkpoint's user throws", /^RangeError: mine$/],
];
/** By scenario, what both are told. */
const DIFFERENT: readonly (readonly [scenario: string, message: RegExp])[] = [
  ["another list to save", /^CheckpointError: Every rank must save the same list of variables\. Received: another one on rank 1/],
  ["fit of more epochs", /^OptionError: Every rank must call fit alike\. Received: epochs: 2 on rank 0, 3 on rank 1\./],
  ["fit with validation", /Received: validation \(1: there is one\): 0 on rank 0, 1 on rank 1\./],
  ["fit with checkpoints", /Received: checkpoints \(1: there are some\): 0 on rank 0, 1 on rank 1\./],
  [
    "own variables loaded",
    /^BackendError: Every rank must make the same calls\. Received: a step of the optimizer on rank 0, arrays to load on rank 1\./,
  ],
  [
    "state read",
    /^BackendError: Every rank must make the same calls\. Received: .*step 2 is on rank 0, average of a, variable 1 of optimizer \d+ on rank 1\./,
  ],
  ["a cut variable read", /^BackendError: .*Received: .*step 2 is on rank 0, w of cut, variable 3 of optimizer \d+ on rank 1\./],
  [
    "no gradients given",
    /^OptionError: Every rank must have the same steps\. Received: call: "a step" on rank 0, "a change of averages/,
  ],
  [
    "optimizers in another order",
    /^OptionError: Every rank must have the same steps\. Received: .*"last".* on rank 0, .*"b".* on rank 1\./,
  ],
  [
    "another move of averages",
    /Received: call: "a change of averages, finalizeVariableValues" on rank 0, "a change of averages, swapAverages" on rank 1\./,
  ],
  ["constrained on one", /Received: variables 0: \["c",.*"no constraint",.* on rank 0, \["c",.*"constrained",.* on rank 1\./],
  ["decay taken from one later", /Received: .*"w".*(0\.1|true).* on rank 0, .*"w".*(0|false).* on rank 1\./],
  ["networks that are alike, in another order", /Received: optimizer: (\d+) on rank 0, (?!\1)\d+ on rank 1\./],
  ["alike, read in another order", /Received: w of layer w, variable 1 of optimizer \d+ on rank 0, w of layer w, variable 2 of/],
  ["slots read in another order", /Received: slot momentum of b, .* on rank 0, slot norm of b, .* on rank 1\./],
  [
    "fit with metrics of other names",
    /^BackendError: .*what fit is to do, measuring loss, a, b on rank 0, what fit is to do, measuring loss, b, a on rank 1\./,
  ],
  ["fit resumed behind the last batch", /^no error$/],
  ["fit with callbacks", /^no error$/],
];

let programs: Programs;
let reports: Readonly<Record<string, readonly [message: string, goesOn: boolean]>>[];
beforeAll(async () => {
  programs = await Programs.build();
  const folder = mkdtempSync(join(tmpdir(), "adamax-mesh-alone-"));
  const outcome = await programs.run("alone", 2, { args: [folder] });
  rmSync(folder, { recursive: true });
  expect(outcome).toMatchObject({ code: 0, complained: "", orphans: [] });
  reports = outcome.reports as typeof reports;
});
afterAll(() => programs.remove());

test.each(REFUSED)("%s: it is told there, elsewhere which rank and what, and all go on", (scenario, message) => {
  const [[other, otherGoesOn], [own, goesOn]] = reports.map((report) => report[scenario]) as [
    readonly [string, boolean],
    readonly [string, boolean],
  ];
  expect(own).toMatch(message);
  expect(other).toMatch(/^(BackendError|CheckpointError): .*Rank 1 (refused|failed)/s);
  expect(other).toContain(own.slice(0, 60));
  expect([otherGoesOn, goesOn]).toEqual([true, true]);
});

test.each(DIFFERENT)("%s on one rank alone: both are told the same, and go on", (scenario, message) => {
  const [other, own] = reports.map((report) => report[scenario]!);
  expect(own![0]).toMatch(message);
  expect(own).toEqual(other);
  expect(own![1]).toBe(true);
});

test("every scenario is looked at", () => {
  expect(Object.keys(reports[0]!).sort()).toEqual([...REFUSED, ...DIFFERENT].map(([scenario]) => scenario).sort());
});
