/** Callbacks that are ready to use. */

import { OptionError, show } from "../errors.js";
import { checkKinds, flag, integerFrom, nonNegative, oneOf, optional } from "../kinds.js";
import type { Callback, EpochResult, TrainableOptimizer } from "./training.js";

/** When `earlyStopping` ends a training. */
export interface EarlyStoppingOptions {
  /** What should get better: a number of the epoch's result, or any other, by a function. Default "valLoss". */
  monitor?: Monitor;
  /** Whether less or more is better. Default "min". */
  mode?: "min" | "max";
  /** Ends the training after so many epochs in a row that were not better than the best. An integer, 0 or more; default 0, which
   *  is as 1. */
  patience?: number;
  /** By how much the best must be beaten to count. 0 or more, default 0. */
  minDelta?: number;
  /** Leaves the variables as they would be had the training ended with its best epoch (the averages of that epoch when the
   *  optimizer keeps them). Keeps a copy of every variable. Default false: as the last epoch left them. */
  restoreBestWeights?: boolean;
}

type Monitor = "valLoss" | "loss" | ((result: EpochResult) => number);

/** Ends the training when an epoch's result gets no better. NaN is never better. Keras' EarlyStopping. */
export const earlyStopping = (options: EarlyStoppingOptions = {}): Callback => {
  const { monitor, mode, patience, minDelta, restoreBestWeights } = checkKinds<EarlyStoppingOptions>("earlyStopping", options, {
    monitor: optional(
      {
        wanted: '"valLoss", "loss" or a function',
        holds: (value) => ["valLoss", "loss"].includes(value as string) || typeof value === "function",
      },
      "valLoss",
    ),
    mode: optional(oneOf("min", "max"), "min"),
    patience: optional(integerFrom(0), 0),
    minDelta: optional(nonNegative, 0),
    restoreBestWeights: optional(flag, false),
  });
  const sign = mode === "min" ? 1 : -1;
  let best = Infinity; // times sign: less is better
  let waited = 0;
  let bestWeights: Map<unknown, ArrayLike<number>> | undefined;

  return {
    onTrainBegin() {
      best = Infinity;
      waited = 0;
      bestWeights = undefined;
    },
    onEpochEnd(result, training) {
      const measured = sign * measure(monitor, result);
      if (measured < best - minDelta) {
        best = measured;
        waited = 0;
        if (restoreBestWeights) bestWeights = finalWeights(training.variables, training.optimizer);
        return;
      }
      waited += 1;
      if (waited >= patience) training.stop();
    },
    onTrainEnd() {
      for (const [variable, weights] of bestWeights ?? []) valuesOf(variable).set(weights);
    },
  };
};

/** Ends the training at the first batch whose loss is not finite. Its step has been made: for the values before it, save them in a
 *  callback. Keras' TerminateOnNaN. */
export const terminateOnNaN = (): Callback => ({
  onBatchEnd({ loss }, training) {
    if (!Number.isFinite(loss)) training.stop();
  },
});

/** Copies of what the variables would hold if the training ended now. */
const finalWeights = (variables: ReadonlySet<unknown>, optimizer: TrainableOptimizer<unknown>) => {
  if (optimizer.useEma) optimizer.swapAverages();
  try {
    return new Map([...variables].map((variable) => [variable, valuesOf(variable).slice()]));
  } finally {
    if (optimizer.useEma) optimizer.swapAverages();
  }
};

const valuesOf = (variable: unknown): Float32Array => {
  const value = ArrayBuffer.isView(variable) ? variable : (variable as { value?: unknown }).value;
  if (ArrayBuffer.isView(value)) return value as Float32Array;
  throw new OptionError(
    `restoreBestWeights needs variables that are typed arrays, or have one as their value. Received: ${show(value)}. ` +
      "Leave it out, and keep the best weights in a callback of your own (onEpochEnd).",
  );
};

const measure = (monitor: Monitor, result: EpochResult): number => {
  const value = typeof monitor === "function" ? monitor(result) : result[monitor];
  if (typeof value === "number") return value;
  throw new OptionError(
    `earlyStopping monitors ${show(monitor)}, which must be a number after each epoch. Received: ${show(value)}. ` +
      'Give fit a validation, or monitor "loss".',
  );
};
