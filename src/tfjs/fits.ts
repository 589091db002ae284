/** What happens at the beginning and at the end of `fit` and `fitDataset`, without the user doing anything. */

import { Callback, type LayersModel, registerCallbackConstructor } from "@tensorflow/tfjs-layers";
import { OptionError } from "../errors.js";
import { TensorOptimizer } from "./core/optimizer.js";
import { assertHas } from "./core/private-members.js";
import { type Logs, shareLogs } from "./whole-logs.js";

/** The model that an optimizer was last fitted with. */
const fitted = new WeakMap<TensorOptimizer, LayersModel>();

class FitWatcher extends Callback {
  /** Batches trained, and updates before the first of them. */
  #batches = 0;
  #updatesBefore = 0;
  /** Trained in this epoch. */
  #examples = 0;

  get #optimizer(): TensorOptimizer | null {
    const { optimizer } = this.model as { optimizer: unknown };
    return optimizer instanceof TensorOptimizer ? optimizer : null;
  }

  /** The weights bring the constraints and the names of their layers. */
  override async onTrainBegin(): Promise<void> {
    const optimizer = this.#optimizer;
    if (!optimizer) return;
    const other = fitted.get(optimizer);
    if (other !== this.model && (other as unknown as { isTraining?: boolean } | undefined)?.isTraining)
      throw new OptionError(
        "An optimizer is trained by one fit at a time",
        "one that trains another model now",
        "Await that fit first, or compile each model with an optimizer of its own.",
      );
    assertHas("layersModel", this.model);
    fitted.set(optimizer, this.model);
    optimizer.beginFit(this.model.trainableWeights, this.model.nonTrainableWeights);
    await optimizer.ready();
  }

  override async onEpochBegin(): Promise<void> {
    this.#examples = 0;
  }

  override async onBatchBegin(_: number, logs?: { readonly size?: unknown }): Promise<void> {
    const optimizer = this.#optimizer;
    if (!optimizer) return;
    if (this.#batches === 0) this.#updatesBefore = optimizer.iterations; // a checkpoint has been loaded by now
    optimizer.examples = typeof logs?.size === "number" ? logs.size : null;
    this.#examples += optimizer.examples ?? 1;
  }

  override async onBatchEnd(): Promise<void> {
    this.#batches++;
  }

  /** TensorFlow.js hands one object from callback to callback, and this one is before those of the user. */
  override async onEpochEnd(epoch: number, logs?: object): Promise<void> {
    const ranks = this.#optimizer?.ranks;
    if (ranks && logs) await shareLogs(ranks, logs as Logs, this.#examples, `logs of epoch ${epoch}`);
  }

  /** Also when training was stopped; not when it threw. */
  override async onTrainEnd(): Promise<void> {
    const optimizer = this.#optimizer;
    if (!optimizer) return;
    optimizer.examples = null;
    optimizer.finalizeVariableValues(this.model.trainableWeights);
    if (this.#batches > 0 && optimizer.iterations === this.#updatesBefore) warnOfOpenWindow(optimizer, this.#batches);
  }
}

/** As in Keras, micro-batches that do not fill a window wait for more: in a training that fills none, nothing has moved. */
const warnOfOpenWindow = ({ window }: TensorOptimizer, batches: number): void => {
  console.warn(
    `adamax: fit made no update. Received: ${batches} batches, where gradientAccumulationSteps=${window} of them make one. ` +
      "They wait for the next call; train on more batches, or accumulate fewer.",
  );
};

/** TensorFlow.js keeps one list of callbacks for the process, and refuses to hear of one twice. It tells an optimizer nothing of a fit in another way; in
 *  the fits of models that another optimizer trains, the watcher does nothing. */
let watching = false;

export const watchFits = (): void => {
  if (watching) return;
  registerCallbackConstructor(0, FitWatcher);
  watching = true;
};
