/** Which variables a call of applyGradients moves, and in which order. Its lists are kept from call to call: a step allocates nothing. */

import type { Backend, Row, Values } from "../backend.js";
import { OptionError, ShapeError, show } from "../errors.js";
import type { Variable } from "../variable.js";
import { assertPair, type GradientAndVariable, nameOf, refuseTwice, variableOf } from "./gradients.js";
import type { Trained } from "./state.js";

export class Call {
  /** Those that get a gradient, in the order of the pairs. */
  readonly trained: Trained[] = [];
  /** Their rows in build order, which is the order in which norms are summed. */
  readonly rows: Row[] = [];
  #number = 0;

  /** Checks every pair, and lists the variables that have a gradient.
   *  @throws ShapeError for a gradient that does not fit, an unknown variable, or one named twice; OptionError when all gradients are null. */
  collect(pairs: readonly GradientAndVariable[], known: ReadonlyMap<Variable | Values, Trained>, backend: Backend): void {
    const number = ++this.#number;
    const list = this.trained;
    let count = 0;
    let missing: Trained[] | undefined;
    for (let i = 0; i < pairs.length; i++) {
      const pair = pairs[i];
      const gradient = pair?.[0];
      const variable = pair?.[1] as Variable | Values;
      const trained = known.get(variable) ?? trainedOf(variable, known, pair);
      if (trained.call === number) refuseTwice(variable, "Add its gradients up.");
      trained.call = number;
      if (gradient === null || gradient === undefined) {
        missing = [...(missing ?? []), trained];
        continue;
      }
      list[count++] = trained;
      backend.checkGradient(gradient, trained.variable);
      trained.row.gradient = gradient;
    }
    if (list.length !== count) list.length = count;
    if (count === 0)
      throw new OptionError("No gradients provided for any variable", "only null", "Check that the loss depends on them.");
    if (missing) warnMissing(missing);
  }

  /** What was accumulated is applied, also where this call brings no gradient: that counts as zero. */
  addAccumulated(all: readonly Trained[]): void {
    for (const trained of all) if (trained.accumulated && trained.row.gradient === null) this.trained.push(trained);
  }

  takeRows(): void {
    const { rows, trained } = this;
    let sorted = true;
    for (let i = 0; i < trained.length; i++) {
      rows[i] = trained[i]!.row;
      sorted &&= i === 0 || rows[i - 1]!.index < rows[i]!.index;
    }
    if (rows.length !== trained.length) rows.length = trained.length;
    if (!sorted) rows.sort((a, b) => a.index - b.index);
  }

  /** Gradients are the caller's: they are not kept alive. */
  release(): void {
    for (const { row } of this.trained) row.gradient = null;
  }

  clear(): void {
    this.trained.length = this.rows.length = 0;
  }
}

/** @throws ShapeError for a variable that is not in training. */
export const trainedOf = (
  variable: Variable | Values,
  known: ReadonlyMap<Variable | Values, Trained>,
  pair: unknown = [null, variable],
): Trained => {
  const trained = known.get(variable);
  if (trained) return trained;
  assertPair(pair);
  variableOf(variable, "");
  throw new ShapeError(`This optimizer was built for ${known.size} other variables`, nameOf(variable), "Call extend first.");
};

/** Once for each variable: a frozen layer has no gradient in any step. */
const warnMissing = (missing: readonly Trained[]): void => {
  const fresh = missing.filter((trained) => !trained.warned);
  if (fresh.length === 0) return;
  for (const trained of fresh) trained.warned = true;
  console.warn(`adamax: no gradient for ${fresh.map(({ variable }) => `variable ${show(variable.name)}`).join(", ")}.`);
};
