/** What happens at the beginning and at the end of `fit` and `fitDataset`, without the user doing anything. */

import { AdamaxOptimizer } from "@tensorflow/tfjs-core";
import { Callback, registerCallbackConstructor } from "@tensorflow/tfjs-layers";
import { CheckpointError } from "../errors.js";
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
    this.#optimizer?.endFit(this.model.trainableWeights);
  }
}

/** TensorFlow.js keeps one list of callbacks for the process, and refuses to hear of one twice. It tells an optimizer nothing of a fit in another way; in
 *  the fits of models that another optimizer trains, the watcher does nothing. */
let watching = false;

export const watchFits = (): void => {
  if (watching) return;
  leadToRegistration();
  registerCallbackConstructor(0, FitWatcher);
  watching = true;
};

/** Where a saved model names "Adamax" and `registerAdamax` was not called, tf.loadLayersModel makes TensorFlow.js' own, which cannot take state: it says only
 *  that this is not implemented. */
const leadToRegistration = (): void => {
  AdamaxOptimizer.prototype.setWeights = async () => {
    throw new CheckpointError(
      "TensorFlow.js' own Adamax cannot take the state that was saved",
      "a model that names Adamax, in a process where registerAdamax was not called",
      "Call registerAdamax() of adamax/tfjs before tf.loadLayersModel.",
    );
  };
};
