/** From a class of the core to a class for TensorFlow.js. */

import { check, type Kind } from "../../kinds.js";
import { Optimizer } from "../../optimizer/optimizer.js";
import { definedRule } from "../../rule/update-rule.js";
import type { OptimizerClass, TensorOptimizer } from "./optimizer.js";
import type { TensorOptions } from "./options.js";

/** The class that `Core` becomes: it takes the same options. */
export type TensorOptimizerClass<Core extends OptimizerClass> = Omit<typeof TensorOptimizer, "prototype"> & {
  /** @throws OptionError for an unknown option, a value out of range, or options that exclude each other. */
  new (options?: TensorOptions<NonNullable<ConstructorParameters<Core>[0]>>): TensorOptimizer;
};

/** Makes tf.Optimizers on top of `Base`. Rules are not written again: `class Lion extends Optimizer` becomes `tfOptimizer(Lion)`.
 *  @throws OptionError for what is no class of the core's optimizers. */
export const adapter =
  (Base: typeof TensorOptimizer) =>
  <Core extends OptimizerClass>(core: Core): TensorOptimizerClass<Core> => {
    check("tfOptimizer", "the class", core, optimizerClass);
    return class extends Base {
      static override readonly core: OptimizerClass = core;
    };
  };

const optimizerClass: Kind<OptimizerClass> = {
  wanted: "a class that extends Optimizer of adamax, with a rule",
  holds: (value) =>
    typeof value === "function" && value.prototype instanceof Optimizer && "rule" in value && definedRule.holds(value.rule),
};
