/** Ranks that are not alike are found before anything is changed, and named; so is a mesh where it does not belong. */

import { availableParallelism } from "node:os";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { LayoutMap, Mesh } from "../../src/mesh/index.js";
import { Programs } from "./job.js";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const DIFFERENT: readonly (readonly [scenario: string, message: RegExp])[] = [
  [
    "rate",
    /^OptionError: Every rank must have the same variables and options\. Received: learningRate: 0\.1 on rank 0, 0\.5 on rank 1\. /,
  ],
  ["number", /Received: beta1: 0\.9 on rank 0, 0\.8 on rank 1\. /],
  ["option", /Received: clipnorm: null on rank 0, 1 on rank 1\. /],
  ["groups", /Received: groups 0: nothing on rank 0, \{.*"learningRateMultiplier":2/],
  ["name", /Received: variables 1: \["b",.*\] on rank 0, \["c",.*\] on rank 1\. /],
  ["shape", /Received: variables 0: \["a",\[4\],.*\] on rank 0, \["a",\[2,2\],.*\] on rank 1\. /],
  ["order", /Received: variables 0: \["a",.*\] on rank 0, \["b",.*\] on rank 1\. /],
  ["count", /Received: variables 1: \["b",.*\] on rank 0, nothing on rank 1\. /],
  [
    "later rate",
    /^OptionError: Every rank must have the same steps\. Received: learning rate: 0\.1 on rank 0, 0\.7 on rank 1\. .*[^D]$/,
  ],
  ["gradient", /Received: variables with a gradient 1: "b" on rank 0, nothing on rank 1\. .*[^D]$/],
  ["weights", /^OptionError: Some rank must have examples\. Received: weight=0 on ranks 0, 1\. .*[^D]$/],
];
const MISPLACED: readonly (readonly [scenario: string, message: RegExp])[] = [
  ["device", /^BackendError: Ranks share steps in main memory, and not on a device yet\. Received: the backend webgpu, /],
  ["another mesh", /^OptionError: The layout of variable cut must be of the optimizer's mesh\. Received: layout \[batch\]/],
  [
    "no mesh",
    /^BackendError: Of variable "cut" \(shape \[4\], float32\) each rank holds a part \(layout \[batch\] on mesh batch=2\)/,
  ],
  ["before build", /^BackendError: Of variable "cut" .* Build an optimizer with the option mesh first/],
  ["constraint", /^OptionError: variable "cut" .* can have no constraint/],
  ["length", /^ShapeError: Variable "cut" must fill its shape\. Received: shape \[2\] for 3 elements/],
  ["gradient2", /^ShapeError: The gradient of variable "cut" .*of which \[2\] here must be a Float32Array of length 2/],
];

/** By what one rank calls applyGradients with, what it is told. */
const REFUSED: readonly (readonly [kind: string, message: RegExp])[] = [
  ["a gradient too long", /^ShapeError: .* length 4/],
  ["no gradient at all", /^OptionError: No gradients provided for any variable/],
  ["one variable twice", /^ShapeError: .*(only once|twice)/],
  ["another variable", /^ShapeError: This optimizer was built for 2 other variables/],
  ["no pairs", /^OptionError: .*gradientsAndVariables/],
  ["a weight below 0", /^OptionError: .*weight/],
  ["a rate that throws", /^RangeError: no rate today/],
];
const WHEN = [
  ["refused", [2, 3]],
  ["refused at first", [1, 2]],
  ["refused in a window", [1, 1]],
] as const;
/** In the first call every variable is taken in: another one is no error of this rank, and found by comparing ("count"). */
const isWrong = (when: string, kind: string) => when !== "refused at first" || kind !== "another variable";

let programs: Programs;
let reports: Readonly<Record<string, unknown>>[];
beforeAll(async () => {
  programs = await Programs.build();
  const refused = WHEN.flatMap(([when]) => REFUSED.flatMap(([kind]) => (isWrong(when, kind) ? [`${when}: ${kind}`] : [])));
  const args = [...[...DIFFERENT, ...MISPLACED].map(([scenario]) => scenario), "threads", "shares", "map", ...refused];
  const outcome = await programs.run("wrong", 2, { args });
  expect(outcome).toMatchObject({ code: 0, complained: "", orphans: [] });
  reports = outcome.reports as typeof reports;
});
afterAll(() => programs.remove());

const told = (scenario: string) => reports.map((report) => report[scenario]);

test.each(DIFFERENT)("%s: both ranks are told the same, and nothing is changed", (scenario, message) => {
  const [first, second] = told(scenario);
  expect(first).toMatch(message);
  expect(second).toBe(first);
});

test.each(MISPLACED)("%s is refused in words", (scenario, message) => {
  for (const report of told(scenario)) expect(report).toMatch(message);
});

describe.each(WHEN)("%s by one rank:", (when, updates) => {
  test.each(REFUSED.filter(([kind]) => isWrong(when, kind)))(
    "%s: it says so, the other says which rank and what, nothing is changed, and both go on",
    (kind, message) => {
      const [other, own] = told(`${when}: ${kind}`) as [string, boolean, number[], number[][]][] & { length: 2 };
      expect(own![0]).toMatch(message);
      expect(other![0]).toContain("BackendError: Rank 1 refused");
      expect(other![0]).toContain(own![0].slice(0, 60));
      expect([own![1], other![1]]).toEqual([true, true]);
      expect(own!.slice(2)).toEqual(other!.slice(2));
      expect(own![2]).toEqual(updates);
    },
  );
});

test("a rank knows how many share its machine, and threads are divided by that", () => {
  const half = Math.max(1, Math.min(8, Math.floor(availableParallelism() / 2)));
  expect(told("threads")).toEqual([
    [2, half],
    [2, half],
  ]);
});

test("where nobody says, the state is in shares from 16,384 parameters for each rank on", () => {
  for (const report of told("shares"))
    expect(report).toEqual([expect.stringMatching(/state whole on each$/), expect.stringMatching(/state in shares$/)]);
});

test("a LayoutMap cuts what its patterns name, unevenly where it must, and leaves the rest whole", () => {
  expect(told("map")).toEqual([
    [[0, 3], [2, 3], 6, [0, 1, 2, 3, 4, 5]],
    [[1, 2, 4, 5], [2, 3], 6, [0, 1, 2, 3, 4, 5]],
  ]);
});

test("a mesh that nobody made, and patterns without layouts, are refused in words", () => {
  const [AnyMesh, AnyMap] = [Mesh, LayoutMap] as unknown as (new (given: unknown) => unknown)[];
  expect(() => new AnyMesh!([["batch", -1]])).toThrow(/made of ranks\. Received: no ranks\. Call await createMesh\(dimensions\)/);
  for (const given of [5, {}, [5]]) expect(() => new AnyMap!(given)).toThrow(/of LayoutMap must be .*pair.*\[pattern, layout\]/);
});
