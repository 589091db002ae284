/** An optimizer's state as an ordered list of named arrays: what is saved, and in which order Keras saves it. */

import type { Row, Values } from "./backends/backend.js";
import { CheckpointError, show } from "./errors.js";
import type { DType } from "./rule/program.js";
import type { Variable } from "./variable.js";

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
export type StateOrder = "tf_keras" | "keras";

export interface StateSource {
  readonly name: string;
  readonly calls: number;
  /** null when it is not a number of its own (a schedule, a function). */
  readonly learningRate: number | null;
  readonly slots: readonly string[];
  readonly averages: boolean;
  readonly accumulators: boolean;
  readonly trained: readonly { readonly variable: Variable; readonly row: Row; accumulated: boolean }[];
  readonly added: readonly Variable[];
}

export const stateOf = (source: StateSource, order: StateOrder = "tf_keras"): StateVariable[] => {
  const { name, calls, learningRate, slots, averages, accumulators, trained, added } = source;
  const perVariable = (arrays: readonly string[]) =>
    trained.flatMap(({ variable, row }) =>
      arrays.map((array) => ({ name: `${name}/${array}/${variable.name}`, shape: variable.shape, dtype: variable.dtype, value: row.array(array) })),
    );
  const iteration: StateVariable = { name: `${name}/iteration`, shape: [], dtype: "int64", value: BigInt64Array.of(BigInt(calls)) };
  const rate: StateVariable[] =
    order === "keras" && learningRate !== null
      ? [{ name: `${name}/learning_rate`, shape: [], dtype: "float32", value: Float32Array.of(learningRate) }]
      : [];
  return [
    iteration,
    ...rate,
    ...perVariable(averages ? ["average"] : []),
    ...perVariable(accumulators ? ["accumulator"] : []),
    ...perVariable(slots),
    ...added.map((variable) => ({ name: variable.name, shape: variable.shape, dtype: variable.dtype, value: variable.value })),
  ];
};

export const saveState = (source: StateSource, order: StateOrder): SavedState =>
  Object.fromEntries(stateOf(source, order).map(({ value }, i) => [`${i}`, value.slice()]));

/** Checks everything, then writes the state into the optimizer's arrays. Returns the number of calls that it was saved after,
 *  and the learning rate (null: none was saved). */
export const loadState = (source: StateSource, store: Readonly<SavedState>): { calls: number; learningRate: number | null } => {
  if (source.trained.length === 0)
    throw new CheckpointError("The optimizer has no variables yet, so there is nothing to load into. Call build(variables) first.");
  const values = Object.keys(store)
    .sort((a, b) => Number(a) - Number(b))
    .map((key) => store[key]!);
  const wanted = expectedOrder(source, values);
  wanted.forEach(({ name, shape }, i) => {
    const length = shape.reduce((product, size) => product * size, 1);
    if (values[i]!.length !== length)
      throw new CheckpointError(`State ${i} (${name}, shape [${shape}]) must have ${length} elements. Received: ${values[i]!.length}. Load it into the model it was saved from.`);
  });
  wanted.forEach(({ name, dtype }, i) => {
    if (dtype !== "int64" && values[i] instanceof BigInt64Array)
      throw new CheckpointError(`State ${i} (${name}) must hold ${dtype} numbers. Received: ${show(values[i])}. Check the order of the arrays.`);
  });
  const calls = Number(values[0]![0]);
  if (!Number.isSafeInteger(calls) || calls < 0)
    throw new CheckpointError(`State 0 is the step count, an integer of 0 or more. Received: ${show(values[0]![0])}. Check the order of the arrays.`);
  const rateAt = wanted[1]!.name === `${source.name}/learning_rate` ? 1 : null;
  const learningRate = rateAt && Number(values[rateAt]![0]);
  if (learningRate !== null && !(Number.isFinite(learningRate) && learningRate >= 0))
    throw new CheckpointError(`State ${rateAt} is the learning rate, a finite number of 0 or more. Received: ${learningRate}. Check the order of the arrays.`);
  wanted.forEach(({ dtype, value }, i) => {
    if (dtype === "int64" || i === rateAt) return;
    const state = value as Values;
    state.set(values[i] as Values);
    // A NaN gets the sign that it has when a step makes it (backends/wasm/facts.ts builds on that).
    for (let k = 0; k < state.length; k++) if (Number.isNaN(state[k])) state[k] = Number.NaN;
  });
  // The step count tells whether a window of micro-batches is open; what has been added to it shows in the accumulator.
  for (const trained of source.trained)
    trained.accumulated = source.accumulators && trained.row.array("accumulator").some((value) => value !== 0);
  return { calls, learningRate };
};

/** The state in the order in which `values` must have been saved: with the learning rate if there is one array more. */
const expectedOrder = (source: StateSource, values: readonly { readonly length: number }[]): StateVariable[] => {
  const own = stateOf(source);
  if (values.length === own.length) return own;
  const withRate = stateOf({ ...source, learningRate: 0 }, "keras");
  if (values.length === withRate.length) return withRate;
  const list = own.map(({ name, shape }) => `${name} [${shape}]`);
  const missing = list.slice(values.length);
  throw new CheckpointError(
    `The state has another number of arrays than this optimizer. Received: ${values.length}; needed: ${own.length} (or ${withRate.length} with Keras 3's learning_rate). ` +
      `${missing.length > 0 ? `Missing at the end: ${missing.slice(0, 6).join(", ")}${missing.length > 6 ? ", ..." : ""}. ` : ""}` +
      "Build with the same variables and options (useEma, gradientAccumulationSteps) as when it was saved.",
  );
};
