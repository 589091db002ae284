/** Rules are written once, and get every backend: Adam, SGD with momentum, Lion and LAMB (examples/rules) against Keras 3's own numbers. */

import { constant, defineRule, Optimizer, type OptimizerOptions, Variable } from "adamax";
import { checkpointBlob, loadCheckpoint } from "adamax/checkpoint";
import { describe, expect, test } from "vitest";
import { Adam } from "../../examples/rules/adam.js";
import { Lamb } from "../../examples/rules/lamb.js";
import { Lion } from "../../examples/rules/lion.js";
import { SGD } from "../../examples/rules/sgd-momentum.js";
import golden from "../../fixtures/rules.json";
import { decode, ulp } from "./golden.js";
import { DTYPES, inTurn, read, save, stateNow, stateOf, Wide } from "./helpers.js";

interface Trajectory {
  name: string;
  rule: string;
  dtype: "float32" | "float64";
  config: Record<string, number>;
  variables: { name: string; shape: number[] }[];
  start_iteration: number;
  states: Record<string, string>[][];
  gradients: { dense: string }[][];
}
const RULES = { Adam, SGD, Lion, Lamb };
type RuleName = keyof typeof RULES;
const all = golden.trajectories as unknown as Trajectory[];
const trajectories = all.filter(({ dtype }) => DTYPES.includes(dtype));
if (trajectories.length < all.length)
  console.log(`float64 is not for what runs here: ${all.length - trajectories.length} goldens`);

/** What the golden calls an array of ours. Keras' SGD has a number and an array of one name; a rule has not. */
const keras = (rule: string, array: string): string => (rule === "SGD" && array === "velocity" ? "momentum" : array);

/** Each step from the golden's own state; the largest error in ulps of the larger of the values before and after the step. Nothing
 *  larger enters the sum that makes the new value. */
const worstUlps = async (
  { rule, dtype, config, variables, start_iteration, states, gradients }: Trajectory,
  options: OptimizerOptions,
): Promise<number> => {
  using optimizer = RULES[rule as RuleName].fromConfig(config, options);
  const trained = variables.map(({ name, shape }, i) => new Variable(decode(dtype, states[0]![i]!.value!), { name, shape }));
  optimizer.build(trained);
  const { slots } = RULES[rule as RuleName].rule;
  const errors = await inTurn(gradients, async (row, k) => {
    const [before, after] = [states[k]!, states[k + 1]!];
    for (const [i, variable] of trained.entries()) await variable.write(decode(dtype, before[i]!.value!));
    optimizer.setWeights([
      [start_iteration + k],
      ...before.flatMap((arrays) => slots.map((slot) => decode(dtype, arrays[keras(rule, slot)]!))),
    ]);
    optimizer.applyGradients(row.map(({ dense }, i) => [decode(dtype, dense), trained[i]!]));
    const values = await Promise.all(trained.map((variable) => variable.read()));
    await optimizer.download();
    return trained.flatMap((variable, i) =>
      ["value", ...slots].flatMap((array) => {
        const [start, wanted] = [before, after].map((state) => decode(dtype, state[i]![keras(rule, array)]!)) as [
          Float32Array,
          Float32Array,
        ];
        const reached = array === "value" ? values[i]! : stateNow(optimizer, array, variable.name);
        return [...reached].map(
          (value, e) => Math.abs(value - wanted[e]!) / ulp(dtype, Math.max(Math.abs(start[e]!), Math.abs(wanted[e]!))),
        );
      }),
    );
  });
  return errors.flat().reduce((worst, error) => (error <= worst ? worst : error)); // NaN wins
};

/** Keras' powers are C's. Those of JavaScriptCore (WebKit, Bun) are products, which may be off in the last bit: see docs/numbers.md. */
const hasPowersOfC = 0.8999 ** 7 === 0.4779250152799392;

/** 0: the same operations in the same order, each rounded once. Where a norm is in it, that is summed in float64 here and in float32
 *  there: 1 ulp in a gradient, 2 in its square, and a few in LAMB's step, which is a product with two norms. So is the last bit of a
 *  power in Adam's corrections, which are 1 less it. */
const ulps = ({ rule, dtype, config }: Trajectory) => {
  const isInexact = rule === "Adam" && dtype === "float64" && !hasPowersOfC;
  return isInexact || rule === "Lamb" || "clipnorm" in config || "global_clipnorm" in config ? 4 : 0;
};

describe.each(["wasm", "interpreter"] as const)("%s makes Keras' step", (backend) => {
  test.each(trajectories.map((trajectory) => [trajectory.dtype, trajectory.name, trajectory] as const))(
    "%s %s",
    async (_, __, trajectory) => {
      expect(await worstUlps(trajectory, { backend })).toBeLessThanOrEqual(ulps(trajectory));
    },
  );
});

test.each<[RuleName, object]>([
  ["Adam", { beta2: 0.998 }],
  ["Adam", { epsilon: 0 }],
  ["SGD", { momentum: 0.899 }],
  ["Lion", { beta1: 0.99 }],
  ["Lion", { beta2: 0.989 }],
  ["Lamb", { beta1: 0.899 }],
  ["Lamb", { epsilon: 1e-3 }],
])("the goldens of %s refuse %j", async (rule, wrong) => {
  const concerned = trajectories.filter((trajectory) => trajectory.rule === rule);
  const refuses = await inTurn(concerned, async (trajectory) => (await worstUlps(trajectory, wrong)) > ulps(trajectory));
  expect(refuses).toContain(true);
});

test("a rule of one's own gets every option: LAMB with clipping, decay, averages and micro-batches, the same bits on both backends", async () => {
  const run = async (backend: "wasm" | "interpreter") => {
    using optimizer = new Lamb({
      backend,
      learningRate: 0.1,
      globalClipnorm: 1,
      weightDecay: 0.1,
      useEma: true,
      gradientAccumulationSteps: 2,
    });
    const [v, w] = [new Variable(Float32Array.of(1, -2, 3)), new Variable(Wide.of(0.5))];
    for (let k = 1; k <= 6; k++)
      optimizer.applyGradients([
        [Float32Array.of(1 / k, -k, 0), v],
        [Wide.of(1 - k / 3), w],
      ]);
    return [...(await stateOf(optimizer)), await read(v), await read(w)];
  };
  expect(await run("wasm")).toEqual(await run("interpreter"));
});

describe("a slot may be called what the optimizer calls an array of its own", () => {
  /** Adagrad, its slot under any name. */
  const adagrad = (slot: string) =>
    class extends Optimizer {
      static override readonly rule = defineRule({
        name: "Adagrad",
        slots: [slot],
        hyperparameters: {},
        update: ({ w, g, [slot]: sum }, { learningRate }) => {
          const squares = sum!.add(g!.mul(g!));
          return { w: w!.sub(learningRate.mul(g!).div(squares.sqrt().add(constant(1e-7)))), [slot]: squares };
        },
      });
    };
  const OPTIONS = { learningRate: 0.5, useEma: true, emaMomentum: 0.5, gradientAccumulationSteps: 2 };
  const train = (optimizer: Optimizer, w: Variable, from: number, to: number) => {
    for (let k = from; k < to; k++) optimizer.applyGradients([[Float32Array.of(1 / (k + 1), -k, 3), w]]);
  };
  const make = (slot: string) => {
    const [optimizer, w] = [new (adagrad(slot))(OPTIONS), new Variable(Float32Array.of(1, -2, 3), { name: "w" })];
    optimizer.build([w]);
    return { optimizer, w };
  };

  test.each(["accumulator", "average"])("%s: the same bits, state and all, as with a name of its own", async (slot) => {
    const [one, other] = [make(slot), make("squares")];
    for (const { optimizer, w } of [one, other]) train(optimizer, w, 0, 5);
    expect(await read(one.w)).toEqual(await read(other.w));
    expect(await stateOf(one.optimizer)).toEqual(await stateOf(other.optimizer));
    expect((await read(one.w)).every(Number.isFinite)).toBe(true);
    const names = one.optimizer.variables.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toEqual(["Adagrad/iteration", "Adagrad/average/w", "Adagrad/accumulator/w", `Adagrad/slot:${slot}/w`]);
  });

  test.each(["accumulator", "average"])(
    "%s: saved and loaded, in the middle of a window, it goes on with the same bits",
    async (slot) => {
      const [one, other] = [make(slot), make(slot)];
      train(one.optimizer, one.w, 0, 3);
      other.optimizer.loadOwnVariables(await save(one.optimizer));
      await other.w.write(await one.w.read());
      const file = await checkpointBlob({ optimizer: one.optimizer });
      const loaded = await loadCheckpoint(file, { optimizer: adagrad(slot) });
      for (const { optimizer, w } of [one, other, { optimizer: loaded.optimizer, w: loaded.variables.get("w")! }])
        train(optimizer, w, 3, 6);
      for (const [optimizer, w] of [
        [other.optimizer, other.w],
        [loaded.optimizer, loaded.variables.get("w")!],
      ] as const) {
        expect(await read(w)).toEqual(await read(one.w));
        expect(await stateOf(optimizer)).toEqual(await stateOf(one.optimizer));
      }
    },
  );
});
