/** An optimizer as Keras' files hold it: its class, its configuration, its state; read and written. */

import { Adamax, type AdamaxOptions } from "../../adamax.js";
import { CheckpointError, OptionError, show } from "../../errors.js";
import type { Config, Dialect } from "../../optimizer/configuration.js";
import { internalsOf, type Optimizer } from "../../optimizer/optimizer.js";
import { exactRate, namedEntries, type SavedState } from "../../optimizer/state.js";
import type { JsonValue } from "../format/json.js";
import type { Numbers, StoredArray } from "./arrays.js";
import { withoutTuples } from "./json.js";
import type { Kept } from "./state.js";

/** The optimizer of a file. */
export interface KerasOptimizer {
  /** "Adamax"; of a LossScaleOptimizer, the class inside. null: the file does not say. */
  readonly className: string | null;
  /** As Keras wrote it, with its class name around it; Adamax.fromConfig reads it. Of a legacy optimizer in a TensorFlow checkpoint, the
   *  numbers that are there. null: the file has none. */
  readonly config: Config | null;
  /** In the order of the file, under our names where they are known: "iteration", "momentum/dense/kernel", ... */
  readonly state: readonly StoredArray[];
}

/** Whether it was built: besides iteration and rate, something is kept. */
export const hasSlots = ({ state }: KerasOptimizer): boolean => state.length > 2;

/** What an Adamax of this configuration keeps. */
export const keptOf = (config: Config | null): Kept => {
  const { slots } = Adamax.rule;
  if (!config) return { average: null, accumulator: null, slots };
  const { use_ema: average, gradient_accumulation_steps: steps = null } = innerConfig(config);
  return { average: average === true, accumulator: steps !== null, slots };
};

/** The optimizer's own keys, from inside whatever stands around them. */
export const innerConfig = (config: Config): Config => {
  const inside = (config.inner_optimizer ?? (typeof config.class_name === "string" ? config.config : undefined)) as
    | Config
    | undefined;
  return inside && typeof inside === "object" ? innerConfig(inside) : config;
};

/** "Adamax", from "Custom>Adamax" and from inside a LossScaleOptimizer. */
export const classNameOf = (config: Config | null): string | null => {
  if (!config) return null;
  const inner = (config.inner_optimizer ?? (config.config as Config | undefined)?.inner_optimizer) as Config | undefined;
  if (inner) return classNameOf(inner);
  return typeof config.class_name === "string" ? config.class_name.split(">").at(-1)! : null;
};

/** What the optimizer keeps, under the names that users see. */
export const keptBy = (optimizer: Optimizer<never>): Kept => {
  const { arrays } = internalsOf(optimizer).state;
  const has = (kind: string) => arrays.some(({ role }) => role === kind);
  const slots = arrays.filter(({ role }) => role === "slot").map(({ name }) => name);
  return { average: has("average"), accumulator: has("accumulator"), slots };
};

/** @throws CheckpointError where the file's own configuration has no counterpart here; OptionError where an override is wrong. */
export const adamaxFrom = (config: Config, overrides: AdamaxOptions): Adamax => {
  try {
    return Adamax.fromConfig(withoutTuples(config as JsonValue) as Config, overrides);
  } catch (error) {
    new Adamax(overrides).dispose();
    throw error instanceof OptionError ? new CheckpointError(error.message) : error;
  }
};

/** Of a legacy optimizer a TensorFlow checkpoint holds its numbers: what else it was set to must be given.
 *  @throws CheckpointError */
export const assertWhole = (
  config: Config,
  { epsilon, learningRate = config.learning_rate as AdamaxOptions["learningRate"] }: AdamaxOptions,
): void => {
  const lacks = [...(epsilon === undefined ? ["epsilon: 1e-7"] : []), ...(learningRate === undefined ? ["learningRate"] : [])];
  if (lacks.length > 0)
    throw new CheckpointError(
      "Of a legacy optimizer a TensorFlow checkpoint holds neither epsilon nor clipping, and no schedule",
      Object.entries(config)
        .map(([name, value]) => `${name}=${value}`)
        .join(", "),
      `Give the rest: restore({ ${lacks.join(", ")} }), where 1e-7 is Keras' default, and clipnorm or the like if there was any.`,
    );
};

/** Loads all of a state, under our names. */
export const loadState = (optimizer: Optimizer<never>, saved: readonly StoredArray[]): void => {
  const { state, restore } = internalsOf(optimizer);
  const values = new Map(saved.map(({ name, value }) => [name, loadable(name, value)]));
  const rate = values.get("learning_rate");
  restore({
    calls: Number(values.get("iteration")![0]),
    learningRate: rate ? exactRate(state, Number(rate[0])) : null,
    accumulating: null,
    arrays: new Map([...namedEntries(state)].map(([name, entry]) => [entry, values.get(name)!])),
  });
};

const loadable = (name: string, value: Numbers): SavedState[string] => {
  if (
    value instanceof Float32Array ||
    value instanceof Float64Array ||
    value instanceof Int32Array ||
    value instanceof BigInt64Array
  )
    return value;
  throw new CheckpointError(
    `${name} of the optimizer's state must be of numbers that we keep`,
    show(value),
    "The file is damaged, or of another optimizer.",
  );
};

/** An optimizer as a file of this dialect holds it, its variables in the order of `trained`.
 *  @throws CheckpointError for what the dialect cannot say. */
export const optimizerOf = (optimizer: Optimizer<never>, dialect: Dialect, trained: readonly string[]): KerasOptimizer => {
  const { settings, learningRate } = optimizer;
  const { rule } = optimizer.constructor as typeof Optimizer;
  const refuse = (what: string, remedy: string): never => {
    throw new CheckpointError(
      `A file of ${dialect === "keras" ? "Keras 3" : "tf_keras"} cannot hold ${what}`,
      `an ${rule.name} that has it`,
      remedy,
    );
  };
  const { state, classes, life } = internalsOf(optimizer);
  life.assert("save");
  const entries = namedEntries(state);
  const of = (name: string): StoredArray => {
    const entry = entries.get(name)!;
    return { name, shape: entry.variable.shape, dtype: entry.variable.dtype, value: entry.view().slice() };
  };
  if (state.added.length > 0) refuse("state that was added by addVariable", "Save it by itself.");

  const { ema_start: start, groups, loss_scale_factor: scale, ...config } = optimizer.getConfig(dialect);
  if (groups) refuse("groups", "Write it with an optimizer without groups, and make them again from your own code.");
  const spared = state.trained.filter(({ variable }) => classes.isExcluded(variable)).length;
  if (spared > 0)
    console.warn(
      `adamax: no file of Keras holds excludeFromWeightDecay (${spared} of ${trained.length} variables here). Call it again when you go on, before build.`,
    );
  if (start === "firstStep" && dialect === "tf_keras" && optimizer.iterations === 0)
    refuse("emaStart: firstStep", "Make a step first.");
  if ((config.learning_rate as Config)?.class_name === "__function__")
    refuse("a learning rate that is a function", "Set a number before you write.");
  if (dialect === "tf_keras" && settings.gradientAccumulationSteps !== null)
    refuse("gradientAccumulationSteps", "Write a file of Keras 3.");
  const rateIsNumber = typeof config.learning_rate === "number";
  const scalar = (name: string, dtype: string, value: Numbers): StoredArray => ({ name, shape: [], dtype, value });
  const { average, accumulator, slots } = keptBy(optimizer);
  const shared = [...(average ? ["average"] : []), ...(accumulator ? ["accumulator"] : [])];
  const inner = {
    module: "keras.optimizers",
    class_name: rule.name,
    config: dialect === "keras" ? { ...config, loss_scale_factor: scale ?? null } : config,
    registered_name: null,
  };
  const wrapped = {
    module: "tf_keras.src.mixed_precision.loss_scale_optimizer",
    class_name: "LossScaleOptimizerV3",
    config: { inner_optimizer: inner, dynamic: false, initial_scale: scale, dynamic_growth_steps: null },
    registered_name: "LossScaleOptimizerV3",
  };
  return {
    className: rule.name,
    config: dialect === "tf_keras" && typeof scale === "number" ? wrapped : inner,
    state: [
      scalar("iteration", "int64", BigInt64Array.of(BigInt(state.calls))),
      ...(dialect === "keras" && rateIsNumber ? [scalar("learning_rate", "float32", Float32Array.of(learningRate))] : []),
      ...shared.flatMap((kind) => trained.map((name) => of(`${kind}/${name}`))),
      ...trained.flatMap((name) => slots.map((slot) => of(`${slot}/${name}`))),
    ],
  };
};
