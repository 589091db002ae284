/** The learning rate of a step, in or outside of a graph. */

import { numpy as np } from "@jax-js/jax";
import { OptionError } from "../errors.js";
import { plainRate } from "../optimizer/options.js";
import { LearningRateSchedule } from "../schedules/schedule.js";
import { knownNumber } from "./lower.js";
import type { JaxSettings } from "./options.js";
import { describe, isArray } from "./tree.js";

/** What a step can be given: a number, or a scalar array. */
export type Rate = np.Array | number;

const isScalar = (value: unknown): value is np.Array => isArray(value) && value.shape.length === 0;

/** The rate that stands in for the option in one step.
 *  @throws OptionError unless it is a number of 0 or more, or a scalar. */
export const checkRate = (rate: unknown): Rate => {
  const isSpent = isArray(rate) && rate.refCount === 0;
  if ((isScalar(rate) && !isSpent) || plainRate.holds(rate)) return rate as Rate;
  throw new OptionError(
    `The learning rate of one step must be ${plainRate.wanted}, or a scalar array`,
    isSpent ? "an array that was spent" : describe(rate),
    "Pass that of this step, such as schedule.at(i); schedules and functions are the option learningRate.",
  );
};

/** A float32 scalar, or a number. `count` is the number of earlier steps; its reference stays the caller's.
 *  @throws OptionError for a schedule under `jit` without `scheduleSteps`, and for a function that does not return a scalar. */
export const rateOf = ({ learningRate, scheduleSteps }: JaxSettings, count: np.Array): Rate => {
  if (typeof learningRate === "number") return learningRate;
  if (!(learningRate instanceof LearningRateSchedule)) return scalarOf(learningRate(count.ref));
  const known = knownNumber(count);
  if (known !== null) return learningRate.at(known);
  if (scheduleSteps === null)
    throw new OptionError(
      "Under jit a schedule becomes a table of rates, so the number of steps must be known",
      "scheduleSteps=null",
      "Give scheduleSteps, or pass the rate of each step to the jitted function: step(params, grads, state, rate).",
    );
  const rates = Float32Array.from({ length: scheduleSteps }, (_, step) => learningRate.at(step));
  return np.take(np.array(rates), np.minimum(count.ref, scheduleSteps - 1));
};

const scalarOf = (rate: unknown): np.Array => {
  if (isScalar(rate)) return rate;
  throw new OptionError(
    "A learning rate that is a function must return a scalar array",
    describe(rate),
    "Compute it from the step count that it is given; a number would be the same in every step of a jitted function.",
  );
};
