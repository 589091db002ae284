/** Every option and every rule, eager and under jit, against the core: each step from the core's own state before it. */

import { jit, numpy as np, tree } from "@jax-js/jax";
import { Adamax, type AdamaxOptions as CoreOptions, type DType, type Optimizer, schedules, Variable } from "adamax";
import { type AdamaxOptions, adamax, type State, type Transformation, transformation } from "adamax/jax";
import { beforeAll, describe, expect, test } from "vitest";
import { Adam } from "../../examples/rules/adam.js";
import { Lamb } from "../../examples/rules/lamb.js";
import { Lion } from "../../examples/rules/lion.js";
import { SGD } from "../../examples/rules/sgd-momentum.js";
import { ulp } from "../semantics/golden.js";
import { stateNow as stateOf } from "../semantics/helpers.js";
import { elements, NAMES, type Name, type Params, shapeOf, start, treeOf, valuesOf } from "./models.js";

beforeAll(start);

const STEPS = 12;
type Step = (params: Params, grads: Params, state: State) => [Params, State];

/** The largest error of a step, in ulps of the largest operand: of a value, its rate and what it was; of state, what it was and the gradient. */
const worstUlps = (core: Optimizer<never>, step: Step, slots: readonly string[], dtype: DType = "float32"): number => {
  const ArrayOf = dtype === "float32" ? Float32Array : Float64Array;
  const variables = NAMES.map((name) => new Variable(ArrayOf.from(valuesOf(name, 0)), { shape: shapeOf(name), name }));
  core.build(variables);
  let calls = 0;
  const arrayOf = (array: string, name: Name) => [
    ...(array === "w" ? variables[NAMES.indexOf(name)]!.value : stateOf(core as Optimizer, array, name)),
  ];
  const treeFrom = (array: string) => {
    const made = NAMES.map((name) => [name, np.array(arrayOf(array, name), { dtype: np[dtype] }).reshape(shapeOf(name))]);
    return Object.fromEntries(made) as Params;
  };
  let worst = 0;
  for (; calls < STEPS; calls++) {
    const state = {
      count: np.array(calls, { dtype: np.int32 }),
      arrays: Object.fromEntries(slots.map((slot) => [slot, treeFrom(slot)])),
    };
    const before = Object.fromEntries(["w", ...slots].map((array) => [array, NAMES.map((name) => arrayOf(array, name))]));
    const rate = core.learningRate;
    const [params, next] = step(treeFrom("w"), treeOf(calls + 1, dtype), state);
    core.applyGradients(NAMES.map((name, i) => [ArrayOf.from(valuesOf(name, calls + 1)), variables[i]!]));
    expect(elements(next.count)).toEqual([calls + 1]);
    for (const [array, reached] of Object.entries({ w: params, ...(next.arrays as Record<string, Params>) }))
      NAMES.forEach((name, i) => {
        const others = array === "w" || array === "average" ? rate : Math.abs(Math.max(...valuesOf(name, calls + 1)));
        arrayOf(array, name).forEach((wanted, e) => {
          const scale = Math.max(Math.abs(wanted), Math.abs(before[array]![i]![e]!), others);
          const error = Math.abs(elements(reached[name])[e]! - wanted) / ulp(dtype, scale);
          if (!(error <= worst)) worst = error; // NaN wins
        });
      });
    tree.dispose([params, next]);
  }
  core.dispose();
  return worst;
};

const eagerly =
  (optimizer: Transformation): Step =>
  (params, grads, state) =>
    optimizer.step(params, grads, state);
const underJit = (optimizer: Transformation): Step =>
  jit((params: Params, grads: Params, state: State) => optimizer.step(params, grads, state)) as Step;

const schedule = new schedules.CosineDecay({ initialLearningRate: 0.1, decaySteps: 9, alpha: 0.1 });
const configurations: Record<string, AdamaxOptions> = {
  defaults: {},
  rates: { learningRate: 0.05, beta1: 0.8, beta2: 0.95, epsilon: 1e-3 },
  "weight decay": { learningRate: 0.05, weightDecay: 0.1 },
  clipnorm: { learningRate: 0.05, clipnorm: 0.5 },
  clipvalue: { learningRate: 0.05, clipvalue: 0.5 },
  globalClipnorm: { learningRate: 0.05, globalClipnorm: 0.5 },
  "an average": { learningRate: 0.05, useEma: true, emaMomentum: 0.9 },
  "an average that overwrites": { learningRate: 0.05, useEma: true, emaMomentum: 0.9, emaOverwriteFrequency: 3 },
  "an average from the first step": { learningRate: 0.05, useEma: true, emaStart: "firstStep", emaOverwriteFrequency: 1 },
  "a loss scale": { learningRate: 0.05, lossScaleFactor: 3 },
  accumulation: { learningRate: 0.05, gradientAccumulationSteps: 3, useEma: true },
  groups: {
    learningRate: 0.05,
    weightDecay: 0.1,
    groups: [{ names: ["^bias$"], learningRateMultiplier: 0.5, weightDecay: 0 }],
  },
  "a schedule": { learningRate: schedule, scheduleSteps: STEPS },
  everything: {
    learningRate: schedule,
    scheduleSteps: STEPS,
    weightDecay: 0.1,
    globalClipnorm: 0.5,
    useEma: true,
    lossScaleFactor: 8,
    gradientAccumulationSteps: 2,
  },
};

/** jax-js divides by multiplying with 1 / y, and joins constants: one rounding more here, one fewer there. LAMB's step is a product with two
 *  norms. */
const ULPS = { Adamax: 1, Lion: 1, SGD: 1, Adam: 1, Lamb: 4 };

describe.each(Object.entries({ eagerly, "under jit": underJit }))("%s", (_, way) => {
  test.each(Object.entries(configurations))("Adamax with %s makes the core's steps", (__, options) => {
    const { scheduleSteps: ___, ...rest } = options;
    const kept = [...(options.useEma ? ["average"] : []), ...(options.gradientAccumulationSteps ? ["accumulator"] : [])];
    const worst = worstUlps(new Adamax(rest as CoreOptions), way(adamax(options)), [...kept, "momentum", "norm"]);
    expect(worst).toBeLessThanOrEqual(ULPS.Adamax);
  });

  test.each(Object.entries({ Adam, Lamb, Lion, SGD }))("%s makes the core's steps", (name, Rule) => {
    const optimizer = transformation<typeof Rule>(Rule)({ learningRate: 0.05 });
    const worst = worstUlps(new Rule({ learningRate: 0.05 }), way(optimizer), Rule.rule.slots);
    expect(worst).toBeLessThanOrEqual(ULPS[name as keyof typeof ULPS]);
  });

  test("float64 parameters keep their dtype and make the core's steps", () => {
    const options = { learningRate: 0.0625, beta1: 0.875, useEma: true, globalClipnorm: 0.5, weightDecay: 0.125 };
    const worst = worstUlps(new Adamax(options), way(adamax(options)), ["average", "momentum", "norm"], "float64");
    expect(worst).toBeLessThanOrEqual(1);
  });
});
