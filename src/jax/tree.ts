/** Trees of arrays: flattened, named, and compared. Keys decide what belongs together, not their order. */

import { type JsTree, type numpy as np, tree } from "@jax-js/jax";
import { ShapeError, show } from "../errors.js";
import type { DType } from "../rule/program.js";

/** Arrays in nested objects and arrays. */
export type Tree = JsTree<np.Array>;

/** The leaves of a tree, in jax-js' order. */
export const leavesOf = <T>(of: JsTree<T>): T[] => tree.leaves(of);

/** A tree like `like` with these leaves. */
export const treeOf = <Like extends Tree>(like: Like, leaves: readonly np.Array[]): Like =>
  tree.unflatten(tree.structure<np.Array>(like), leaves) as Like;

/** What jax-js looks into: an array of JavaScript or a plain object. All else is a leaf. */
const isNode = (value: unknown): value is Readonly<Record<string, unknown>> =>
  Array.isArray(value) || (typeof value === "object" && value !== null && value.constructor === Object);

/** An array of jax-js, or what stands for one in a graph. */
export const isArray = (value: unknown): value is np.Array =>
  typeof value === "object" && value !== null && ["dtype", "shape", "ref"].every((name) => name in value);

/** As it stands in errors: float32[2,3] for an array of jax-js. */
export const describe = (value: unknown): string => {
  if (isArray(value)) return `${value.dtype}[${value.shape}]`;
  return isNode(value) && !Array.isArray(value) ? `{ ${Object.keys(value).join(", ")} }` : show(value);
};

/** Where a leaf is: "dense/kernel"; "params" for a tree that is one array. */
const pathOf = (keys: readonly string[]): string => keys.join("/") || "params";

/** Every leaf and where it is, in jax-js' order. */
const entriesOf = (node: unknown, keys: readonly string[] = []): [path: string, leaf: unknown][] =>
  isNode(node) ? Object.entries(node).flatMap(([key, child]) => entriesOf(child, [...keys, key])) : [[pathOf(keys), node]];

/** The path of each leaf, in jax-js' order. */
export const pathsOf = (of: Tree): string[] => entriesOf(of).map(([path]) => path);

/** The leaves of `other` in the order of those of the parameters.
 *  @throws ShapeError, with the path, where one of the two has a leaf or a key and the other has not. */
export const leavesLike = (params: Tree, other: unknown, what: string): unknown[] => {
  const refuse = (received: string): never => {
    throw new ShapeError(
      `${what} must be a tree like the parameters`,
      received,
      "Give it one leaf for each parameter, under its keys.",
    );
  };
  const walk = (like: unknown, one: unknown, keys: readonly string[]): unknown[] => {
    if (!isNode(like)) return isNode(one) ? refuse(`${describe(one)} for ${pathOf(keys)}`) : [one];
    if (!isNode(one) || Array.isArray(one) !== Array.isArray(like))
      return refuse(`${describe(one)} for ${keys.length === 0 ? describe(like) : pathOf(keys)}`);
    const lacking = (of: object, key: string) => !Object.hasOwn(of, key);
    const missing = Object.keys(like).find((key) => lacking(one, key));
    const unknown = Object.keys(one).find((key) => lacking(like, key));
    const parts = [
      ...(missing === undefined ? [] : [`nothing for ${pathOf([...keys, missing])}`]),
      ...(unknown === undefined ? [] : [`${pathOf([...keys, unknown])}, which is no parameter`]),
    ];
    if (parts.length > 0) refuse(parts.join(", but "));
    return Object.keys(like).flatMap((key) => walk(like[key], one[key], [...keys, key]));
  };
  return walk(params, other, []);
};

/** The same, of arrays.
 *  @throws ShapeError unless they have the shapes and dtypes of the parameters, too. */
export const arraysLike = (params: Tree, other: unknown, what: string): np.Array[] => {
  const given = leavesLike(params, other, what);
  return entriesOf(params).map(([path, leaf], i) => {
    const [expected, actual] = [describe(leaf), describe(given[i])];
    if (expected === actual) return given[i] as np.Array;
    throw new ShapeError(
      `${what} for ${path} must be ${expected}`,
      actual,
      isArray(given[i])
        ? "Reshape or cast it, or sum what was broadcast."
        : "Pass an array of jax-js for each parameter, zeros where there is nothing to change.",
    );
  });
};

/** @throws ShapeError, with the path, for an array that somebody has taken before, or that is given more often than there are references to it: jax-js
 *  would say so in the middle of the step. */
export const assertThere = (trees: Readonly<Record<string, unknown>>): void => {
  const given = new Map<unknown, number>();
  for (const [what, one] of Object.entries(trees))
    for (const [path, leaf] of entriesOf(one)) {
      const { refCount = Number.POSITIVE_INFINITY } = leaf as Partial<np.Array>; // in a graph nobody counts
      const times = (given.get(leaf) ?? 0) + 1;
      given.set(leaf, times);
      if (refCount >= times) continue;
      const received =
        refCount > 0 ? `an array that is given ${times} times, with ${refCount} references` : "an array that was spent";
      throw new ShapeError(`${what} for ${path} must be there`, received, "Pass .ref of what is used again, tree.ref of a tree.");
    }
};

/** The dtypes of the parameters.
 *  @throws ShapeError for one that a step cannot be made in. */
export const dtypesOf = (params: Tree): DType[] =>
  entriesOf(params).map(([path, leaf]) => {
    if (isArray(leaf) && (leaf.dtype === "float32" || leaf.dtype === "float64")) return leaf.dtype;
    throw new ShapeError(
      `Parameter ${path} must be a float32 or float64 array of jax-js`,
      describe(leaf),
      isArray(leaf) ? "Keep it in float32, and cast it where it is used." : "Leave out what is not trained.",
    );
  });
