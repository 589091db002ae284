/** An optimizer's state in Keras' files: a list without names. What each array is follows from the count and the shapes. */

import { CheckpointError } from "../../errors.js";
import { checkedArray, type StoredArray } from "./arrays.js";
import { align, isNeverTrained, type KerasVariable, type Layer } from "./layers.js";

/** What an optimizer keeps; null: not known. */
export interface Kept {
  readonly average: boolean | null;
  readonly accumulator: boolean | null;
  /** The slots of its rule: "momentum", "norm". */
  readonly slots: readonly string[];
}

/** State whose arrays are known. */
export interface NamedState {
  /** The variables in training, in the optimizer's order. */
  readonly trained: readonly KerasVariable[];
  /** The names of the arrays that each variable has: "average", "accumulator", then the slots. */
  readonly arrays: readonly string[];
  /** All of the state, in the order of the file, under our names: "iteration", "learning_rate", "momentum/dense/kernel". */
  readonly state: readonly StoredArray[];
}

const SHARED = ["average", "accumulator"] as const;

/** Names the arrays, and finds the variables that they belong to.
 *  @throws CheckpointError when no reading fits, or more than one. */
export const nameState = (state: readonly StoredArray[], queues: readonly (readonly Layer[])[], kept: Kept): NamedState => {
  const { slots } = kept;
  const all = queues.flatMap((queue) => queue.flatMap(({ variables }) => variables));
  const known = knownState(state, all, slots);
  if (known && SHARED.every((array) => (kept[array] ?? known.arrays.includes(array)) === known.arrays.includes(array)))
    return known;
  const answers: NamedState[] = [];
  for (const layout of known ? [] : layouts(state, kept)) {
    const { first, count, shared } = layout;
    const own = state.slice(first + shared.length * count);
    const shapes = Array.from({ length: count }, (_, k) => `${own[k * slots.length]!.shape}`);
    const named = byName(own, slots.length, all);
    const found = named
      ? [named]
      : [false, true].map((mayBeFrozen) => align(queues, shapes, mayBeFrozen)).find(({ length }) => length > 0);
    for (const trained of found ?? [])
      answers.push({ trained, arrays: [...shared, ...slots], state: rename(state, layout, trained, slots) });
  }
  if (answers.length === 1) return answers[0]!;
  const shapes = all.filter((one) => !isNeverTrained(one)).map(({ name, shape }) => `${name} [${shape}]`);
  throw new CheckpointError(
    answers.length === 0
      ? "The optimizer's state does not fit the variables of the model"
      : "The file does not say which variable each array of the optimizer's state belongs to: more than one reading fits",
    `${state.length} arrays of shapes ${short(state.map(({ shape }) => `[${shape}]`))} for the variables ${short(shapes)}`,
    answers.length === 0
      ? `Give an optimizer with the options it was saved with (useEma, gradientAccumulationSteps).`
      : "Read a .keras or .h5 file, which holds the model's configuration too.",
  );
};

const short = (list: readonly string[]): string => list.slice(0, 12).join(", ") + (list.length > 12 ? ", ..." : "");

/** State whose arrays have our names already. */
const knownState = (
  state: readonly StoredArray[],
  variables: readonly KerasVariable[],
  slots: readonly string[],
): NamedState | null => {
  const byName = new Map(variables.map((one) => [one.name, one]));
  for (const layout of layouts(state, { average: null, accumulator: null, slots })) {
    const { first, count, shared } = layout;
    const own = state.slice(first + shared.length * count);
    const trained = Array.from({ length: count }, (_, k) =>
      byName.get(own[k * slots.length]!.name.slice(slots[0]!.length + 1)),
    ).filter((one) => one !== undefined);
    if (trained.length < count) continue;
    const named = rename(state, layout, trained, slots);
    if (named.every(({ name }, i) => name === state[i]!.name)) return { trained, arrays: [...shared, ...slots], state: named };
  }
  return null;
};

interface Layout {
  /** Where the arrays of the variables begin. */
  readonly first: number;
  readonly count: number;
  readonly shared: readonly string[];
}

/** Every way to read the list: iteration, perhaps the learning rate, averages, accumulators, slots. */
const layouts = (state: readonly StoredArray[], { average, accumulator, slots }: Kept): Layout[] => {
  const found: Layout[] = [];
  for (const hasRate of [false, true])
    for (const shared of [[], ["average"], ["accumulator"], SHARED]) {
      if ((average ?? shared.includes("average")) !== shared.includes("average")) continue;
      if ((accumulator ?? shared.includes("accumulator")) !== shared.includes("accumulator")) continue;
      const first = hasRate ? 2 : 1;
      const count = (state.length - first) / (shared.length + slots.length);
      if (!Number.isInteger(count) || count < 1) continue;
      if (hasRate && state[1]!.value.length !== 1) continue;
      const shapeAt = (at: number) => `${state[at]!.shape}`;
      const own = first + shared.length * count;
      const fits = Array.from({ length: count }, (_, k) => k).every((k) => {
        const shape = shapeAt(own + k * slots.length);
        const places = [...shared.map((_, s) => first + s * count + k), ...slots.map((_, s) => own + k * slots.length + s)];
        return places.every((place) => shapeAt(place) === shape);
      });
      if (fits) found.push({ first, count, shared });
    }
  return found;
};

/** By the names that older files give the arrays: "Adamax/m/first/kernel:0", "adamax/sequential_first_kernel_momentum", "first/kernel/momentum". */
const byName = (own: readonly StoredArray[], slots: number, variables: readonly KerasVariable[]): KerasVariable[] | null => {
  const words = (name: string) => name.replace(/:\d+$/, "").split(/[/_]/);
  const byWords = new Map<string, KerasVariable[]>();
  for (const one of variables) {
    const key = words(one.name).join("_");
    byWords.set(key, [...(byWords.get(key) ?? []), one]);
  }
  const trained: KerasVariable[] = [];
  for (let at = 0; at < own.length; at += slots) {
    const { name, shape } = own[at]!;
    const all = words(name);
    if (all.length > MOST_WORDS) return null;
    const fitting = all
      .flatMap((_, begin) => all.slice(begin).flatMap((_, k) => byWords.get(all.slice(begin, begin + k + 1).join("_")) ?? []))
      .filter((one) => `${one.shape}` === `${shape}`)
      .sort((a, b) => b.name.length - a.name.length);
    if (fitting.length === 0 || fitting[0]!.name.length === fitting[1]?.name.length) return null;
    trained.push(fitting[0]!);
  }
  return new Set(trained).size === trained.length ? trained : null;
};
/** In the name of an array of state. */
const MOST_WORDS = 100;

const rename = (
  state: readonly StoredArray[],
  { first, count, shared }: Layout,
  trained: readonly KerasVariable[],
  slots: readonly string[],
): StoredArray[] => {
  const own = first + shared.length * count;
  return state.map((array, i) => {
    if (i < first) return { ...array, name: ["iteration", "learning_rate"][i]! };
    const [kind, variable] =
      i < own
        ? [shared[Math.floor((i - first) / count)]!, (i - first) % count]
        : [slots[(i - own) % slots.length]!, Math.floor((i - own) / slots.length)];
    return checkedArray({ ...array, name: `${kind}/${trained[variable]!.name}` });
  });
};
