/** The learning rate of a step, in or outside of a graph. */

import { numpy as np } from "@jax-js/jax";
import { OptionError, show } from "../errors.js";
import { LearningRateSchedule } from "../schedules/schedule.js";
import { knownNumber } from "./lower.js";
import type { JaxSettings } from "./options.js";

/** A float32 scalar, or a number. `count` is the number of earlier steps; its reference stays the caller's.
 *  @throws OptionError for a schedule under `jit` without `scheduleSteps`, and for a function that does not return a scalar. */
export const rateOf = ({ learningRate, scheduleSteps }: JaxSettings, count: np.Array): np.Array | number => {
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
  if (typeof rate === "object" && rate !== null && "shape" in rate && (rate as np.Array).shape.length === 0)
    return rate as np.Array;
  throw new OptionError(
    "A learning rate that is a function must return a scalar array",
    show(rate),
    "Compute it from the step count that it is given; a number would be the same in every step of a jitted function.",
  );
};
