/** An optimizer's state as an ordered list of named arrays: what is saved, and in which order Keras saves it. */

import type { Row, Values } from "../backends/backend.js";
import { CheckpointError, show } from "../errors.js";
import { nonNegative } from "../kinds.js";
import type { DType } from "../rule/program.js";
import type { Variable } from "../variable.js";
import type { Dialect } from "./configuration.js";
import type { Settings } from "./options.js";

/** One array of the optimizer's state. `value` is a view, except that of a scalar kept as a number. */
export interface StateVariable {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: DType | "int64";
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
  readonly name: string;
  /** Calls of applyGradients so far. */
  calls: number;
  learningRate: Settings["learningRate"];
  /** Names of each variable's arrays: "average" and "accumulator" where they are kept, then the slots. */
  readonly arrays: readonly string[];
  readonly trained: Trained[];
  readonly added: Variable[];
}

export const stateOf = (state: OptimizerState, order: StateOrder = "tf_keras"): StateVariable[] => {
  const { name, calls, learningRate, arrays, trained, added } = state;
  const ofEach = (chosen: readonly string[]) =>
    trained.flatMap(({ variable: { name: of, shape, dtype }, row }) =>
      chosen.map((array) => ({ name: `${name}/${array}/${of}`, shape, dtype, value: row.array(array) })),
    );
  const shared = arrays.filter((array) => ["average", "accumulator"].includes(array));
  const hasRate = order === "keras" && typeof learningRate === "number";
  return [
    { name: `${name}/iteration`, shape: [], dtype: "int64", value: BigInt64Array.of(BigInt(calls)) },
    ...(hasRate
      ? [{ name: `${name}/learning_rate`, shape: [], dtype: "float32", value: Float32Array.of(learningRate) } as const]
      : []),
    ...shared.flatMap((array) => ofEach([array])),
    ...ofEach(arrays.filter((array) => !shared.includes(array))),
    ...added,
  ];
};

export const saveState = (state: OptimizerState, order: StateOrder): SavedState =>
  Object.fromEntries(stateOf(state, order).map(({ value }, i) => [`${i}`, value.slice()]));

/** Checks everything, then writes what was saved into the state. */
export const loadState = (state: OptimizerState, store: Readonly<SavedState>): void => {
  if (state.trained.length === 0)
    throw new CheckpointError(
      "State is loaded into variables",
      "an optimizer that has no variables yet",
      "Call build(variables) first.",
    );
  const values = Object.keys(store)
    .sort((a, b) => Number(a) - Number(b))
    .map((key) => store[key]!);
  const wanted = expectedOrder(state, values);
  const calls = Number(values[0]![0]);
  const rateAt = wanted[1]!.name === `${state.name}/learning_rate` ? 1 : null;
  const learningRate = rateAt && Number(values[rateAt]![0]);
  wanted.forEach(({ name, shape, dtype }, i) => {
    const value = values[i]!;
    const must = (holds: boolean, what: string, received = show(value)) => {
      if (!holds)
        throw new CheckpointError(
          `State ${i} (${name}, shape [${shape}]) must be ${what}`,
          received,
          "Load it into the model it was saved from, in the order it was saved in.",
        );
    };
    const length = shape.reduce((product, size) => product * size, 1);
    must(value.length === length, `of ${length} elements`, `${value.length}`);
    must(dtype === "int64" || !(value instanceof BigInt64Array), `${dtype} numbers`);
    if (i === 0) must(Number.isSafeInteger(calls) && calls >= 0, "the step count, an integer of 0 or more", show(value[0]));
    if (i === rateAt) must(nonNegative.holds(learningRate), `the learning rate, ${nonNegative.wanted}`, show(learningRate));
  });
  wanted.forEach(({ dtype, value }, i) => {
    if (dtype === "int64" || i === rateAt) return;
    const array = value as Values;
    array.set(values[i] as Values);
    // A NaN gets the sign that it has when a step makes it (backends/wasm/facts.ts builds on that).
    for (let k = 0; k < array.length; k++) if (Number.isNaN(array[k])) array[k] = Number.NaN;
  });
  state.calls = calls;
  // Keras 3 saves the rate in float32. Where ours rounds to that, ours is the more exact one.
  const own = state.learningRate;
  if (learningRate !== null && typeof own === "number" && Math.fround(own) !== Math.fround(learningRate))
    state.learningRate = learningRate;
  // The step count tells whether a window of micro-batches is open; what has been added to it shows in the accumulator.
  const accumulates = state.arrays.includes("accumulator");
  for (const trained of state.trained)
    trained.accumulated = accumulates && trained.row.array("accumulator").some((value) => value !== 0);
};

/** The state in the order in which `values` must have been saved: with the learning rate if there is one array more. */
const expectedOrder = (state: OptimizerState, values: readonly { readonly length: number }[]): StateVariable[] => {
  const own = stateOf(state);
  const withRate = stateOf({ ...state, learningRate: 0 }, "keras");
  const fitting = [own, withRate].find(({ length }) => length === values.length);
  if (fitting) return fitting;
  const missing = own.slice(values.length).map(({ name, shape }) => `${name} [${shape}]`);
  throw new CheckpointError(
    `The state must have ${own.length} arrays (or ${withRate.length}, with Keras 3's learning_rate)`,
    `${values.length}${missing.length > 0 ? `; missing at the end: ${missing.slice(0, 6).join(", ")}${missing.length > 6 ? ", ..." : ""}` : ""}`,
    "Build with the same variables and options (useEma, gradientAccumulationSteps) as when it was saved.",
  );
};
