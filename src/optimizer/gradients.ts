/** What a step is given: pairs of a gradient and its variable. */

import type { Gradient, Values } from "../backend.js";
import { ShapeError, show } from "../errors.js";
import { check, listOf, number } from "../kinds.js";
import { Variable } from "../variable.js";

/** A gradient (null: none in this call) and the variable that it belongs to. A plain array is updated in place where it lies. */
export type GradientAndVariable = readonly [gradient: Gradient | undefined, variable: Variable | Values];

/** What a loss function returns to `minimize`. */
export interface LossAndGradients {
  readonly loss: number;
  readonly gradients: Iterable<GradientAndVariable>;
  /** The number of examples that they are the mean of, where ranks have parts of a batch that are not equal. */
  readonly weight?: number;
}

/** @throws OptionError unless this is what the loss function of `owner` should return. */
export const checkLoss = <Result extends { readonly loss: number; readonly gradients: Iterable<unknown> }>(
  owner: string,
  result: Result,
): Result => {
  const returned = `${owner}'s loss`;
  check(returned, "loss", result?.loss, number);
  check(returned, "gradients", result?.gradients, PAIRS);
  return result;
};

export const PAIRS = listOf("pairs [gradient, variable]");

/** @throws ShapeError unless this is [gradient, variable], in this order. */
export const assertPair = (pair: unknown): void => {
  if (!Array.isArray(pair) || pair[0] instanceof Variable)
    throw new ShapeError("Each pair is [gradient, variable]", show(pair), "Pass pairs of both.");
};

/** @throws ShapeError unless `variable` can be trained. A plain array becomes a variable that stays where it lies. */
export const variableOf = (variable: Variable | Values, name: string): Variable => {
  if (variable instanceof Variable) return variable;
  return new Variable(variable, { adopt: false, name });
};

/** @throws ShapeError: there cannot be two of a variable. */
export const refuseTwice = (variable: Variable | Values, remedy: string): never => {
  throw new ShapeError("A variable can be given only once", `${nameOf(variable)} twice`, remedy);
};

export const nameOf = (variable: Variable | Values): string => (variable instanceof Variable ? `${variable}` : show(variable));
