/** Reads the goldens that real Keras made (fixtures/), and replays one step of one from the golden's own state. */

import { Adamax, IndexedSlices, type OptimizerOptions, type Values, Variable } from "adamax";
import { variablesOf } from "./helpers.js";

type Base64 = string;
interface ArrayState {
  value: Base64;
  momentum: Base64;
  norm: Base64;
  average?: Base64;
  accumulator?: Base64;
}
type StoredGradient = null | { dense: Base64 } | { indices: number[]; values: Base64 };
export interface Trajectory {
  name: string;
  family: string;
  library: string;
  sparse: boolean;
  dtype: "float32" | "float64";
  config: Record<string, unknown>;
  exclude?: string[];
  variables: { name: string; shape: number[] }[];
  start_iteration: number;
  states: ArrayState[][];
  gradients: StoredGradient[][];
  learning_rates: number[];
}

const ARRAYS = ["value", "momentum", "norm", "average", "accumulator"] as const;
export type ArrayName = (typeof ARRAYS)[number];
/** The arrays of one variable. */
export type State = Partial<Record<ArrayName, Values>> & { value: Values; momentum: Values; norm: Values };
export type GoldenGradient = null | Values | IndexedSlices;

export const decode = (dtype: "float32" | "float64", text: Base64): Values => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return dtype === "float32" ? new Float32Array(bytes.buffer) : new Float64Array(bytes.buffer);
};

export interface Step {
  trajectory: Trajectory;
  /** Calls made before this one. */
  calls: number;
  learningRate: number;
  before: State[];
  gradients: GoldenGradient[];
  after: State[];
}

/** Which steps of a trajectory are replayed: all, but where each costs some twenty exchanges between processes. */
export const chosen = { isWanted: (_k: number, _count: number): boolean => true };

/** The steps of a trajectory, each with the state that it starts from and the one that Keras reached. */
export const stepsOf = (trajectory: Trajectory): Step[] => {
  const { dtype, states, gradients, learning_rates, start_iteration } = trajectory;
  const read = (state: ArrayState[]): State[] =>
    state.map((arrays) => {
      const present = ARRAYS.filter((name) => arrays[name] !== undefined);
      return Object.fromEntries(present.map((name) => [name, decode(dtype, arrays[name]!)])) as State;
    });
  const readGradient = (gradient: StoredGradient): GoldenGradient => {
    if (gradient === null) return null;
    if ("dense" in gradient) return decode(dtype, gradient.dense);
    return new IndexedSlices(decode(dtype, gradient.values), Int32Array.from(gradient.indices));
  };
  const steps = gradients.map((list, k) => ({
    trajectory,
    calls: start_iteration + k,
    learningRate: learning_rates[k]!,
    before: read(states[k]!),
    gradients: list.map(readGradient),
    after: read(states[k + 1]!),
  }));
  return steps.filter((_, k) => chosen.isWanted(k, steps.length));
};

/** What a test may change to be wrong on purpose. */
export interface Mistake {
  Optimizer?: typeof Adamax;
  config?: (config: Record<string, unknown>) => Record<string, unknown>;
  /** In place of the gradient that the golden gives. */
  gradient?: (gradient: GoldenGradient, before: State, step: Step) => GoldenGradient;
  /** Changes what the step reached. */
  result?: (reached: State, before: State, step: Step) => void;
}

/** Makes one step from the golden's own state, and returns what it reached. */
export const replay = async (step: Step, options: OptimizerOptions = {}, mistake: Mistake = {}): Promise<State[]> => {
  const { trajectory, before, gradients, calls } = step;
  const { dtype, exclude } = trajectory;
  const config = mistake.config?.(trajectory.config) ?? trajectory.config;
  // In float64, Keras' schedules still compute in float32: take the rate that it used.
  const given = dtype === "float64" && typeof config.learning_rate === "object" ? { learningRate: step.learningRate } : {};
  const keras3 = trajectory.library === "keras" ? ({ emaStart: "firstStep" } as const) : {};
  using optimizer = (mistake.Optimizer ?? Adamax).fromConfig(config, { ...keras3, ...given, ...options });
  const variables = trajectory.variables.map(({ name, shape }, i) => new Variable(before[i]!.value.slice(), { name, shape }));
  if (exclude) optimizer.excludeFromWeightDecay({ names: exclude });
  optimizer.build(variables);
  const all = (name: ArrayName) => before.flatMap((state) => (state[name] ? [state[name]] : []));
  const slots = before.flatMap(({ momentum, norm }) => [momentum, norm]);
  optimizer.setWeights([[calls], ...all("average"), ...all("accumulator"), ...slots]);

  optimizer.applyGradients(
    variables.map((variable, i) => [mistake.gradient?.(gradients[i]!, before[i]!, step) ?? gradients[i]!, variable]),
  );
  const values = await Promise.all(variables.map((variable) => variable.read()));
  const state = new Map((await variablesOf(optimizer)).map(({ name, value }) => [name, value]));
  return variables.map((variable, i) => {
    const read = (name: ArrayName) =>
      name === "value" ? values[i]! : (state.get(`Adamax/${name}/${variable.name}`) as Values).slice();
    const reached = Object.fromEntries(Object.keys(before[i]!).map((name) => [name, read(name as ArrayName)])) as State;
    mistake.result?.(reached, before[i]!, step);
    return reached;
  });
};

/** The distance between neighbouring numbers of the dtype at this magnitude. */
export const ulp = (dtype: "float32" | "float64", magnitude: number): number => {
  const [digits, least] = dtype === "float32" ? [23, -126] : [52, -1022];
  return 2 ** (Math.max(least, Math.floor(Math.log2(Math.max(magnitude, 2 ** least)))) - digits);
};

/** The gradient as one value per element. */
export const dense = (gradient: GoldenGradient, like: Values, shape: readonly number[]): Values => {
  if (gradient === null) return like.slice().fill(0);
  if (!(gradient instanceof IndexedSlices)) return gradient;
  const rowSize = like.length / (shape[0] ?? 1);
  const values = like.slice().fill(0);
  gradient.indices.forEach((row, i) => {
    for (let k = 0; k < rowSize; k++) values[row * rowSize + k]! += gradient.values[i * rowSize + k]!;
  });
  return values;
};

/** The largest difference between what was reached and the golden, in ulps of the largest operand of the element: max(|m|, |g|)
 *  for m, max(|u|, |g|) for u, max(|w|, lr) for w. Not ulps of m: it crosses zero, where any count is possible. */
export const worstUlps = (step: Step, reached: State[]): number => {
  const { trajectory, before, gradients, after, learningRate } = step;
  const scale = (trajectory.config.loss_scale_factor as number | null | undefined) ?? 1;
  let worst = 0;
  reached.forEach((arrays, i) => {
    const g = dense(gradients[i]!, before[i]!.value, trajectory.variables[i]!.shape);
    for (const name of Object.keys(arrays) as ArrayName[])
      arrays[name]!.forEach((value, k) => {
        const operands = [
          before[i]![name]![k]!,
          after[i]![name]![k]!,
          name === "value" ? learningRate : name === "average" ? 0 : g[k]! / scale,
        ];
        const unit = ulp(trajectory.dtype, Math.max(...operands.map(Math.abs)));
        const error = Math.abs(value - after[i]![name]![k]!) / unit;
        worst = Math.max(worst, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
      });
  });
  return worst;
};
