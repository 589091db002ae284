/** The adapter to TensorFlow.js for those who use tfjs-core without tfjs-layers. */

import { Adamax as CoreAdamax, type AdamaxOptions as CoreOptions } from "../../adamax.js";
import { adapter } from "./adapt.js";
import { TensorOptimizer } from "./optimizer.js";
import type { TensorOptions } from "./options.js";

export type { NamedGradient, NamedGradients } from "./gradients.js";
export { type OptimizerClass, TensorOptimizer } from "./optimizer.js";
export type { LayerWeight, TensorGroup, TensorOptions, TrainableTensor } from "./options.js";
export type { TensorConstraint } from "./variable.js";
export type { NamedTensor } from "./weights.js";

/** A class of tf.Optimizers from a class of the core's: `const TfLion = tfOptimizer(Lion)`. */
export const tfOptimizer = adapter(TensorOptimizer);

/** Options of this Adamax. */
export type AdamaxOptions = TensorOptions<CoreOptions>;

/** The optimizer that `tf.keras.optimizers.Adamax` documents, as a tf.Optimizer. */
export class Adamax extends tfOptimizer(CoreAdamax) {}
