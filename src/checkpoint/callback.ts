/** Checkpoints while `fit` trains. */

import type { Values } from "../backends/backend.js";
import { OptionError, show } from "../errors.js";
import { checkKinds, integerFrom, type Kind, optional } from "../kinds.js";
import { Optimizer } from "../optimizer/optimizer.js";
import type { Variable } from "../variable.js";
import type { CheckpointManager } from "./manager.js";
import type { AnyOptimizer, Metrics } from "./state.js";

export interface CheckpointsOptions {
  /** After every so many epochs. An integer, 1 or more; default 1. */
  everyEpochs?: number;
  /** Also after every so many batches, within epochs. An integer, 1 or more; default null: not. */
  everyBatches?: number | null;
  /** What to save besides what the optimizer trains. */
  variables?: Iterable<Variable | Values>;
  /** JSON of your own, asked for at each checkpoint: random state, place in the data ... It is saved as `user.own`. */
  user?: () => unknown;
}

/** What is saved as `user`, so that a training knows where it was. */
export interface TrainingPlace {
  /** The epoch that was trained last or, where `batch` is a number, the one under way. Counted from 1 in each call of fit. */
  readonly epoch: number;
  /** The batch that was trained last; null after a whole epoch. */
  readonly batch: number | null;
  /** What your `user` gave; null without one. */
  readonly own: unknown;
}

/** What of a training this callback looks at. */
interface TrainingSoFar {
  readonly optimizer: unknown;
}
/** Numbers of an epoch: loss, valLoss, learningRate ... */
interface Result {
  readonly epoch: number;
  readonly loss: number;
  readonly valLoss?: number;
}

/** A callback for `fit` that saves with a manager. Metrics are those of the epoch: loss, valLoss. A checkpoint within an epoch has the
 *  mean loss so far as its loss, and no valLoss: a manager that keeps the best by valLoss never finds it best. */
export const checkpoints = (manager: CheckpointManager, options: CheckpointsOptions = {}) => {
  const { everyEpochs, everyBatches, variables, user } = checkKinds<CheckpointsOptions>("checkpoints", options, {
    everyEpochs: optional(integerFrom(1), 1),
    everyBatches: optional(integerFrom(1), null),
    variables: optional(
      { wanted: "variables", holds: (value) => typeof (value as Iterable<unknown>)?.[Symbol.iterator] === "function" } as Kind<
        Iterable<Variable | Values>
      >,
      [],
    ),
    user: optional(
      { wanted: "a function that returns JSON", holds: (value) => typeof value === "function" } as Kind<() => unknown>,
      () => null,
    ),
  });
  const save = async (training: TrainingSoFar, epoch: number, batch: number | null, metrics: Metrics): Promise<void> => {
    const place: TrainingPlace = { epoch, batch, own: user() };
    await manager.save({ optimizer: optimizerOf(training), variables, user: place, metrics });
  };
  return {
    async onBatchEnd(
      { epoch, batch, meanLoss }: { readonly epoch: number; readonly batch: number; readonly meanLoss: number },
      training: TrainingSoFar,
    ): Promise<void> {
      if (everyBatches !== null && batch % everyBatches === 0)
        await save(training, epoch, batch, { loss: meanLoss, valLoss: NaN });
    },
    async onEpochEnd({ epoch, loss, valLoss }: Result, training: TrainingSoFar): Promise<void> {
      if (epoch % everyEpochs === 0) await save(training, epoch, null, { loss, ...(valLoss === undefined ? {} : { valLoss }) });
    },
  };
};

const optimizerOf = ({ optimizer }: TrainingSoFar): AnyOptimizer => {
  if (optimizer instanceof Optimizer) return optimizer as AnyOptimizer;
  throw new OptionError(
    "Checkpoints are made of optimizers of this library",
    show(optimizer),
    "Save another optimizer's state in a callback of your own.",
  );
};
