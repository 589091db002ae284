/** Callbacks that are ready to use. */

import type { Values } from "../backend.js";
import { OptionError, show } from "../errors.js";
import { checkKinds, flag, integerFrom, type Kind, nonNegative, optional } from "../kinds.js";
import { internalsOf, Optimizer } from "../optimizer/optimizer.js";
import { ARRAYS } from "../rule/program.js";
import { LearningRateSchedule } from "../schedules/schedule.js";
import { Variable } from "../variable.js";
import { assertFit, type MonitorOptions, monitorKinds, Watch } from "./monitor.js";
import type { Callback, TrainableOptimizer, Training } from "./training.js";

/** When `earlyStopping` ends a training. */
export interface EarlyStoppingOptions extends MonitorOptions {
  /** Ends the training after so many epochs in a row that were not better than the best. An integer, 0 or more; default 0, which
   *  is as 1. */
  patience?: number;
  /** An epoch that is the best so far, but not better than this, does not renew the patience. Default: none. */
  baseline?: number;
  /** Leaves the variables as they would be had the training ended with its best epoch (the averages of that epoch when the
   *  optimizer keeps them). Keeps a copy of every variable, also in checkpoints. Default false: as the last epoch left them. */
  restoreBestWeights?: boolean;
  /** So many epochs at the beginning are not looked at. An integer, 0 or more; default 0. */
  startFromEpoch?: number;
}

/** Ends the training when an epoch's result gets no better. NaN is never better. Keras' EarlyStopping. */
export const earlyStopping = (options: EarlyStoppingOptions = {}): Callback => {
  const { patience, baseline, restoreBestWeights, startFromEpoch, ...watched } = checkKinds<EarlyStoppingOptions>(
    "earlyStopping",
    options,
    {
      ...monitorKinds(0),
      patience: optional(integerFrom(0), 0),
      baseline: optional({ wanted: "a finite number", holds: Number.isFinite } as Kind<number | null>, null) as Kind<number>,
      restoreBestWeights: optional(flag, false),
      startFromEpoch: optional(integerFrom(0), 0),
    },
  );
  const watch = new Watch("earlyStopping", watched);
  const begun = { best: watch.worst, bestEpoch: 0, waited: 0, ended: false };
  let known = begun;
  let weights = new Map<unknown, Values>(); // of the best epoch

  const callback: Callback = {
    name: watch.name,
    onTrainBegin(training) {
      assertFit("earlyStopping", training);
      known = { ...begun };
      weights = new Map();
    },
    async onEpochEnd(result, training) {
      const measured = watch.measure(result);
      if (result.epoch <= startFromEpoch) return;
      known.waited++;
      if (watch.isBetter(measured, known.best)) {
        Object.assign(known, { best: measured, bestEpoch: result.epoch });
        if (restoreBestWeights) await keepFinalWeights(weights, training);
        if (baseline === null || watch.isBetter(measured, baseline)) known.waited = 0;
      } else if (known.waited >= patience && result.epoch > 1) {
        known.ended = true;
        training.stop();
      }
    },
    async onTrainEnd({ optimizer, variables }) {
      if (known.bestEpoch === 0) return;
      for (const [variable, best] of weights) {
        if (!(variable instanceof Variable)) valuesOf(variable).set(best);
        else {
          await variable.write(best);
          variable.constrain(); // averages need not hold it
        }
      }
      // Those of the last epoch would be the values after the next training.
      if (optimizer instanceof Optimizer && optimizer.useEma)
        optimizer.resetAverages([...(variables as ReadonlySet<Variable | Values>)].filter((one) => weights.has(one)));
    },
    state: () => known,
    restore(state, training) {
      known = { ...(state as typeof known) };
      known.ended &&= known.waited >= patience; // there may be more of it now
      if (known.ended) training.stop();
    },
  };
  if (!restoreBestWeights) return callback;
  return {
    ...callback,
    ownVariables: (variables) =>
      variables.map((variable, i) => {
        // Of a variable, room alone: the best epoch or a checkpoint fills it.
        const isVariable = variable instanceof Variable;
        const values = isVariable ? new ARRAYS[variable.dtype](variable.length) : valuesOf(variable).slice();
        weights.set(variable, values);
        const { name = `variable_${i}`, shape = [values.length] } = variable as Partial<Variable>;
        return new Variable(values, { name: `earlyStopping/${name}`, shape, adopt: false });
      }),
  };
};

/** When `reduceLROnPlateau` lowers the learning rate, and how far. */
export interface ReduceLROnPlateauOptions extends MonitorOptions {
  /** By what the rate is multiplied. Above 0 and below 1; default 0.1. */
  factor?: number;
  /** After so many epochs in a row that were not better than the best. An integer, 0 or more; default 10. */
  patience?: number;
  /** So many epochs after a reduction do not count. An integer, 0 or more; default 0. */
  cooldown?: number;
  /** The rate does not fall below. 0 or more, default 0. */
  minLr?: number;
}

/** Lowers the learning rate when an epoch's result gets no better; the rate must be a number. `minDelta` is 1e-4 by default. Keras'
 *  ReduceLROnPlateau. */
export const reduceLROnPlateau = (options: ReduceLROnPlateauOptions = {}): Callback => {
  const { factor, patience, cooldown, minLr, ...watched } = checkKinds<ReduceLROnPlateauOptions>("reduceLROnPlateau", options, {
    ...monitorKinds(1e-4),
    factor: optional(
      {
        wanted: "a number above 0 and below 1",
        holds: (value) => (value as number) > 0 && (value as number) < 1,
      } as Kind<number>,
      0.1,
    ),
    patience: optional(integerFrom(0), 10),
    cooldown: optional(integerFrom(0), 0),
    minLr: optional(nonNegative, 0),
  });
  const watch = new Watch("reduceLROnPlateau", watched);
  const begun = { best: watch.worst, waited: 0, cooling: 0 };
  let known = begun;

  return {
    name: watch.name,
    onTrainBegin(training) {
      assertFit("reduceLROnPlateau", training);
      assertRateIsNumber(training.optimizer);
      known = { ...begun };
    },
    onEpochEnd(result, { optimizer }) {
      const measured = watch.measure(result);
      if (known.cooling > 0) {
        known.cooling--;
        known.waited = 0;
      }
      if (watch.isBetter(measured, known.best)) Object.assign(known, { best: measured, waited: 0 });
      else if (known.cooling === 0 && ++known.waited >= patience && optimizer.learningRate > minLr) {
        (optimizer as { learningRate: number }).learningRate = Math.max(optimizer.learningRate * factor, minLr);
        Object.assign(known, { cooling: cooldown, waited: 0 });
      }
    },
    state: () => known,
    restore(state) {
      known = { ...(state as typeof known) };
    },
  };
};

/** Ends the training at the first batch whose loss is not finite. Its step has been made: for the values before it, save them in a
 *  callback. Keras' TerminateOnNaN. */
export const terminateOnNaN = (): Callback => {
  let ended = false;
  return {
    name: "terminateOnNaN",
    onTrainBegin(training) {
      assertFit("terminateOnNaN", training);
      ended = false;
    },
    onBatchEnd({ loss }, training) {
      if (Number.isFinite(loss)) return;
      ended = true;
      training.stop();
    },
    state: () => ended,
    restore(state, training) {
      ended = state as boolean;
      if (ended) training.stop();
    },
  };
};

/** Copies what the variables would hold if the training ended now: of those that were trained, and of those that were copied before. */
const keepFinalWeights = async (copies: Map<unknown, Values>, { variables, optimizer }: Training): Promise<void> => {
  const all = [...new Set([...variables, ...copies.keys()])];
  const read = async (variable: unknown): Promise<Values> =>
    variable instanceof Variable ? variable.read() : valuesOf(variable).slice();
  if (optimizer.useEma) optimizer.swapAverages();
  const reads = Promise.all(all.map(read)); // in the order of calls: of the averages
  if (optimizer.useEma) optimizer.swapAverages();
  (await reads).forEach((values, i) => {
    const copy = copies.get(all[i]);
    if (copy) copy.set(values);
    else copies.set(all[i], values);
  });
};

const valuesOf = (variable: unknown): Values => {
  const value = ArrayBuffer.isView(variable) ? variable : (variable as { value?: unknown }).value;
  if (ArrayBuffer.isView(value)) return value as Values;
  throw new OptionError(
    `restoreBestWeights needs variables that are typed arrays, or have one as their value. Received: ${show(value)}. ` +
      "Leave it out, and keep the best weights in a callback of your own (onEpochEnd).",
  );
};

/** @throws OptionError where a schedule leads, which nobody else can. */
const assertRateIsNumber = (optimizer: TrainableOptimizer<unknown>): void => {
  if (optimizer instanceof Optimizer && internalsOf(optimizer).state.learningRate instanceof LearningRateSchedule)
    throw new OptionError(
      "reduceLROnPlateau steers a learning rate that is a number",
      "an optimizer whose rate follows a schedule",
      "Make it with a number, or leave the callback out.",
    );
};
