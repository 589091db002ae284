/** What happens at the beginning and at the end of `fit` and `fitDataset`, without the user doing anything. */

import { Callback, registerCallbackConstructor } from "@tensorflow/tfjs-layers";
import { TensorOptimizer } from "./core/optimizer.js";

class FitWatcher extends Callback {
  get #optimizer(): TensorOptimizer | null {
    const { optimizer } = this.model as { optimizer: unknown };
    return optimizer instanceof TensorOptimizer ? optimizer : null;
  }

  /** The weights bring the constraints and the names of their layers. */
  override async onTrainBegin(): Promise<void> {
    this.#optimizer?.beginFit(this.model.trainableWeights, this.model.nonTrainableWeights);
  }

  /** Also when training was stopped; not when it threw. */
  override async onTrainEnd(): Promise<void> {
    this.#optimizer?.finalizeVariableValues(this.model.trainableWeights);
  }
}

/** TensorFlow.js keeps one list of callbacks for the process, and refuses to hear of one twice. It tells an optimizer nothing of a fit in another way; in
 *  the fits of models that another optimizer trains, the watcher does nothing. */
let watching = false;

export const watchFits = (): void => {
  if (watching) return;
  registerCallbackConstructor(0, FitWatcher);
  watching = true;
};
