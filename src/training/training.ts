/** Types only: what `fit` trains, what it tells its callbacks, and what it gives back. */

import type { Gradient, Values } from "../backend.js";
import type { Variable } from "../variable.js";

/** What `fit` needs of an optimizer. `V` is whatever it trains. */
export interface TrainableOptimizer<V> {
  /** Makes one step. Returns the number of updates made so far. */
  applyGradients(pairs: Iterable<readonly [gradient: Gradient, variable: V]>, options?: { readonly weight?: number }): number;
  readonly iterations: number;
  /** The rate of the next step. */
  readonly learningRate: number;
  /** Whether there are averages to swap and to finalize with. */
  readonly useEma: boolean;
  /** Exchanges the variables' values with their averages. Twice changes nothing. */
  swapAverages(): void;
  /** Writes the averages into these variables: those that were trained. */
  finalizeVariableValues(variables?: Iterable<V>): void;
}

/** What a batch came to. */
export interface BatchResult {
  /** Counted from 1, as the batch is. */
  readonly epoch: number;
  readonly batch: number;
  /** Of this batch, before its step. */
  readonly loss: number;
  /** Over the epoch's batches so far. */
  readonly meanLoss: number;
  /** Each metric by its name, over the epoch's batches so far. */
  readonly [metric: string]: number;
}

/** What an epoch came to. */
export interface EpochResult {
  /** Counted from 1. */
  readonly epoch: number;
  /** Steps made. */
  readonly batches: number;
  /** Mean over the batches. Not finite when one of theirs is not: training goes on; `terminateOnNaN` would end it. */
  readonly loss: number;
  /** Mean over the batches of the validation, on the averaged weights when the optimizer keeps averages. */
  readonly valLoss?: number;
  /** After the epoch's last step; one that is a function is called for it. */
  readonly learningRate: number;
  /** Wall-clock time, with the validation. */
  readonly seconds: number;
  /** Each metric by its name, and by `valAccuracy` for one that is called `accuracy` where the validation measures it too: means over
   *  the batches. */
  readonly [metric: string]: number | undefined;
}

/** How a training went. */
export interface History {
  /** One entry for each epoch, also for those before a restart; a last one that was cut short has fewer batches and no valLoss. */
  readonly epochs: readonly EpochResult[];
  /** What stopped the training, be it in its last epoch; null when nothing did. */
  readonly stoppedBy: "callback" | "signal" | null;
  /** The checkpoint that the training went on from. */
  readonly resumedFrom?: string;
}

/** A training under way, as a callback sees it. */
export interface Training<V = unknown> {
  readonly optimizer: TrainableOptimizer<V>;
  /** Every variable that has been in a pair so far, also before a restart. */
  readonly variables: ReadonlySet<V>;
  /** How many epochs were asked for, in all. */
  readonly epochs: number;
  readonly history: History;
  /** Of the ranks that train together, this one; 0 on one machine. What is written once is written on 0. */
  readonly rank: number;
  /** Ends the training before the next batch. An epoch that is cut short by this has no validation and no onEpochEnd. */
  stop(): void;
}

/** Called in the order of the list, each awaited. What a callback throws ends the training, and `fit` throws it. */
export interface Callback<V = unknown> {
  /** Tells apart the callbacks that have state. Default: the name of its class. */
  readonly name?: string;
  /** Before the first epoch, and before a checkpoint is loaded: what is set here gives way to what was saved. */
  onTrainBegin?(training: Training<V>): void | Promise<void>;
  /** Before the first batch of an epoch, counted from 1; also before the first batch here, where an epoch goes on in its middle. */
  onEpochBegin?(epoch: number, training: Training<V>): void | Promise<void>;
  /** After the step. */
  onBatchEnd?(result: BatchResult, training: Training<V>): void | Promise<void>;
  /** After the validation. The variables hold their own values again, not the averages. */
  onEpochEnd?(result: EpochResult, training: Training<V>): void | Promise<void>;
  /** After the averages were written into the variables. Not called when something threw. */
  onTrainEnd?(training: Training<V>): void | Promise<void>;

  /** What it knows, to be saved with a checkpoint: JSON, in which numbers may also be NaN or infinite. */
  state?(training: Training<V>): unknown;
  /** Gives back what `state` returned, when a training goes on. Whoever had ended the training ends it here again: `training.stop()`. */
  restore?(state: unknown, training: Training<V>): void;
  /** Arrays that are saved as well, and that loading fills. Asked for once, before the training; `variables` are what the checkpoints are of. */
  ownVariables?(variables: readonly (Variable | Values)[]): readonly Variable[];
}
