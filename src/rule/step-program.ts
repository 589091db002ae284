/** Composes the stages of a step around an update rule: unscale, accumulate, clip, decay, rule, average, overwrite.
 *  Only the stages in use are there; a stage that is off costs nothing. */

import { compile } from "./compile.js";
import { constant, type Expression, element, flush, globalNorm, max, min, norm, parameter } from "./expression.js";
import type { DType, Program } from "./program.js";
import type { BoundRule } from "./update-rule.js";

export type Clipping = { readonly kind: "none" } | { readonly kind: "norm" | "globalNorm" | "value"; readonly limit: number };

/** What stays the same from step to step. */
export interface StepSettings {
  readonly clipping: Clipping;
  /** Gradients are divided by this. 1: not at all. */
  readonly lossScale: number;
  /** Micro-batches in one update. 1: no accumulation. */
  readonly accumulationSteps: number;
  /** Momentum of the moving average; null: no average. */
  readonly emaMomentum: number | null;
}

/** What makes one step's program another than the next one's. */
export interface StepVariant {
  readonly dtype: DType;
  /** Whether weight decay applies to the variable. */
  readonly decays: boolean;
  /** A micro-batch that only adds to the accumulator. */
  readonly accumulatesOnly: boolean;
  /** Whether slots below TINY become zero in this step. */
  readonly flushesSlots: boolean;
  /** Whether the moving average starts in this step, from the value after it (Keras 3's way). */
  readonly startsAverage: boolean;
  /** Whether the variable takes the value of its average after this step. */
  readonly overwrites: boolean;
}

/** What an array of the state is for. */
export type Role = "average" | "accumulator" | "slot";

/** An array that is kept for each variable besides its value. */
export interface KeptArray {
  readonly role: Role;
  /** What programs and rows call it. A slot has a name of its own kind there, so that a rule may call it anything. */
  readonly array: string;
  /** What users and files call it: the role, or the slot. */
  readonly name: string;
}

const slotArray = (slot: string): string => `slot:${slot}`;
const own = (role: Exclude<Role, "slot">): KeptArray => ({ role, array: role, name: role });
const ROLES: readonly string[] = ["average", "accumulator"];

/** The arrays that a step keeps for each variable, in the order in which Keras saves them. */
export const keptArrays = (slots: readonly string[], settings: StepSettings): KeptArray[] => [
  ...(settings.emaMomentum === null ? [] : [own("average")]),
  ...(settings.accumulationSteps === 1 ? [] : [own("accumulator")]),
  ...slots.map((slot) => {
    const array = slotArray(slot);
    return { role: "slot", array, name: ROLES.includes(slot) ? array : slot } as const;
  }),
];

/** Magnitudes below this count as zero. Products with subnormal numbers (below 2^-126) are 24-112 times slower on CPUs;
 *  2^-90 keeps every product of the step, down to learning rates of 1e-9, out of that range. */
export const TINY = 2 ** -90;

const isPowerOfTwo = (value: number): boolean => 2 ** Math.round(Math.log2(value)) === value;

/** x / divisor. By a power of two, multiplying is exact too, and faster. */
const divide = (x: Expression, divisor: number): Expression => {
  if (divisor === 1) return x;
  return isPowerOfTwo(divisor) ? x.mul(1 / divisor) : x.div(divisor);
};

/** The factor that brings a norm down to `limit`: in (0, 1], and NaN when the norm is NaN or infinite, so a broken gradient shows. */
const clipFactor = (norm: Expression, limit: number): Expression => constant(limit).div(max(norm, limit)).add(norm.sub(norm));

const clip = (g: Expression, clipping: Clipping): Expression => {
  switch (clipping.kind) {
    case "none":
      return g;
    case "value":
      return min(max(g, -clipping.limit), clipping.limit);
    default:
      return g.mul(clipFactor(clipping.kind === "norm" ? norm(g) : globalNorm(g), clipping.limit));
  }
};

/** A step as backends compile it. */
export const composeStep = (slots: readonly string[], rule: BoundRule, settings: StepSettings, variant: StepVariant): Program =>
  compile(variant.dtype, recordStep(slots, rule, settings, variant));

/** The new value of every array that the step may change. */
export const recordStep = (
  slots: readonly string[],
  rule: BoundRule,
  settings: StepSettings,
  variant: Omit<StepVariant, "dtype">,
): Readonly<Record<string, Expression>> => {
  const learningRate = parameter("learningRate");
  const { lossScale, accumulationSteps, emaMomentum } = settings;
  const outputs: Record<string, Expression> = {};

  let g = divide(flush(element("g"), TINY * lossScale), lossScale);
  if (accumulationSteps > 1) {
    g = element("accumulator").add(g);
    if (variant.accumulatesOnly) return { accumulator: g };
    g = divide(g, accumulationSteps);
    outputs.accumulator = constant(0);
  }
  g = clip(g, settings.clipping);

  let w = element("w");
  if (variant.decays) w = w.sub(w.mul(parameter("weightDecay")).mul(learningRate));

  const slotOf = (name: string) => (variant.flushesSlots ? flush(element(slotArray(name)), TINY) : element(slotArray(name)));
  const state = Object.fromEntries(slots.map((name) => [name, slotOf(name)]));
  const updated = rule({ w, g, ...state }, { learningRate, step: parameter("step") });
  outputs.w = updated.w!;
  for (const name of slots) outputs[slotArray(name)] = updated[name]!;

  if (emaMomentum !== null) {
    const average = element("average");
    outputs.average = variant.startsAverage ? updated.w! : average.mul(emaMomentum).add(updated.w!.mul(1 - emaMomentum));
    if (variant.overwrites) outputs.w = outputs.average;
  }
  return outputs;
};

/** What can be done with averages beside steps. A program each, so that every backend can do it where the arrays are. */
const MOVES = {
  /** Values and averages change places. */
  swap: { w: "average", average: "w" },
  /** Values become their averages. */
  finalize: { w: "average" },
  /** Averages begin, from the values. */
  begin: { average: "w" },
} as const;
export type Move = keyof typeof MOVES;

export const composeMove = (move: Move, dtype: DType): Program =>
  compile(dtype, Object.fromEntries(Object.entries(MOVES[move]).map(([to, from]) => [to, element(from)])));
