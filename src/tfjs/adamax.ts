/** Adamax for TensorFlow.js: change the import, and keep the rest. */

import { Adamax as CoreAdamax, type AdamaxOptions as CoreOptions } from "../adamax.js";
import { TensorOptimizer } from "./optimizer.js";
import type { TensorOptions } from "./options.js";

export type AdamaxOptions = TensorOptions<CoreOptions>;

/** The optimizer that `tf.keras.optimizers.Adamax` documents, as a tf.Optimizer.
 *  @throws OptionError for an unknown option, a value out of range, or options that exclude each other. */
export class Adamax extends TensorOptimizer {
  static override readonly core = CoreAdamax;

  constructor(options: AdamaxOptions = {}) {
    super(options);
  }
}
