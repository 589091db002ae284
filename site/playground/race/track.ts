/** One optimizer on one landscape, step by step. Runs in the page, and in the worker of a rule that the visitor wrote. */

import {
  type Backend,
  defineRule,
  InterpreterBackend,
  Optimizer,
  type schedules,
  type UpdateRule,
  Variable,
  WasmBackend,
} from "adamax";
import type { StepNumbers } from "./contenders.ts";
import { type Point, type Surface, surfaceOf } from "./surfaces.ts";

/** Options of an optimizer; what is not there has its default. */
export type Options = Readonly<Record<string, number | boolean | string>>;

/** What a run is decided by. Plain data, so that a worker can be sent it. */
export interface Course {
  readonly surface: string;
  readonly start: Point;
  readonly seed: number;
  /** The surface's own noise, so many times. */
  readonly noise: number;
}

/** Where the optimizer was before each step and after the last, and what each step did. Coordinates alternate: x, y, x, y, ... */
export interface Track {
  readonly steps: number;
  /** 2 (steps + 1) numbers. */
  readonly path: Float32Array;
  /** The moving average of the path; null: none is kept. */
  readonly average: Float32Array | null;
  /** The landscape's height at each place of the path, without noise. */
  readonly heights: Float64Array;
  /** As it was given: 2 steps numbers; so are the next. */
  readonly given: Float32Array;
  /** As the rule saw it. */
  readonly seen: Float32Array;
  readonly slots: Readonly<Record<string, Float32Array>>;
  readonly rates: Float64Array;
  /** Updates made after each step: fewer than steps where micro-batches are accumulated. */
  readonly updates: Int32Array;
  readonly hyper: Readonly<Record<string, number>>;
}

const SEEN = "seenGradient";

/** The same rule, which also keeps the gradient that it sees: what is left of it after scaling, accumulation and clipping. */
const observed = (rule: UpdateRule): UpdateRule =>
  defineRule({
    ...rule,
    slots: [...rule.slots, SEEN],
    update: (inputs, scalars, numbers) => ({ ...rule.update(inputs, scalars, numbers), [SEEN]: inputs.g! }),
  } as UpdateRule);

export type Rate = number | schedules.LearningRateSchedule;

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

/** Whether step `step` moved anything, or only accumulated. */
export const movesIn = ({ updates }: Track, step: number): boolean => updates[step]! > (step === 0 ? 0 : updates[step - 1]!);

/** What step `step` (from 0) did to coordinate `axis` (0: x, 1: y). */
export const numbersOf = (track: Track, step: number, axis: 0 | 1, weightDecay = 0): StepNumbers => {
  const at = 2 * step + axis;
  const slotsAt = (place: number) =>
    Object.fromEntries(Object.entries(track.slots).map(([name, values]) => [name, place < 0 ? 0 : values[place]!]));
  return {
    t: track.updates[step]!,
    g: track.seen[at]!,
    w: track.path[at]! * (1 - track.rates[step]! * weightDecay), // decay comes before the rule
    newW: track.path[at + 2]!,
    slots: slotsAt(at - 2),
    newSlots: slotsAt(at),
    rate: track.rates[step]!,
    hyper: track.hyper,
  };
};
