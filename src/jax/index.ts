/** The adapter to jax-js. */

import type { numpy as np } from "@jax-js/jax";
import { Adamax, type AdamaxOptions as CoreOptions } from "../adamax.js";
import type { TransformationOptions, Tree } from "./options.js";
import { type OptimizerClass, Transformation } from "./transformation.js";
import { leavesOf, treeOf } from "./tree.js";

export type { LearningRate, Mask, TransformationOptions, Tree } from "./options.js";
export { type OptimizerClass, type State, Transformation } from "./transformation.js";

/** The function that makes transformations from a class of the core: `const lion = transformation(Lion)`. The rule is not written again. */
export const transformation =
  <Core extends OptimizerClass>(core: Core) =>
  /** @throws OptionError for an unknown option, a value out of range, or options that exclude each other. */
  (options: TransformationOptions<NonNullable<ConstructorParameters<Core>[0]>> = {} as never): Transformation =>
    new Transformation(core.rule, options);

/** Options of `adamax`. */
export type AdamaxOptions = TransformationOptions<CoreOptions>;

/** The optimizer that `tf.keras.optimizers.Adamax` documents, for jax-js. */
export const adamax: (options?: AdamaxOptions) => Transformation = transformation(Adamax);

/** The parameters with updates added. Takes both. */
export const applyUpdates = <Params extends Tree>(params: Params, updates: Params): Params => {
  const added = leavesOf<np.Array>(updates);
  return treeOf(
    params,
    leavesOf<np.Array>(params).map((leaf, i) => leaf.add(added[i]!)),
  );
};
