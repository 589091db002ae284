/** Trees of arrays: flattened, named, and compared. */

import { type JsTree, type numpy as np, tree } from "@jax-js/jax";
import { ShapeError } from "../errors.js";
import type { DType } from "../rule/program.js";
import type { Tree } from "./options.js";

/** The leaves of a tree, in jax-js' order. */
export const leavesOf = <T>(of: JsTree<T>): T[] => tree.leaves(of);

/** A tree like `like` with these leaves. */
export const treeOf = <Like extends Tree>(like: Like, leaves: readonly np.Array[]): Like =>
  tree.unflatten(tree.structure<np.Array>(like), leaves) as Like;

/** "dense/kernel" for each leaf, in jax-js' order; "params" for a tree that is one array. */
export const pathsOf = (of: Tree): string[] => {
  const named = (node: Tree, path: string): JsTree<string> => {
    if (Array.isArray(node)) return node.map((child, i) => named(child, `${path}/${i}`));
    if (Object.getPrototypeOf(node) !== Object.prototype) return path.slice(1) || "params";
    return Object.fromEntries(
      Object.entries(node as Record<string, Tree>).map(([key, child]) => [key, named(child, `${path}/${key}`)]),
    );
  };
  return leavesOf(named(of, ""));
};

/** @throws ShapeError unless `other` has the structure of `params`, and the shapes and dtypes of its arrays. */
export const checkLike = (params: Tree, other: Tree, what: string): void => {
  const [wanted, received] = [params, other].map((one) => tree.structure<np.Array>(one)) as [Structure, Structure];
  if (!wanted.equals(received))
    throw new ShapeError(
      `${what} must be a tree like the parameters, ${wanted}`,
      `${received}`,
      "Pass one array for each parameter.",
    );
  const arrays = leavesOf<np.Array>(other);
  const paths = pathsOf(params);
  leavesOf<np.Array>(params).forEach((leaf, i) => {
    const [expected, actual] = [leaf, arrays[i]!].map(({ dtype, shape }) => `${dtype}[${shape}]`);
    if (expected !== actual)
      throw new ShapeError(
        `${what} for ${paths[i]} must be ${expected}`,
        `${actual}`,
        "Reshape or cast it, or sum what was broadcast.",
      );
  });
};
type Structure = ReturnType<typeof tree.structure>;

/** The dtypes of the parameters.
 *  @throws ShapeError for one that a step cannot be made in. */
export const dtypesOf = (params: Tree): DType[] => {
  const paths = pathsOf(params);
  return leavesOf<np.Array>(params).map(({ dtype }, i) => {
    if (dtype === "float32" || dtype === "float64") return dtype;
    throw new ShapeError(
      `Parameter ${paths[i]} must be float32 or float64`,
      dtype,
      "Keep it in float32, and cast it where it is used.",
    );
  });
};
