/** The adapter to jax-js. */

import type { numpy as np } from "@jax-js/jax";
import { Adamax, type AdamaxOptions as CoreOptions } from "../adamax.js";
import { OptionError, show } from "../errors.js";
import { definedRule, type UpdateRule } from "../rule/update-rule.js";
import type { TransformationOptions } from "./options.js";
import { type OptimizerClass, Transformation } from "./transformation.js";
import { arraysLike, assertThere, dtypesOf, leavesOf, type Tree, treeOf } from "./tree.js";

export type { LearningRate, Mask, TransformationOptions } from "./options.js";
export { type OptimizerClass, type State, Transformation } from "./transformation.js";
export type { Tree } from "./tree.js";

/** The function that makes transformations from a class of the core: `const lion = transformation(Lion)`. The rule is not written again.
 *  @throws OptionError for a class without a rule. */
export const transformation = <Core extends OptimizerClass>(core: Core, ...others: never[]) => {
  const rule: UpdateRule | undefined = Object(core).rule;
  if (!rule || !definedRule.holds(rule))
    throw new OptionError(
      "transformation takes a class of optimizers that has a rule",
      show(core),
      "Pass Adamax, or a subclass of Optimizer with `static rule = defineRule({ ... })`.",
    );
  if (others.length > 0)
    throw new OptionError(
      "transformation takes a class alone",
      others.map(show).join(", "),
      `What it returns takes the options: transformation(${core.name})({ ... }).`,
    );
  /** @throws OptionError for an unknown option, a value out of range, or options that exclude each other. */
  return (
    options: TransformationOptions<NonNullable<ConstructorParameters<Core>[0]>> = {} as never,
    ...more: never[]
  ): Transformation => {
    if (more.length > 0)
      throw new OptionError(
        `${rule.name} takes one object of options`,
        [options, ...more].map(show).join(", "),
        "Write them all into the first.",
      );
    return new Transformation(rule, options);
  };
};

/** Options of `adamax`. */
export type AdamaxOptions = TransformationOptions<CoreOptions>;

/** The optimizer that `tf.keras.optimizers.Adamax` documents, for jax-js. */
export const adamax: (options?: AdamaxOptions) => Transformation = transformation(Adamax);

/** The parameters with updates added. Takes both.
 *  @throws ShapeError unless they are of one structure, with the same shapes and dtypes. */
export const applyUpdates = <Params extends Tree>(params: Params, updates: Params): Params => {
  dtypesOf(params);
  const added = arraysLike(params, updates, "Updates");
  assertThere({ Parameters: params, Updates: updates });
  return treeOf(
    params,
    leavesOf<np.Array>(params).map((leaf, i) => leaf.add(added[i]!)),
  );
};
