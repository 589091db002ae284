/** An optimizer's state: the one list of its arrays, from which every format takes its names and its order, and the one way back. */

import type { Row, Values } from "../backend.js";
import { BackendError, CheckpointError, firstOf, show } from "../errors.js";
import { integerFrom, type Kind, nonNegative } from "../kinds.js";
import type { Lifecycle } from "../lifecycle.js";
import { ARRAYS, type DType } from "../rule/program.js";
import type { KeptArray, Role } from "../rule/step-program.js";
import { type Variable, valuesFrom } from "../variable.js";
import type { Dialect } from "./configuration.js";
import type { Settings } from "./options.js";

/** One array of the optimizer's state. */
export interface StateVariable {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: DType | "int64";
  /** A view, except that of a scalar kept as a number. Where the memory is far: a copy, which `await optimizer.download()` fetches. */
  readonly value: Values | BigInt64Array;
}

/** Arrays under "0", "1", ... */
export type SavedState = Record<string, Values | Int32Array | BigInt64Array | readonly number[]>;

/** tf_keras: iteration, averages, (accumulators,) slots. Keras 3: iteration, learning_rate if it is a number, averages, accumulators, slots. */
export type StateOrder = Dialect;

/** A variable in training. */
export interface Trained {
  readonly variable: Variable;
  readonly row: Row;
  /** The call that last named this variable; finds duplicates without a set. */
  call: number;
  /** Whether a gradient has been accumulated since the last update. */
  accumulated: boolean;
  /** Whether the missing gradient of this variable has been warned of. */
  warned: boolean;
}

/** What an optimizer knows besides its settings. */
export interface OptimizerState {
  /** Begins the names of the arrays. */
  readonly name: string;
  /** Calls of applyGradients so far. */
  calls: number;
  learningRate: Settings["learningRate"];
  /** What is kept for each variable: average and accumulator where they are asked for, then the slots. */
  readonly arrays: readonly KeptArray[];
  readonly trained: Trained[];
  /** Those of addVariable. */
  readonly added: Variable[];
  /** Copies of arrays that are far, as they were at the last download; until the state changes. */
  readonly downloads: Map<Row, ReadonlyMap<string, Values>>;
}

/** An array of a model and its optimizer: the value of a variable, what is kept for it, or a variable that was added to the state. */
export interface StateEntry {
  readonly variable: Variable;
  readonly role: "value" | Role | "added";
  /** What users and files call the array: "momentum", "average". */
  readonly name: string;
  /** Fills `into` with the elements from `begin` on. */
  read(begin: number, into: Values): Promise<void>;
  /** Writes elements from `begin` on. */
  write(begin: number, values: Values): Promise<void>;
  /** All elements, where they are near by or have been downloaded.
   *  @throws BackendError elsewhere. */
  view(): Values;
}

const valueEntry = (variable: Variable, role: "value" | "added"): StateEntry => ({
  variable,
  role,
  name: role,
  read: (begin, into) => variable.readInto(begin, into),
  write: (begin, values) => variable.writeFrom(begin, values),
  view: () => variable.value,
});

export const valuesOf = (variables: readonly Variable[]): StateEntry[] =>
  variables.map((variable) => valueEntry(variable, "value"));

/** A NaN in the state gets the sign that it has when a step makes it (backends/wasm/facts.ts builds on that). */
const withPlainNaN = (values: Values): Values =>
  values.some(Number.isNaN) ? values.map((x) => (Number.isNaN(x) ? NaN : x)) : values;

/** A variable in training, or one that will be: then there are no elements yet. */
type Planned = Pick<Trained, "variable"> & { readonly row?: Row };

const keptEntry = (
  { variable, row }: Planned,
  { role, array, name }: KeptArray,
  downloads: OptimizerState["downloads"],
): StateEntry => ({
  variable,
  role,
  name,
  read: (begin, into) => row!.read(array, begin, into),
  write: (begin, values) => row!.write(array, begin, withPlainNaN(values)),
  view: () => {
    const values = row!.view?.(array) ?? downloads.get(row!)?.get(array);
    if (values) return values;
    throw new BackendError(
      `The ${name} of ${variable} is not in memory that this thread sees`,
      "a look at it",
      "Await optimizer.download() first.",
    );
  },
});

/** Everything that is kept for these variables, by default all in training: averages, accumulators, then every slot of the first variable,
 *  of the second ...; last what was added. The order is that of Keras. */
export const entriesOf = (
  { arrays, trained: all, added, downloads }: OptimizerState,
  trained: readonly Planned[] = all,
): StateEntry[] => {
  const ofEach = (chosen: readonly KeptArray[]) =>
    trained.flatMap((one) => chosen.map((array) => keptEntry(one, array, downloads)));
  return [
    ...arrays.filter(({ role }) => role !== "slot").flatMap((array) => ofEach([array])),
    ...ofEach(arrays.filter(({ role }) => role === "slot")),
    ...added.map((variable) => valueEntry(variable, "added")),
  ];
};

/** By "momentum/dense/kernel", for formats that go by names. */
export const namedEntries = (state: OptimizerState): Map<string, StateEntry> =>
  new Map(entriesOf(state).map((entry) => [`${entry.name}/${entry.variable.name}`, entry]));

/** The name that Keras gives an array. */
const kerasName = ({ name: optimizer }: OptimizerState, { role, name, variable }: StateEntry): string =>
  role === "added" ? variable.name : `${optimizer}/${name}/${variable.name}`;

/** The scalars of the state, in the order of Keras: they come first. */
const scalarsOf = ({ name, calls, learningRate }: OptimizerState, order: StateOrder): StateVariable[] => {
  const shape: number[] = [];
  const iteration = { name: `${name}/iteration`, shape, dtype: "int64", value: BigInt64Array.of(BigInt(calls)) } as const;
  if (order !== "keras" || typeof learningRate !== "number") return [iteration];
  return [iteration, { name: `${name}/learning_rate`, shape, dtype: "float32", value: Float32Array.of(learningRate) }];
};

/** The state as its owner sees it; `expose` is told when a view of a slot is handed out. */
export const stateOf = (state: OptimizerState, expose: () => void): StateVariable[] => [
  ...scalarsOf(state, "tf_keras"),
  ...entriesOf(state).map((entry) => ({
    name: kerasName(state, entry),
    shape: entry.variable.shape,
    dtype: entry.variable.dtype,
    get value() {
      if (entry.role === "slot") expose();
      return entry.view();
    },
  })),
];

/** Copies, in the order in which Keras saves. */
export const saveState = (state: OptimizerState, order: StateOrder, store: SavedState): SavedState => {
  const entries = entriesOf(state);
  [...scalarsOf(state, order).map(({ value }) => value), ...entries.map((entry) => entry.view())].forEach((value, i) => {
    store[i] = value.slice();
  });
  return Object.defineProperty(store, KINDS, { value: kindsOf(entries), configurable: true });
};

/** Of what arrays a list was saved, where it is still the object that was saved. */
const KINDS = Symbol("kinds");

const kindsOf = (entries: readonly StateEntry[]): string => [...new Set(entries.map(({ name }) => name))].join(", ");

/** The numbers beside the arrays. */
export interface Counters {
  /** Calls of applyGradients. */
  readonly calls: number;
  /** null: it stays. */
  readonly learningRate: number | null;
  /** Variables for which a gradient has been accumulated. */
  readonly accumulating: ReadonlySet<Variable>;
}

/** What a state shall be. */
export interface Restoration extends Omit<Counters, "accumulating"> {
  /** null: those whose accumulator is not zero. */
  readonly accumulating: Counters["accumulating"] | null;
  /** All others stay. */
  readonly arrays: ReadonlyMap<StateEntry, SavedState[string]>;
}

/** Checks everything, then writes it. `meet` is called in between.
 *  @throws CheckpointError for what does not fit; nothing is changed then. */
export const restore = (state: OptimizerState, life: Lifecycle, restoration: Restoration, meet: () => void): Promise<unknown> => {
  life.assert("load");
  const { calls, learningRate } = restoration;
  assertCounter(`${state.name}/iteration`, integerFrom(0), calls);
  if (learningRate !== null) assertCounter(`${state.name}/learning_rate`, nonNegative, learningRate);
  const writes = [...restoration.arrays].map(([entry, values]) => [entry, fitting(state, entry, values)] as const);
  meet();
  life.begin("load");
  const written = Promise.all(writes.map(([entry, values]) => entry.write(0, values)));
  setCounters(state, { ...restoration, accumulating: restoration.accumulating ?? openWindows(state, writes) });
  life.settle();
  return written;
};

/** The variables for which a gradient has been accumulated. What was added up shows in the accumulator. */
const openWindows = ({ trained }: OptimizerState, writes: readonly (readonly [StateEntry, Values])[]): Set<Variable> => {
  const open = new Set(trained.filter(({ accumulated }) => accumulated).map(({ variable }) => variable));
  for (const [{ role, variable }, values] of writes)
    if (role === "accumulator")
      if (values.some((value) => value !== 0)) open.add(variable);
      else open.delete(variable);
  return open;
};

const refuse = (name: string, wanted: string, received: string): never => {
  throw new CheckpointError(`${name} must be ${wanted}`, received, AS_SAVED);
};

const assertLength = (name: string, values: SavedState[string], length: number): void => {
  if (values.length !== length) refuse(name, `of ${length} elements`, `${values.length}`);
};

const assertCounter = (name: string, { wanted, holds }: Kind<number>, value: number): void => {
  if (!holds(value)) refuse(name, wanted, `${value}`);
};

/** `values` as an array of the entry's dtype. */
const fitting = (state: OptimizerState, entry: StateEntry, values: SavedState[string]): Values => {
  const { dtype, length } = entry.variable;
  const name = kerasName(state, entry);
  assertLength(name, values, length);
  return valuesFrom(dtype, values) ?? refuse(name, `${dtype} numbers`, show(values));
};

export const setCounters = (state: OptimizerState, { calls, learningRate, accumulating }: Counters): void => {
  state.calls = calls;
  if (learningRate !== null && typeof state.learningRate === "number") state.learningRate = learningRate;
  for (const trained of state.trained) trained.accumulated = accumulating.has(trained.variable);
};

/** What saveOwnVariables, tf_keras or Keras 3 saved: a list without names.
 *  @throws CheckpointError for a list of another length. */
export const restorationOf = (
  state: OptimizerState,
  store: Readonly<SavedState> & { readonly [KINDS]?: string },
  order: StateOrder | undefined,
): Restoration => {
  const values = Object.values(store); // keys that are integers are in their order
  const entries = entriesOf(state);
  const { [KINDS]: saved } = store;
  const kept = kindsOf(entries);
  if (saved !== undefined && saved !== kept) throw new CheckpointError(`The state must be ${kept}`, saved, AS_SAVED);
  const hasRate = values.length === entries.length + 2 && (saved !== undefined || order !== "tf_keras");
  if (!hasRate && values.length !== entries.length + 1) {
    const missing = entries.slice(Math.max(0, values.length - 1)).map((entry) => kerasName(state, entry));
    throw new CheckpointError(
      `The state must have ${entries.length + 1} arrays, with a learning_rate one more`,
      missing.length > 0 ? `${values.length}, without ${firstOf(missing)}` : `${values.length}`,
      AS_SAVED,
    );
  }
  if (saved === undefined && order === undefined && isAmbiguous(state, entries, hasRate))
    throw new CheckpointError(
      "The second array may be a learning rate or an average",
      `${values.length} arrays`,
      'Say which order it has: "tf_keras" or "keras".',
    );
  const counters = hasRate ? ["iteration", "learning_rate"] : ["iteration"];
  const [calls, learningRate] = counters.map((name, i) => {
    assertLength(`${state.name}/${name}`, values[i]!, 1);
    return Number(values[i]![0]);
  }) as [number, number?];
  return {
    calls,
    learningRate: learningRate === undefined ? null : exactRate(state, learningRate),
    accumulating: null,
    arrays: new Map(entries.map((entry, i) => [entry, values[counters.length + i]!])),
  };
};

/** With one variable of one element, a learning rate and an average (or what has been accumulated) look alike, and stand at the same place. */
const isAmbiguous = ({ trained }: OptimizerState, entries: readonly StateEntry[], hasRate: boolean): boolean => {
  const shared = entries.filter(({ role }) => role === "average" || role === "accumulator");
  return trained.length === 1 && trained[0]!.variable.length === 1 && (hasRate ? shared.length < 2 : shared.length > 0);
};

/** Keras saves the rate in float32. Where ours rounds to that, ours is the more exact one. */
export const exactRate = ({ learningRate: own }: OptimizerState, saved: number): number =>
  typeof own === "number" && Math.fround(own) === Math.fround(saved) ? own : saved;

const AS_SAVED = "Build with the variables and options of then.";

/** Throws away what has been accumulated for these variables since the last update: they are frozen, and must not move by it. */
export const forgetAccumulated = (state: OptimizerState, isFrozen: (variable: Variable) => boolean): void => {
  const frozen = state.trained.filter(({ accumulated, variable }) => accumulated && isFrozen(variable));
  for (const trained of frozen) trained.accumulated = false;
  const variables = new Set(frozen.map(({ variable }) => variable));
  for (const { role, variable, write } of entriesOf(state))
    if (role === "accumulator" && variables.has(variable)) void write(0, new ARRAYS[variable.dtype](variable.length));
};
