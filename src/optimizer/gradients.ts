/** What a step is given: pairs of a gradient and its variable. */

import type { Gradient, Values } from "../backend.js";
import { OptionError, ShapeError, show } from "../errors.js";
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
  const { loss, gradients } = result ?? {};
  if (typeof loss === "number" && typeof gradients?.[Symbol.iterator] === "function") return result;
  throw new OptionError(
    `The loss of ${owner} must return { loss, gradients }: a number, and pairs of a gradient and its variable`,
    `loss=${show(loss)}, gradients=${show(gradients)}`,
    "Return both; read the number out of its array or tensor.",
  );
};

/** @throws ShapeError unless this is [gradient, variable], in this order. */
export const assertPair = (pair: unknown): void => {
  if (!Array.isArray(pair) || pair[0] instanceof Variable)
    throw new ShapeError("Each pair is [gradient, variable]", show(pair), "Pass pairs of [gradient, variable].");
};

/** @throws ShapeError unless `variable` can be trained. A plain array becomes a variable that stays where it lies. */
export const variableOf = (variable: Variable | Values, name: string): Variable => {
  if (variable instanceof Variable) return variable;
  return new Variable(variable, { adopt: false, name });
};

export const nameOf = (variable: Variable | Values): string => (variable instanceof Variable ? `${variable}` : show(variable));
