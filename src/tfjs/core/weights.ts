/** The optimizer's state as TensorFlow.js saves it: a list of named tensors. First `iter`, the number of calls; then every array
 *  as "variable/array", in the core's order. */

import * as tf from "@tensorflow/tfjs-core";
import { CheckpointError, firstOf, printable, show } from "../../errors.js";
import { entriesOf, type OptimizerState } from "../../optimizer/state.js";
import { lastingName, withoutSuffix } from "./names.js";

/** A part of the saved state. */
export interface NamedTensor {
  readonly name: string;
  readonly tensor: tf.Tensor;
}

/** What a variable must be like to take state. */
export interface Slotted {
  readonly name: string;
  readonly shape: readonly number[];
}

const ITERATIONS = "iter";

/** Copies of the state, which the caller frees. `waiting` is state that no variable has taken yet. */
export const toWeights = (state: OptimizerState, waiting: SavedWeights | null): NamedTensor[] => {
  const calls = waiting && state.trained.length === 0 ? waiting.calls : state.calls;
  return [
    { name: ITERATIONS, tensor: tf.scalar(calls, "int32") },
    ...entriesOf(state).map((entry) => {
      const { name, shape } = entry.variable;
      return { name: `${name}/${entry.name}`, tensor: tf.tensor(new Float32Array(entry.view()), [...shape]) };
    }),
    ...(waiting ? waiting.toWeights() : []),
  ];
};

/** Behind the first, each is an array of a variable. */
const isState = (one: unknown, place: number): boolean => {
  const { name, tensor } = Object(one) as Partial<NamedTensor>;
  return typeof name === "string" && (place === 0 || name.includes("/")) && tensor instanceof tf.Tensor && !tensor.isDisposed;
};

/** State read from a file, until its variables turn up: loading a model tells the optimizer nothing about them. */
export class SavedWeights {
  /** By variable, in the order in which they were saved; then by array. */
  readonly #variables = new Map<string, { shape: readonly number[]; arrays: Map<string, Float32Array> }>();

  private constructor(public calls: number) {}

  /** @throws CheckpointError for what getWeights did not write. */
  static async read(weights: readonly NamedTensor[]): Promise<SavedWeights> {
    const [first, ...rest] = Array.isArray(weights) ? (weights as readonly NamedTensor[]) : [];
    if (first?.name !== ITERATIONS)
      throw new CheckpointError(
        `The state of an optimizer begins with ${show(ITERATIONS)}`,
        first ? show(first.name) : show(weights),
        "Pass what getWeights returned.",
      );
    const odd = weights.find((one, i) => !isState(one, i));
    if (odd !== undefined)
      throw new CheckpointError(
        "The state of an optimizer is a list of { name, tensor }, of tensors that are there",
        show(odd?.name ?? odd),
        "Pass what getWeights returned, before it is called again.",
      );
    const saved = new SavedWeights((await first.tensor.data())[0]!);
    for (const { name, tensor } of rest) {
      const slash = name.lastIndexOf("/");
      const variable = name.slice(0, slash);
      const known = saved.#variables.get(variable) ?? { shape: tensor.shape, arrays: new Map() };
      known.arrays.set(name.slice(slash + 1), new Float32Array(await tensor.data()));
      saved.#variables.set(variable, known);
    }
    return saved;
  }

  /** Whether every variable has taken its state. */
  get isSpent(): boolean {
    return this.#variables.size === 0;
  }

  /** The name under which the state of each variable was saved. `late`: others have taken theirs, so one without any may begin anew (null).
   *  @throws CheckpointError that lists the variables without state, and the arrays that are missing or do not fit. */
  match(variables: readonly Slotted[], arrays: readonly string[], late = false): (string | null)[] {
    const present = variables.map(({ name }) => name);
    const names = matchNames([...this.#variables.keys()], present, late);
    variables.forEach(({ name, shape }, i) => {
      if (names[i] === null) return;
      const saved = this.#variables.get(names[i]!)!;
      const has = [...saved.arrays.keys()];
      const missing = arrays.filter((array) => !has.includes(array));
      const unknown = has.filter((array) => !arrays.includes(array));
      if (missing.length + unknown.length > 0)
        throw new CheckpointError(
          `The saved state of variable ${show(name)} must have ${arrays.join(", ")}. Received: ${has.join(", ")}. ` +
            "Make the optimizer with the options it was saved with (useEma, gradientAccumulationSteps).",
        );
      if (!tf.util.arraysEqual([...saved.shape], [...shape]))
        throw new CheckpointError(
          `The saved state of variable ${show(name)} must have its shape, [${shape}]. Received: [${saved.shape}], saved for ${show(names[i])}. Load it into the model it was saved from.`,
        );
    });
    return names;
  }

  /** What was saved for a variable. */
  array(variable: string, name: string): Float32Array {
    return this.#variables.get(variable)!.arrays.get(name)!;
  }

  /** The variables of these names have taken their state. */
  forget(names: readonly string[]): void {
    for (const name of names) this.#variables.delete(name);
  }

  toWeights(): NamedTensor[] {
    return [...this.#variables].flatMap(([variable, { shape, arrays }]) =>
      [...arrays].map(([array, values]) => ({ name: `${variable}/${array}`, tensor: tf.tensor(values.slice(), [...shape]) })),
    );
  }
}

/** For each name present, the saved name that means it, by what TensorFlow.js may have changed: nothing; the number by which a variable is told from
 *  another of its name; the numbers of layers that have no name. Of several that are alike but for that: the same ones, where all of them are saved; else
 *  those at the same places, where there are as many. null, if they come `late`, for those that nothing was saved for.
 *  @throws CheckpointError that lists the names for which nothing is saved, and what is. */
export const matchNames = (saved: readonly string[], present: readonly string[], late = false): (string | null)[] => {
  const meant = new Map<string, string>();
  for (const keyOf of [withoutSuffix, lastingName]) {
    const taken = new Set(meant.values());
    const candidates = grouped(
      saved.filter((name) => !taken.has(name)),
      keyOf,
    );
    const wanting = present.filter((name) => !meant.has(name));
    for (const [key, names] of grouped(wanting, keyOf)) {
      const alike = candidates.get(key) ?? [];
      const areSaved = names.every((name) => alike.includes(name));
      if (areSaved || names.length === alike.length)
        for (const [i, name] of names.entries()) meant.set(name, areSaved ? name : alike[i]!);
    }
  }
  const missing = present.filter((name) => !meant.has(name));
  const left = saved.filter((name) => ![...meant.values()].includes(name));
  if (late && missing.length > 0)
    console.warn(
      printable(
        `adamax: nothing was saved for ${firstOf(missing)}, which begin with fresh state. Saved state waits for ${firstOf(left)}.`,
      ),
    );
  if (late || missing.length === 0) return present.map((name) => meant.get(name) ?? null);
  throw new CheckpointError(
    `The saved state has ${saved.length} variables (${saved.join(", ")}), and ${present.length} are trained. ` +
      `Received none for: ${missing.join(", ")}. ` +
      "Build the optimizer for the variables it was saved with first: optimizer.build(variables). Those that come later begin anew.",
  );
};

const grouped = (names: readonly string[], keyOf: (name: string) => string): Map<string, string[]> => {
  const groups = new Map<string, string[]>();
  for (const name of names) {
    const group = groups.get(keyOf(name));
    if (group) group.push(name);
    else groups.set(keyOf(name), [name]);
  }
  return groups;
};
