/** Resume is exact: the same bits as never stopping. */

import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { Adamax, type AdamaxOptions, schedules } from "adamax";
import { checkpointBlob, loadCheckpoint, saveCheckpoint } from "adamax/checkpoint";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { folder, trained } from "./helpers.js";
import { everything, gradientsOf, makeVariables, train } from "./steps.js";

vi.setConfig({ testTimeout: 120_000 });
beforeEach(() => void vi.spyOn(console, "warn").mockImplementation(() => {})); // of gradients that are missing now and then
afterEach(() => vi.restoreAllMocks());

const amount = (least: number, most: number) => fc.double({ min: least, max: most, noNaN: true }).map((value) => value + 0);
const schedule = fc.oneof(
  fc
    .record({ initialLearningRate: amount(1e-4, 0.1), decaySteps: fc.integer({ min: 1, max: 20 }) })
    .map((options) => new schedules.CosineDecay(options)),
  fc
    .record({
      initialLearningRate: amount(1e-4, 0.1),
      decaySteps: fc.integer({ min: 1, max: 20 }),
      decayRate: amount(0.1, 1),
      staircase: fc.boolean(),
    })
    .map((options) => new schedules.ExponentialDecay(options)),
  fc.constant(new schedules.PiecewiseConstantDecay({ boundaries: [2, 5], values: [0.1, 0.01, 0.001] })),
  fc
    .record({ initialLearningRate: amount(1e-4, 0.1), decaySteps: fc.integer({ min: 1, max: 20 }), cycle: fc.boolean() })
    .map((options) => new schedules.PolynomialDecay(options)),
  fc
    .record({ initialLearningRate: amount(1e-4, 0.1), decaySteps: fc.integer({ min: 1, max: 20 }), decayRate: amount(0.1, 1) })
    .map((options) => new schedules.InverseTimeDecay(options)),
  fc
    .record({ initialLearningRate: amount(1e-4, 0.1), firstDecaySteps: fc.integer({ min: 1, max: 9 }) })
    .map((options) => new schedules.CosineDecayRestarts(options)),
);

/** Every option that is data. */
const options: fc.Arbitrary<AdamaxOptions> = fc
  .record(
    {
      learningRate: fc.oneof(amount(0, 0.5), schedule),
      beta1: amount(0, 0.999),
      beta2: amount(0, 0.9999),
      epsilon: amount(1e-12, 0.1),
      weightDecay: fc.option(amount(0, 0.5)),
      clipping: fc.constantFrom("none", "clipnorm", "clipvalue", "globalClipnorm"),
      limit: amount(1e-3, 2),
      useEma: fc.boolean(),
      emaMomentum: amount(0, 1),
      emaOverwriteFrequency: fc.option(fc.integer({ min: 1, max: 4 })),
      emaStart: fc.constantFrom("variable", "firstStep"),
      lossScaleFactor: fc.option(amount(0.5, 1024)),
      gradientAccumulationSteps: fc.option(fc.integer({ min: 2, max: 4 })),
      jitCompile: fc.boolean(),
      name: fc.constantFrom("Adamax", "other/name"),
      groups: fc.constantFrom(
        [],
        [{ names: [/BIAS$/i, "^scale"], learningRateMultiplier: 0.25, weightDecay: 0.01 }],
        [{ names: ["kernel"], learningRateMultiplier: 0 }],
      ),
    },
    { requiredKeys: ["clipping", "limit"] },
  )
  .map(({ clipping, limit, ...rest }) => (clipping === "none" ? rest : { ...rest, [clipping]: limit }) as AdamaxOptions);

const exclusions = fc.constantFrom(null, { names: ["bias$"] }, { names: [/KERNEL/i] });

test("over every option that is data, saved at any step and loaded into new objects: the same bits as never stopping", async () => {
  await fc.assert(
    fc.asyncProperty(
      options,
      exclusions,
      fc.integer({ min: 0, max: 9 }),
      fc.integer({ min: 1, max: 9 }),
      fc.boolean(),
      async (given, excluded, k, more, fromConfig) => {
        const make = () => {
          const optimizer = new Adamax(given);
          if (excluded) optimizer.excludeFromWeightDecay(excluded);
          return optimizer;
        };
        using straight = make();
        const variables = makeVariables();
        straight.build(variables);
        train(straight, variables, 0, k);
        const blob = await checkpointBlob({ optimizer: straight, user: { k } });
        const saved = everything(straight, variables);
        train(straight, variables, k, k + more);

        const fresh = makeVariables(undefined, 2).reverse(); // other values, in another order
        const loaded = fromConfig
          ? await loadCheckpoint(blob, { optimizer: Adamax, options: { threads: 1 } })
          : await loadCheckpoint(blob, { optimizer: make(), variables: fresh });
        using resumed = loaded.optimizer;
        const again = variables.map(({ name }) => loaded.variables.get(name)!);
        expect(loaded.user).toEqual({ k });
        expect(everything(resumed, again)).toEqual(saved);
        train(resumed, again, k, k + more);
        expect(everything(resumed, again)).toEqual(everything(straight, variables));
        expect(resumed.learningRate).toBe(straight.learningRate);
      },
    ),
    { numRuns: 150 },
  );
});

test("from one thread to two and back: the same bits", async () => {
  const shapes = { big: { shape: [400_000] }, small: { shape: [7] } };
  const given = { globalClipnorm: 1, useEma: true, gradientAccumulationSteps: 2 };
  const { optimizer: straight, variables } = trained({ ...given, threads: 1 }, 3, shapes);
  const blob = await checkpointBlob({ optimizer: straight });
  train(straight, variables, 3, 8);
  const two = await loadCheckpoint(blob, { optimizer: Adamax, options: { threads: 2 } });
  using onTwo = two.optimizer;
  const onTwoVariables = variables.map(({ name }) => two.variables.get(name)!);
  await new Promise((resolve) => setTimeout(resolve, 300)); // workers begin once this thread yields
  train(onTwo, onTwoVariables, 3, 5);
  const back = await loadCheckpoint(await checkpointBlob({ optimizer: onTwo }), { optimizer: Adamax, options: { threads: 1 } });
  using onOne = back.optimizer;
  const again = variables.map(({ name }) => back.variables.get(name)!);
  train(onOne, again, 5, 8);
  expect(everything(onOne, again)).toEqual(everything(straight, variables));
});

test("in a new process: the same bits", async () => {
  const file = join(folder(), "model.safetensors");
  const given = { globalClipnorm: 0.5, useEma: true, gradientAccumulationSteps: 3, weightDecay: 0.1 };
  const { optimizer, variables } = trained(given, 4);
  await saveCheckpoint(file, { optimizer });
  train(optimizer, variables, 4, 12);
  const printed = execFileSync(process.execPath, ["--import", "tsx", "test/checkpoint/resume-process.ts", file, "4", "12"], {
    encoding: "utf8",
  });
  const expected = Object.fromEntries(
    Object.entries(everything(optimizer, variables)).map(([name, bits]) => [name, bits.map(String)]),
  );
  expect(JSON.parse(printed)).toEqual(expected);
});

test("an open window of micro-batches is closed with what was in it, also where it had summed to zero", async () => {
  const { optimizer, variables } = trained({ gradientAccumulationSteps: 2 }, 0);
  const [kernel] = variables as [(typeof variables)[0]];
  const zero = new Float32Array(kernel.length);
  optimizer.applyGradients(gradientsOf(variables, 0));
  optimizer.applyGradients(gradientsOf(variables, 1));
  optimizer.applyGradients([[zero, kernel]]); // accumulated, and zero: m and u of the kernel still decay in the next call
  const blob = await checkpointBlob({ optimizer });
  const loaded = await loadCheckpoint(blob, { optimizer: Adamax });
  using resumed = loaded.optimizer;
  const again = variables.map(({ name }) => loaded.variables.get(name)!);
  for (const [one, list] of [
    [optimizer, variables],
    [resumed, again],
  ] as const)
    one.applyGradients([[Float32Array.of(1, 2, 3, 4, 5), list[1]!]]);
  expect(everything(resumed, again)).toEqual(everything(optimizer, variables));
});
