/** Checkpoints of a model that TensorFlow.js' `fit` trains. */

import type * as tf from "@tensorflow/tfjs-core";
import { Callback, type LayersModel, type Logs } from "@tensorflow/tfjs-layers";
import { OptionError, show } from "../errors.js";
import { checkKinds, integerFrom, type Kind, oneOf, optional } from "../kinds.js";
import type { Optimizer } from "../optimizer/optimizer.js";
import type { Variable } from "../variable.js";
import { automaticKind } from "./core/names.js";
import { TensorOptimizer } from "./core/optimizer.js";

/** What a checkpoint is made of, or loaded into. */
interface Content {
  readonly optimizer: Optimizer<never>;
  readonly variables: readonly Variable[];
  readonly names: ReadonlyMap<Variable, string>;
}

/** Parts that may differ, as `loadCheckpoint` of adamax/checkpoint takes them. */
interface Parts {
  readonly settings: "same" | "mine";
  readonly onlyHere: readonly (string | RegExp)[];
  readonly onlyInFile: readonly (string | RegExp)[];
}

/** What a manager says about what it loaded. */
interface LoadedFrom {
  readonly name: string;
  readonly user: unknown;
  readonly skipped: readonly { readonly name: string; readonly error: Error }[];
}

/** What a CheckpointManager of adamax/checkpoint does. */
export interface Manager {
  save(content: Content & { user: unknown; metrics: Readonly<Record<string, number>> }): Promise<string>;
  loadNewest(content: Content & Parts): Promise<LoadedFrom | null>;
  loadBest(content: Content & Parts): Promise<LoadedFrom | null>;
}

/** When `checkpoints` saves while `fit` trains, and what besides the model. */
export interface CheckpointsOptions {
  /** After every so many epochs. An integer, 1 or more; default 1. */
  everyEpochs?: number;
  /** Also after every so many batches, within epochs. An integer, 1 or more; default null: not. */
  everyBatches?: number | null;
  /** JSON of your own, asked for at each checkpoint: random state, place in the data ... */
  user?: () => unknown;
}

/** Which checkpoint `resume` goes on from, and what may differ between the file and the model. */
export interface ResumeOptions extends Partial<Parts> {
  /** The newest checkpoint that is whole (default), or the best by the manager's metric. */
  from?: "newest" | "best";
}

/** Where the training was that a checkpoint was made of. */
export interface ResumedPlace {
  /** Whole epochs that were trained: the `initialEpoch` to go on with. */
  readonly epoch: number;
  /** Batches trained of the epoch after those; 0 after a whole one. */
  readonly batch: number;
  /** What your `user` gave; null without one. */
  readonly own: unknown;
  /** The checkpoint's name. */
  readonly name: string;
  /** Newer ones that are damaged, and how. */
  readonly skipped: readonly { readonly name: string; readonly error: Error }[];
}

const isFunction: Kind<() => unknown> = {
  wanted: "a function that returns JSON",
  holds: (value) => typeof value === "function",
};
const names: Kind<readonly (string | RegExp)[]> = {
  wanted: "names and regular expressions",
  holds: (value) => Array.isArray(value) && value.every((one) => typeof one === "string" || one instanceof RegExp),
};

/** A callback for `model.fit` and `model.fitDataset` that saves with a CheckpointManager: all weights of the model, the optimizer's state, and where
 *  the training is. The metrics of a checkpoint are those of the epoch: `loss`, `val_loss` ... Within an epoch they are NaN, which is never best. */
export const checkpoints = (manager: Manager, options: CheckpointsOptions = {}): Callback => {
  const { everyEpochs, everyBatches, user } = checkKinds<CheckpointsOptions>("checkpoints", options, {
    everyEpochs: optional(integerFrom(1), 1),
    everyBatches: optional(integerFrom(1), null),
    user: optional(isFunction, () => null),
  });
  return new Saver(async (model, epoch, batch, logs = {}) => {
    const isDue = batch === 0 ? epoch % everyEpochs === 0 : everyBatches !== null && batch % everyBatches === 0;
    if (!isDue) return;
    const metrics = batch === 0 ? await numbersOf(logs) : unknownMetrics(model);
    await optimizerOf(model).lend(model.weights, async (optimizer, variables) => {
      await manager.save({
        optimizer,
        variables,
        names: namesInFile(model, variables),
        user: { epoch, batch, own: user() },
        metrics,
      });
    });
  });
};

/** Loads a checkpoint into a model that is made and compiled as it was: weights, trained or not, and the optimizer's state. null when there is
 *  none yet. With the same data in the same order, `fit` then goes on with the same bits as if it had never stopped.
 *  @throws CheckpointError that lists what does not fit; the model is as before then. */
export const resume = async (model: LayersModel, manager: Manager, options: ResumeOptions = {}): Promise<ResumedPlace | null> => {
  const { from, ...parts } = checkKinds<ResumeOptions>("resume", options, {
    from: optional(oneOf("newest", "best"), "newest"),
    settings: optional(oneOf("same", "mine"), "same"),
    onlyHere: optional(names, []),
    onlyInFile: optional(names, []),
  });
  const owner = optimizerOf(model);
  owner.build(model.trainableWeights);
  const found = await owner.lend(model.weights, async (optimizer, variables) => {
    const content = { optimizer, variables, names: namesInFile(model, variables), ...parts };
    return from === "best" ? manager.loadBest(content) : manager.loadNewest(content);
  });
  if (!found) return null;
  const { epoch = 0, batch = 0, own = null } = (found.user ?? {}) as Partial<ResumedPlace>;
  return { epoch, batch, own, name: found.name, skipped: found.skipped };
};

/** `epoch` whole epochs were trained, and `batch` batches of the next. */
type Save = (model: LayersModel, epoch: number, batch: number, logs?: Logs) => Promise<void>;

/** TensorFlow.js tells the model to instances of its own class only. */
class Saver extends Callback {
  readonly #save: Save;
  #epoch = 0;

  constructor(save: Save) {
    super();
    this.#save = save;
    // Beside callbacks that are plain objects, TensorFlow.js calls the methods alone, and tells nobody the model.
    this.onEpochBegin = this.onEpochBegin.bind(this);
    this.onBatchEnd = this.onBatchEnd.bind(this);
    this.onEpochEnd = this.onEpochEnd.bind(this);
  }

  get #fitted(): LayersModel {
    if (this.model) return this.model;
    throw new OptionError(
      "TensorFlow.js does not say which model checkpoints are of",
      "a list of callbacks that begins with a plain object",
      "Put checkpoints(...) first, and make the others callbacks: new tf.CustomCallback({ onEpochEnd: ... }).",
    );
  }

  override async onEpochBegin(epoch: number): Promise<void> {
    this.#epoch = epoch;
  }

  override async onBatchEnd(batch: number): Promise<void> {
    await this.#save(this.#fitted, this.#epoch, batch + 1);
  }

  override async onEpochEnd(epoch: number, logs?: Logs): Promise<void> {
    await this.#save(this.#fitted, epoch + 1, 0, logs);
  }
}

const optimizerOf = ({ optimizer }: { readonly optimizer: unknown }): TensorOptimizer => {
  if (optimizer instanceof TensorOptimizer) return optimizer;
  throw new OptionError(
    "Checkpoints are made of models that an optimizer of adamax/tfjs trains",
    show(optimizer),
    "Compile the model with one: new Adamax({ ... }).",
  );
};

/** The numbers of an epoch or a batch; TensorFlow.js has some of them in tensors still, which it frees. */
const numbersOf = async (logs: Logs): Promise<Record<string, number>> =>
  Object.fromEntries(
    await Promise.all(
      Object.entries(logs).map(async ([name, value]) => [
        name,
        typeof value === "number" ? value : (await (value as tf.Scalar).data())[0]!,
      ]),
    ),
  );

const unknownMetrics = ({ metricsNames }: LayersModel): Record<string, number> =>
  Object.fromEntries(metricsNames.flatMap((name) => [name, `val_${name}`]).map((name) => [name, NaN]));

/** The names that the weights would have in a process that made no other model: those that were chosen stay, TensorFlow.js' own are counted anew. */
const namesInFile = ({ weights }: LayersModel, variables: readonly Variable[]): Map<Variable, string> => {
  const counts = new Map<string, number>();
  const renamed = new Map<string, string>();
  const rename = (part: string): string => {
    const kind = automaticKind(part);
    if (kind === null) return part;
    if (!renamed.has(part)) {
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
      renamed.set(part, `${kind}${counts.get(kind)}`);
    }
    return renamed.get(part)!;
  };
  return new Map(variables.map((variable, i) => [variable, weights[i]!.originalName.split("/").map(rename).join("/")]));
};
