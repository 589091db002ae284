/** Runs one optimizer on one landscape: in the page, and in the worker of a rule that the visitor wrote. */

import {
  type Backend,
  defineRule,
  InterpreterBackend,
  Optimizer,
  schedules,
  type UpdateRule,
  Variable,
  WasmBackend,
} from "adamax";
import { type Chosen, type Options, SCHEDULE, type SCHEDULES } from "./options.ts";
import { type Surface, surfaceOf } from "./surfaces.ts";
import type { Course, Track } from "./track.ts";

type Rate = number | schedules.LearningRateSchedule;

/** The schedule that was chosen, over `steps` steps. */
export const rateOf = (learningRate: number, chosen: Chosen, steps: number): Rate => {
  const name = (chosen[SCHEDULE] ?? "constant") as (typeof SCHEDULES)[number];
  const initialLearningRate = learningRate;
  switch (name) {
    case "CosineDecay":
      return new schedules.CosineDecay({ initialLearningRate, decaySteps: steps });
    case "CosineDecayRestarts":
      return new schedules.CosineDecayRestarts({ initialLearningRate, firstDecaySteps: steps / 4 });
    case "ExponentialDecay":
      return new schedules.ExponentialDecay({ initialLearningRate, decaySteps: steps, decayRate: 0.05 });
    case "InverseTimeDecay":
      return new schedules.InverseTimeDecay({ initialLearningRate, decaySteps: steps / 10, decayRate: 1 });
    case "PolynomialDecay":
      return new schedules.PolynomialDecay({ initialLearningRate, decaySteps: steps, endLearningRate: 0 });
    default:
      return learningRate;
  }
};

const SEEN = "seenGradient";

/** The same rule, which also keeps the gradient that it sees: what is left of it after scaling, accumulation and clipping. */
const observed = (rule: UpdateRule): UpdateRule =>
  defineRule({
    ...rule,
    slots: [...rule.slots, SEEN],
    update: (inputs, scalars, numbers) => ({ ...rule.update(inputs, scalars, numbers), [SEEN]: inputs.g! }),
  } as UpdateRule);

/** @throws OptionError for options that the optimizer refuses, and for what is wrong with a rule. */
export const run = (rule: UpdateRule, learningRate: Rate, options: Options, course: Course): Track => {
  const surface = surfaceOf(course.surface);
  const { steps } = surface;
  class Runner extends Optimizer<never> {
    static override readonly rule = observed(rule);
  }
  const { jitCompile = true, ...rest } = options;
  const backend: Backend = jitCompile ? new WasmBackend({ threads: 1 }) : new InterpreterBackend();
  const variable = new Variable(Float32Array.of(course.start.x, course.start.y), { name: "w" });
  const optimizer = new Runner({ ...rest, learningRate, backend } as never);
  try {
    optimizer.build([variable]);
    const arrays = new Map(optimizer.variables.map((one) => [one.name.split("/").at(-2), one]));
    const state = (name: string) => arrays.get(name)!.value as Float32Array; // a view
    const pairs = () => new Float32Array(2 * steps);
    const slots = Object.fromEntries(rule.slots.map((slot) => [slot, pairs()]));
    const track = {
      steps,
      path: new Float32Array(2 * steps + 2),
      average: optimizer.useEma ? new Float32Array(2 * steps + 2) : null,
      heights: new Float64Array(steps + 1),
      given: pairs(),
      seen: pairs(),
      slots,
      rates: new Float64Array(steps),
      updates: new Int32Array(steps),
      hyper: { ...optimizer.hyperparameters },
    };
    const place = (at: number) => {
      const [x = 0, y = 0] = variable.value as Float32Array;
      track.path.set([x, y], 2 * at);
      track.average?.set(state("average"), 2 * at);
      const { x: left, y: down } = surface.drift(at);
      track.heights[at] = surface.value(x - left, y - down);
      return { x: x - left, y: y - down };
    };
    const noise = noiseOf(surface, course);
    const scale = Number(options.lossScaleFactor ?? 1);
    for (let step = 0; step < steps; step++) {
      const { x, y } = place(step);
      const [gx, gy] = surface.gradient(x, y);
      const given = Float32Array.of(gx + noise[2 * step]!, gy + noise[2 * step + 1]!);
      track.given.set(given, 2 * step);
      track.rates[step] = optimizer.learningRate;
      track.updates[step] = optimizer.applyGradients([[given.map((g) => g * scale), variable]]);
      track.seen.set(state(SEEN), 2 * step);
      for (const slot of rule.slots) slots[slot]!.set(state(slot), 2 * step);
    }
    place(steps);
    return track;
  } finally {
    optimizer.dispose();
    backend.dispose();
  }
};

/** The same for everybody who runs the same course. */
const noiseOf = ({ noise, steps }: Surface, { seed, noise: factor }: Course): Float32Array => {
  const random = generator(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Float32Array.from({ length: 2 * steps }, (_, i) => factor * noise(i >> 1) * normal());
};

/** Numbers in [0, 1), the same for the same seed in every engine. */
const generator = (seed: number) => {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
};
