/** The tensors that an optimizer has met, as variables of the core, and which of them it trains. */

import type * as tf from "@tensorflow/tfjs-core";
import { check, listOf } from "../../kinds.js";
import type { Variable } from "../../variable.js";
import { type TrainableTensor, tensorOf } from "./options.js";
import { TensorVariable } from "./variable.js";

export class Tensors {
  /** By identity: the name of a disposed variable may come back for another one. */
  readonly #variables = new Map<tf.Variable, TensorVariable>();
  /** Those that the core trains. */
  trained: TensorVariable[] = [];

  get known(): TensorVariable[] {
    return [...this.#variables.values()];
  }

  /** The weight of a layer brings its constraint, and the name that its layer gave it. */
  of(given: TrainableTensor): TensorVariable {
    const variable = this.ofTensor(tensorOf(given));
    if ("read" in given) {
      variable.tensorConstraint = given.constraint ?? null;
      variable.originalName = given.originalName ?? null;
    }
    return variable;
  }

  ofTensor(tensor: tf.Variable): TensorVariable {
    let variable = this.#variables.get(tensor);
    if (!variable) {
      variable = new TensorVariable(tensor);
      this.#variables.set(tensor, variable);
    }
    return variable;
  }

  /** @throws OptionError for what is no list. */
  all(owner: string, given: Iterable<TrainableTensor>): TensorVariable[] {
    return this.list(owner, given).map((one) => this.of(one));
  }

  /** @throws OptionError for what is no list. */
  list(owner: string, given: Iterable<TrainableTensor>): TrainableTensor[] {
    return [...check(owner, "variables", given, listOf("tf.Variables or weights of layers"))];
  }

  /** Of these, as far as they are trained. Others may be of any kind. */
  trainedOf(given: readonly TrainableTensor[]): TensorVariable[] {
    const known = given.filter((one) => this.#variables.has(tensorOf(one)));
    return known.map((one) => this.of(one)).filter(({ owner }) => owner !== null);
  }

  /** Forgets tensors that were disposed of: their names may come back for others. Returns those that were trained. */
  prune(): ReadonlySet<Variable> {
    for (const [tensor, variable] of this.#variables) if (variable.isGone) this.#variables.delete(tensor);
    const gone = new Set<Variable>(this.trained.filter(({ isGone }) => isGone));
    if (gone.size > 0) this.trained = this.trained.filter((variable) => !gone.has(variable));
    return gone;
  }

  /** Gives the tensors in training what was written for them. */
  settle(): void {
    for (const variable of this.trained) variable.settle();
  }

  clear(): void {
    this.trained.length = 0;
    this.#variables.clear();
  }
}
