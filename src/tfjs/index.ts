/** The adapter to TensorFlow.js. Those who do without tfjs-layers import it from "adamax/tfjs/core". */

import * as tf from "@tensorflow/tfjs-core";
import { Adamax as CoreAdamax, type AdamaxOptions as CoreOptions } from "../adamax.js";
import type { OptimizerOptions } from "../optimizer/options.js";
import { adapter } from "./core/adapt.js";
import { TensorOptimizer } from "./core/optimizer.js";
import type { TensorOptions } from "./core/options.js";
import { assertHas } from "./core/private-members.js";
import { watchFits } from "./fits.js";

export {
  type CheckpointsOptions,
  checkpoints,
  type Manager,
  type ResumedPlace,
  type ResumeOptions,
  resume,
} from "./checkpoints.js";
export type { NamedGradient, NamedGradients } from "./core/gradients.js";
export { type OptimizerClass, TensorOptimizer } from "./core/optimizer.js";
export type { LayerWeight, TensorGroup, TensorOptions, TrainableTensor } from "./core/options.js";
export type { TensorConstraint } from "./core/variable.js";
export type { NamedTensor } from "./core/weights.js";
export { pythonModel } from "./python.js";

/** Writes the averages into a model at the end of its training, and keeps the constraints of its layers. */
class ModelOptimizer extends TensorOptimizer {
  constructor(...given: [options?: TensorOptions<OptimizerOptions>]) {
    super(...given);
    watchFits();
  }
}

/** A class of tf.Optimizers from a class of the core's: `const TfLion = tfOptimizer(Lion)`. */
export const tfOptimizer = adapter(ModelOptimizer);

/** Options of this Adamax. */
export type AdamaxOptions = TensorOptions<CoreOptions>;

/** The optimizer that `tf.keras.optimizers.Adamax` documents, as a tf.Optimizer. */
export class Adamax extends tfOptimizer(CoreAdamax) {}

/** Makes `tf.loadLayersModel` restore this Adamax, with all its options and its state, wherever a saved model names "Adamax": written by
 *  TensorFlow.js or by Python. For loading it takes the place of TensorFlow.js' own class of that name in the whole process;
 *  `tf.train.adamax` and `compile({ optimizer: "adamax" })` still make TensorFlow.js' own. */
export const registerAdamax = (): void => {
  const map = tf.serialization.SerializationMap.getMap();
  assertHas("serializationMap", map);
  tf.serialization.registerClass(Adamax);
  // The name that tf_keras writes into .h5 files.
  const { classNameMap } = map;
  classNameMap["Custom>Adamax"] = classNameMap.Adamax!;
};
