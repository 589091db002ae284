/** Whole steps on the device against the interpreter, bit for bit: rules, options, classes, many variables, several arenas. */

import { Adamax, abs, defineRule, globalNorm } from "adamax";
import { beforeAll, describe, expect, test } from "vitest";
import { Adam } from "../../examples/rules/adam.js";
import { EpsilonInsideAdamax } from "../../examples/rules/adamax-epsilon-inside.js";
import { Lamb } from "../../examples/rules/lamb.js";
import { Lion } from "../../examples/rules/lion.js";
import { SGD } from "../../examples/rules/sgd-momentum.js";
import type { RowClass } from "../../src/backend.js";
import { Device } from "../../src/backends/webgpu/device.js";
import { SPAN, TILE } from "../../src/backends/webgpu/layout.js";
import { allocate } from "../../src/backends/webgpu/memory.js";
import { DeviceStep } from "../../src/backends/webgpu/step.js";
import { composeStep, keptArrays, type StepSettings, type StepVariant } from "../../src/rule/step-program.js";
import { bindRule, type UpdateRule } from "../../src/rule/update-rule.js";
import { difference, random } from "../semantics/helpers.js";
import {
  around,
  type ComputeOptions,
  compute,
  type Floats,
  type Given,
  gpu,
  interpret,
  ONE_CLASS,
  type Steps,
} from "./helpers.js";

const PLAIN: StepSettings = { clipping: { kind: "none" }, lossScale: 1, accumulationSteps: 1, emaMomentum: null };
const UPDATE: StepVariant = {
  ...{ dtype: "float32", decays: false, accumulatesOnly: false, flushesSlots: false, startsAverage: false, overwrites: false },
};

const rules = { Adamax, Adam, SGD, Lion, Lamb, EpsilonInsideAdamax } as unknown as Record<string, { rule: UpdateRule }>;
const adamax = rules.Adamax!.rule;

/** Three updates, or what `variants` says. */
const stepsOf = (
  rule: UpdateRule,
  settings: StepSettings,
  variants: readonly StepVariant[] = [UPDATE, UPDATE, UPDATE],
  classes: readonly RowClass[] = ONE_CLASS,
): Steps => {
  const hyperparameters = Object.fromEntries(
    Object.entries(rule.hyperparameters).map(([name, { byDefault }]) => [name, byDefault as number]),
  );
  const bound = bindRule(rule, hyperparameters);
  const programs = variants.map((variant) =>
    classes.map(({ weightDecay }) => composeStep(rule.slots, bound, settings, { ...variant, decays: weightDecay > 0 })),
  );
  return { classes, programs, parameters: variants.map((_, i) => ({ learningRate: 0.01 / (i + 1), step: i + 1 })) };
};

/** A variable of this length in the middle of a training; now and then with a gradient of 0, a tiny one, or a slot about to vanish. */
const variableOf = (rule: UpdateRule, settings: StepSettings, length: number, seed: number, ownClass = 0): Given => {
  const next = random(seed);
  const names = ["w", "g", ...keptArrays(rule.slots, settings).map(({ array }) => array)];
  const arrays = Object.fromEntries(names.map((name, i) => [name, around(name === "g" ? 0.01 : 1, length, 100 * seed + i)]));
  const { w, g, ...state } = arrays as Record<string, Floats>;
  for (const name of ["norm", "velocity"]) if (state[name]) state[name] = state[name].map(Math.abs);
  for (let i = 0; i < length; i += 1 + Math.floor(100 * next())) {
    g![i] = [0, -0, 1e-30, 2 ** -90][i % 4]!;
    for (const slot of rule.slots) state[`slot:${slot}`]![i]! *= [0, 1e-28, 1, 2 ** -91][i % 4]!;
  }
  return { class: ownClass, arrays: { w: w!, g: g!, ...state } };
};

let device: Device;
beforeAll(async () => {
  device = await Device.open({ gpu });
  return () => device.dispose();
});

/** Where the device differs from the interpreter; null where it does not. */
const disagreement = async (steps: Steps, given: readonly Given[], options?: ComputeOptions): Promise<string | null> => {
  const actual = await compute(device, steps, given, options);
  for (const [i, expected] of interpret(steps, given).entries())
    for (const [name, values] of Object.entries(expected)) {
      const differs = difference(actual[i]![name]!, values);
      if (differs) return `${name} of variable ${i}: ${differs}`;
    }
  return null;
};

const LENGTHS = [100_003, 1, 3 * TILE, 77, TILE + 1, 40_000];
const given = (rule: UpdateRule, settings: StepSettings): Given[] =>
  LENGTHS.map((length, i) => variableOf(rule, settings, length, i + 1));

test.each(Object.entries(rules))("%s", async (_, { rule }) => {
  expect(await disagreement(stepsOf(rule, PLAIN), given(rule, PLAIN))).toBeNull();
});

test.each(Object.entries(rules))(
  "%s with everything: the global norm, decay, average, accumulation, a loss scale",
  async (_, { rule }) => {
    const settings: StepSettings = {
      clipping: { kind: "globalNorm", limit: 0.3 },
      lossScale: 3,
      accumulationSteps: 2,
      emaMomentum: 0.99,
    };
    const variants = [
      { ...UPDATE, accumulatesOnly: true },
      { ...UPDATE, flushesSlots: true, startsAverage: true },
      { ...UPDATE, accumulatesOnly: true },
      { ...UPDATE, overwrites: true },
    ];
    const classes = [{ learningRateMultiplier: 1, weightDecay: 0.1 }];
    expect(await disagreement(stepsOf(rule, settings, variants, classes), given(rule, settings))).toBeNull();
  },
);

describe("each option alone", () => {
  const settings: [string, Partial<StepSettings>][] = [
    ["clipping by value", { clipping: { kind: "value", limit: 0.01 } }],
    ["clipping by norm", { clipping: { kind: "norm", limit: 0.5 } }],
    ["clipping by the global norm", { clipping: { kind: "globalNorm", limit: 0.5 } }],
    ["clipping by a norm that is never reached", { clipping: { kind: "norm", limit: 1e6 } }],
    ["a loss scale that is a power of two", { lossScale: 1024 }],
    ["a loss scale that is not", { lossScale: 3 }],
    ["an average", { emaMomentum: 0.9 }],
  ];
  test.each(settings)("%s", async (_, own) => {
    const all = { ...PLAIN, ...own };
    expect(await disagreement(stepsOf(adamax, all), given(adamax, all))).toBeNull();
  });

  const averaged = { ...PLAIN, emaMomentum: 0.9 };
  const accumulating = { ...PLAIN, accumulationSteps: 3 };
  const variants: [string, StepSettings, Partial<StepVariant>][] = [
    ["flushing of slots", PLAIN, { flushesSlots: true }],
    ["an average that starts", averaged, { startsAverage: true }],
    ["an average that overwrites", averaged, { overwrites: true }],
    ["accumulation without an update", accumulating, { accumulatesOnly: true }],
    ["an update from what was accumulated", accumulating, {}],
  ];
  test.each(variants)("%s", async (_, settings, own) => {
    expect(await disagreement(stepsOf(adamax, settings, [{ ...UPDATE, ...own }]), given(adamax, settings))).toBeNull();
  });
});

test.each([
  ["joined by the global norm", 1],
  ["one behind the other, without a norm", 2],
] as const)("classes with programs and scalars of their own, %s", async (_, neighbours) => {
  const settings: StepSettings = neighbours > 1 ? PLAIN : { ...PLAIN, clipping: { kind: "globalNorm", limit: 0.3 } };
  const classes = [
    { learningRateMultiplier: 1, weightDecay: 0 },
    { learningRateMultiplier: 0.1, weightDecay: 0.1 },
    { learningRateMultiplier: 3, weightDecay: 0.2 },
    { learningRateMultiplier: 0.5, weightDecay: 0 },
  ];
  const variables = LENGTHS.map((length, i) =>
    variableOf(adamax, settings, length, i + 1, Math.floor(i / neighbours) % classes.length),
  );
  expect(await disagreement(stepsOf(adamax, settings, [UPDATE], classes), variables)).toBeNull();
});

test("what lies between small variables adds nothing to a norm of the model, whatever that is of", async () => {
  const rule = defineRule({
    ...{ name: "ByNorms", slots: [], hyperparameters: {} },
    update({ w, g }) {
      const norms = globalNorm(g.add(1))
        .add(globalNorm(w.neg()))
        .add(globalNorm(abs(g.mul(2))));
      return { w: w.sub(g.div(norms)) };
    },
  }) as unknown as UpdateRule;
  const variables = [3, 70, 5, 1, 200].map((length, i) => variableOf(rule, PLAIN, length, i + 1));
  expect(await disagreement(stepsOf(rule, PLAIN), variables)).toBeNull();
});

test("a thousand variables of unlike lengths, clipped by a norm of each, and LAMB's norms", async () => {
  const settings: StepSettings = { ...PLAIN, clipping: { kind: "norm", limit: 0.05 } };
  const lamb = rules.Lamb!.rule;
  const variables = Array.from({ length: 1000 }, (_, i) => variableOf(lamb, settings, 1 + ((i * 37) % 211), i + 1));
  expect(await disagreement(stepsOf(lamb, settings), variables)).toBeNull();
});

test.each([["none"], ["norm"], ["globalNorm"]] as const)(
  "arenas that hold two tiles: variables are cut, and a norm (%s) joins their parts",
  async (kind) => {
    const settings: StepSettings = { ...PLAIN, clipping: kind === "none" ? { kind } : { kind, limit: 0.5 } };
    expect(await disagreement(stepsOf(adamax, settings), given(adamax, settings), { capacity: 2 * TILE })).toBeNull();
  },
);

test.each([
  ["none", 100, 1],
  ["norm", 100, 3], // the gradients' sums, the factors, the update
  ["globalNorm", 3 * SPAN, 4], // and the joining of the sums of spans
] as const)(
  "clipping %s, of variables of %i elements, takes %i dispatches for any number of them",
  async (kind, length, wanted) => {
    const settings: StepSettings = { ...PLAIN, clipping: kind === "none" ? { kind } : { kind, limit: 0.5 } };
    const { programs, parameters } = stepsOf(adamax, settings, [UPDATE]);
    for (const count of [1, 300]) {
      const { variables, free } = await allocate(device, new Array(count).fill(length), [
        "w",
        "g",
        ...adamax.slots.map((slot) => `slot:${slot}`),
      ]);
      const step = new DeviceStep(device, programs[0]!, ONE_CLASS);
      const rows = variables.map((arrays) => ({ arrays, class: 0 }));
      step.run(rows, count, parameters[0]!);
      expect(step.dispatches).toBe(wanted);
      step.dispose();
      free();
    }
  },
);

test.each([["none"], ["globalNorm"]] as const)(
  "a step over other variables than the last one, over fewer, and over the first again; clipping: %s",
  async (kind) => {
    const settings: StepSettings = { ...PLAIN, clipping: kind === "none" ? { kind } : { kind, limit: 0.5 } };
    const { programs, parameters } = stepsOf(adamax, settings, [UPDATE]);
    const variables = given(adamax, settings);
    const { variables: arrays, free } = await allocate(device, LENGTHS, [
      "w",
      "g",
      ...adamax.slots.map((slot) => `slot:${slot}`),
    ]);
    const rows = arrays.map((own) => ({ arrays: own, class: 0 }));
    for (const [i, { arrays: own }] of variables.entries())
      for (const [name, values] of Object.entries(own)) arrays[i]!.write(name, 0, values);
    const step = new DeviceStep(device, programs[0]!, ONE_CLASS);
    const calls = [[0, 1, 2, 3, 4, 5], [5, 2], [3], [1, 2, 4], [0, 1, 2, 3, 4, 5]];
    let expected = variables.map(({ arrays: own }) => own as Record<string, Floats>);
    for (const call of calls) {
      step.run(
        call.map((i) => rows[i]!),
        call.length,
        parameters[0]!,
      );
      const after = interpret(
        stepsOf(adamax, settings, [UPDATE]),
        call.map((i) => ({ class: 0, arrays: expected[i]! })),
      );
      expected = expected.map((own, i) => (call.includes(i) ? after[call.indexOf(i)]! : own));
    }
    for (const [i, { w }] of expected.entries()) expect(difference(await arrays[i]!.read("w", 0, LENGTHS[i]!), w!)).toBeNull();
    step.dispose();
    free();
  },
);

test("a NaN and infinities show in their own elements and nowhere else", async () => {
  const variable = variableOf(adamax, PLAIN, 10_000, 1);
  variable.arrays.g!.set([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY], 5000);
  expect(await disagreement(stepsOf(adamax, PLAIN), [variable])).toBeNull();
});

test.each([[Number.NaN], [Number.POSITIVE_INFINITY]])("%s in a gradient shows in whatever its norm scales", async (value) => {
  for (const kind of ["norm", "globalNorm"] as const) {
    const settings: StepSettings = { ...PLAIN, clipping: { kind, limit: 0.5 } };
    const variables = given(adamax, settings);
    variables[1]!.arrays.g![0] = value;
    variables[5]!.arrays.g![39_999] = -value;
    expect(await disagreement(stepsOf(adamax, settings), variables)).toBeNull();
  }
});

test.each([[1e30], [1e-25]])("clipping of gradients near %s", async (size) => {
  for (const kind of ["norm", "globalNorm"] as const) {
    const settings: StepSettings = { ...PLAIN, clipping: { kind, limit: 30 * size } };
    const variables = LENGTHS.map((length, i) => {
      const variable = variableOf(adamax, settings, length, i + 1);
      return { ...variable, arrays: { ...variable.arrays, g: around(size, length, i + 1) } };
    });
    expect(await disagreement(stepsOf(adamax, settings), variables)).toBeNull();
  }
});

test("variables of no elements", async () => {
  const settings: StepSettings = { ...PLAIN, clipping: { kind: "globalNorm", limit: 0.5 } };
  for (const lengths of [[0, 5], [0]])
    expect(
      await disagreement(
        stepsOf(adamax, settings),
        lengths.map((length) => variableOf(adamax, settings, length, 1)),
      ),
    ).toBeNull();
});
