/** The optimizer's state as TensorFlow.js saves it: a list of named tensors. First `iter`, the number of calls; then every array
 *  as "variable/array", in the core's order. */

import * as tf from "@tensorflow/tfjs-core";
import { CheckpointError, firstOf, printable, show } from "../../errors.js";
import { integerFrom } from "../../kinds.js";
import { entriesOf, type OptimizerState } from "../../optimizer/state.js";
import { areCountedOn, lastingName, withoutSuffix } from "./names.js";

/** A part of the saved state. */
export interface NamedTensor {
  readonly name: string;
  readonly tensor: tf.Tensor;
}

/** What a variable must be like to take state. */
export interface Slotted {
  readonly name: string;
  /** What its layer called it, where that is known: then `name` is that, with what TensorFlow.js added. */
  readonly originalName: string | null;
  readonly shape: readonly number[];
}

const ITERATIONS = "iter";
/** An int32, as TensorFlow.js' own optimizers have it. */
const MOST_CALLS = 2 ** 31 - 1;
const atLeastZero = integerFrom(0);

/** Copies of the state, which the caller frees. `waiting` is state that no variable has taken yet. */
export const toWeights = (state: OptimizerState, waiting: SavedWeights | null): NamedTensor[] => {
  const calls = waiting && state.trained.length === 0 ? waiting.calls : state.calls;
  if (calls > MOST_CALLS)
    throw new CheckpointError(
      `TensorFlow.js saves whole numbers up to ${MOST_CALLS}`,
      `${calls} steps`,
      "Save with adamax/checkpoint, or set optimizer.iterations to less.",
    );
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
    const counted: ArrayLike<unknown> = await first.tensor.data();
    const calls = counted.length === 1 ? counted[0] : undefined;
    if (!atLeastZero.holds(calls))
      throw new CheckpointError(
        `${show(ITERATIONS)} of an optimizer must be ${atLeastZero.wanted}`,
        show(counted.length === 1 ? calls : counted),
        "Pass what getWeights returned.",
      );
    const saved = new SavedWeights(calls as number);
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
    const names = matchNames([...this.#variables.keys()], variables, late);
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

/** For each variable, the saved name that means it, by what TensorFlow.js may have changed: nothing; the number by which a variable is told from
 *  another of its name; the numbers of layers, and of variables, that have no name. Of several that are alike but for that: those at the same places, where
 *  TensorFlow.js has counted on through all of them; else the same ones, and no other is guessed where some are the same; else those at the same places,
 *  where there are as many. null, if they come `late`, for those that nothing was saved for.
 *  @throws CheckpointError that lists the names for which nothing is saved, and what is. */
const matchNames = (saved: readonly string[], variables: readonly Slotted[], late: boolean): (string | null)[] => {
  const present = variables.map(({ name }) => name);
  const own = new Map(variables.map(({ name, originalName }) => [name, originalName]));
  const meant = new Map<string, string>();
  const take = (names: readonly string[], from: readonly string[]) => {
    for (const [i, name] of names.entries()) meant.set(name, from[i]!);
  };
  const lasting = pairsOf(saved, present, lastingName, lastingName);
  for (const [alike, names] of lasting) if (areCountedOn(names, alike)) take(names, alike);
  const isLeft = (name: string) => !meant.has(name);
  const nowLeft = saved.filter((name) => ![...meant.values()].includes(name));
  const stems = pairsOf(nowLeft, present.filter(isLeft), withoutSuffix, (name) => own.get(name) ?? withoutSuffix(name));
  for (const [alike, names] of stems) {
    const same = names.filter((name) => alike.includes(name));
    const areTheirs = same.length === 0 || names.every((name) => own.get(name) !== null); // TensorFlow.js' numbers, all of them
    if (same.length < names.length && names.length === alike.length && areTheirs) take(names, alike);
    else take(same, same);
  }
  for (const [alike, names] of lasting) {
    const taken = new Set(meant.values());
    const areLeft = names.every(isLeft) && !alike.some((name) => taken.has(name));
    if (areLeft && names.length === alike.length) take(names, alike);
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

/** The saved names and the present ones that are alike. */
const pairsOf = (
  saved: readonly string[],
  present: readonly string[],
  keyOfSaved: (name: string) => string,
  keyOf: (name: string) => string,
): (readonly [saved: string[], present: string[]])[] => {
  const candidates = grouped(saved, keyOfSaved);
  return [...grouped(present, keyOf)].map(([key, names]) => [candidates.get(key) ?? [], names] as const);
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
