/** From a class of the core to a class for TensorFlow.js. */

import type { OptimizerClass, TensorOptimizer } from "./optimizer.js";
import type { TensorOptions } from "./options.js";

/** Makes tf.Optimizers on top of `Base`. Rules are not written again: `class Lion extends Optimizer` becomes `tfOptimizer(Lion)`. */
export const adapter =
  (Base: typeof TensorOptimizer) =>
  <Class extends OptimizerClass>(core: Class) =>
    class extends Base {
      static override readonly core: OptimizerClass = core;

      /** @throws OptionError for an unknown option, a value out of range, or options that exclude each other. */
      constructor(options: TensorOptions<NonNullable<ConstructorParameters<Class>[0]>> = {} as never) {
        super(options);
      }
    };
