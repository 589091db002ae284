/** Ranks have the bits of one: on the semantics suite, and on any model. They are threads here, with a shared memory and a barrier. */

import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { shareOf } from "../../src/backends/ranks/shares.js";
import { BLOCK } from "../../src/rule/program.js";
import { bundle, type Configuration, runOnRanks } from "./group.js";
import { ONE_MACHINE } from "./one-machine.js";

interface SuiteResult {
  readonly passed: number;
  readonly failed: string[];
  readonly left: string[];
  readonly hash: number;
  readonly steps: number;
}
interface ModelsResult {
  readonly hashes: number[];
  /** Passes that threads of the rank shared. */
  readonly shared: number;
}

const SUITE = `
import { parentPort } from "node:worker_threads";
import { run } from "./harness.js";
import { trace } from "./adamax.js";
import "../semantics/options.test.js";
import "../semantics/methods.test.js";
import "../semantics/rules.test.js";
import "../semantics/doors.test.js";
const outcome = await run(${JSON.stringify(ONE_MACHINE)}.map((text) => new RegExp(text)));
parentPort.postMessage({ ...outcome, ...trace });
`;

/** Models whose variables reach over many blocks. */
const MODELS = `
import { parentPort, workerData } from "node:worker_threads";
import fc from "fast-check";
import { Adamax, Variable, WasmBackend } from "adamax";
import { anyModel, numbers, train } from "../semantics/models.js";
const { threads, mutation } = workerData;
console.warn = () => {};
const hashOf = (arrays) => {
  let hash = 0;
  for (const array of arrays) for (const x of array) {
    const [low, high] = new Int32Array(Float64Array.of(Number.isNaN(x) ? NaN : x).buffer);
    hash = (Math.imul(hash, 31) + low + Math.imul(high, 7)) | 0;
  }
  return hash;
};
const hashes = [];
const models = mutation === "none" ? fc.sample(anyModel, { numRuns: 25, seed: 5 }) : []; // large ones are enough to notice a fault
for (const model of models) hashes.push(hashOf(await train(model, {})));

/** Large enough for threads, which begin when the rank comes to rest. */
const backend = new WasmBackend({ threads });
for (const options of [{ globalClipnorm: 0.1, useEma: true, weightDecay: 0.1 }, { clipnorm: 0.1 }]) {
  const optimizer = new Adamax({ backend, ...options });
  const variables = [50_001, 12_345, 7, 90_000].map((length, i) => new Variable(numbers("float32", length, i), { name: String(i) }));
  optimizer.build(variables);
  for (let step = 0; step < 12; step++) {
    await new Promise((resolve) => setTimeout(resolve, step === 0 ? 500 : 0));
    optimizer.applyGradients(variables.map((variable, i) => [numbers("float32", variable.length, 10 * step + i), variable]));
  }
  hashes.push(hashOf([...variables.map(({ value }) => value), ...optimizer.variables.slice(1).map(({ value }) => value)]));
}
const shared = backend.sharedPasses;
backend.dispose();
parentPort.postMessage({ hashes, shared });
`;

const name = ({ size, shardState, threads }: Configuration) =>
  `${size} ranks, state ${shardState ? "in shares" : "whole"}, ${threads} threads`;
const alone: Configuration = { size: 1, shardState: false, threads: 1 };
const configurations: Configuration[] = [
  { size: 2, shardState: false, threads: 1 },
  { size: 2, shardState: true, threads: 1 },
  { size: 3, shardState: true, threads: 2 },
];

let suite: Awaited<ReturnType<typeof bundle>>;
let models: typeof suite;
beforeAll(async () => {
  [suite, models] = [await bundle(SUITE), await bundle(MODELS)];
});
afterAll(() => {
  suite.remove();
  models.remove();
});

describe("the semantics suite", () => {
  let one: SuiteResult;

  test("passes on one rank", { timeout: 300_000 }, async () => {
    [one] = (await runOnRanks<SuiteResult>(suite.file, alone)) as [SuiteResult];
    expect(one.failed).toEqual([]);
    expect(one.passed).toBeGreaterThan(200);
    expect(one.left.length).toBeLessThan(80);
    console.log(`on ranks: ${one.passed} tests and ${one.steps} steps; about one machine, left out: ${one.left.length}`);
  });

  test.each(configurations.map((configuration) => [name(configuration), configuration] as const))(
    "%s: passes on each, with the bits of one",
    { timeout: 300_000 },
    async (_, configuration) => {
      for (const result of await runOnRanks<SuiteResult>(suite.file, configuration)) {
        expect(result.failed).toEqual([]);
        expect([result.passed, result.steps, result.hash]).toEqual([one.passed, one.steps, one.hash]);
      }
    },
  );
});

describe("any model", () => {
  let expected: number[];
  beforeAll(async () => {
    expected = (await runOnRanks<ModelsResult>(models.file, alone))[0]!.hashes;
  }, 300_000);

  test("has the same values and the same state on 1, 2, 3 and 4 ranks, whole and in shares, on one thread and two", {
    timeout: 300_000,
  }, async () => {
    expect(new Set(expected).size).toBeGreaterThan(20);
    for (const configuration of [...configurations, { size: 4, shardState: true, threads: 1 }])
      for (const { hashes: reached, shared } of await runOnRanks<ModelsResult>(models.file, configuration)) {
        expect(reached, name(configuration)).toEqual(expected);
        if (configuration.threads > 1) console.log(`on ranks: threads took part in ${shared} passes`); // how many, the machine decides
      }
  });

  test.each(["blocks joined in another order", "totals for blocks", "values not shared"] as const)(
    "%s: noticed",
    { timeout: 300_000 },
    async (mutation) => {
      const [first] = await runOnRanks<ModelsResult>(models.file, { size: 2, shardState: true, threads: 1, mutation });
      expect(first!.hashes).toHaveLength(2);
      expect(first!.hashes).not.toEqual(expected.slice(-2));
    },
  );
});

test("shares are whole blocks, without gap or overlap, and as even as whole blocks allow", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(40_000), { maxLength: 6 }), fc.integer({ min: 1, max: 7 }), (lengths, size) => {
      const byRank = Array.from({ length: size }, (_, rank) => shareOf(lengths, rank, size));
      const blocksOf = (ranges: { begin: number; end: number }[]) =>
        ranges.reduce((sum, { begin, end }) => sum + Math.ceil((end - begin) / BLOCK), 0);
      const counts = byRank.map(blocksOf);
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
      lengths.forEach((length, i) => {
        let at = 0;
        for (const ranges of byRank) {
          const { begin, end } = ranges[i]!;
          if (begin === end) continue;
          expect([begin, begin % BLOCK]).toEqual([at, 0]);
          at = end;
        }
        expect(at).toBe(length);
      });
    }),
    { seed: 1 },
  );
});
