/** A model's weights with its optimizer, as a Keras file holds them: read, trained on, written back. */

import { Adamax, type AdamaxOptions } from "../../adamax.js";
import { CheckpointError, OptionError, show } from "../../errors.js";
import { checkKinds, isPlain, type Kind, type Kinds, listOf, optional } from "../../kinds.js";
import type { Config, Dialect } from "../../optimizer/configuration.js";
import { internalsOf, Optimizer } from "../../optimizer/optimizer.js";
import { exactRate, namedEntries, type SavedState } from "../../optimizer/state.js";
import { Variable } from "../../variable.js";
import type { JsonValue } from "../format/json.js";
import { refuseTwice } from "../format/names.js";
import { groupsByName, variablesMeant, withoutSelections } from "../selections.js";
import { isFloating, type Numbers, type StoredArray } from "./arrays.js";
import { withoutTuples } from "./json.js";
import { isNeverTrained, type KerasVariable, type Layer } from "./layers.js";
import { type Kept, type NamedState, nameState } from "./state.js";

/** Formats that are read and written. */
export type KerasFormat = "keras" | "weights.h5" | "h5" | "tfjs";
/** Formats that are read, and not written. */
export type KerasReadFormat = KerasFormat | "weights.json" | "tensorflow" | "saved-model";

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

/** What a format's reader finds. */
export interface KerasContents {
  readonly format: KerasReadFormat;
  readonly dialect: Dialect;
  /** Layers in the order of the model; several queues where only parts of the order are known. */
  readonly queues: readonly (readonly Layer[])[];
  readonly optimizer: KerasOptimizer | null;
  /** The bytes of a file of `format` (of several, by name, which begin with `stem`) with these contents; all else is as in the file that was read. */
  readonly write: (
    contents: KerasModel,
    format: KerasReadFormat,
    stem?: string,
  ) => Promise<Uint8Array | ReadonlyMap<string, Uint8Array>>;
}

/** What `restore` gives. */
export interface Restored {
  /** Built for the variables that it trained, with its state. */
  readonly optimizer: Optimizer<never>;
  /** All weights of floating point, in the order of the model; `optimizer.trainableVariables` are among them. */
  readonly variables: Variable[];
}

/** Finding out which array of state is whose takes time that grows with them. The largest models of Keras have about 3000. */
const MOST_WEIGHTS = 10_000;
/** @throws CheckpointError for more weights than a model has. */
export const assertFew = (weights: number): void => {
  if (weights > MOST_WEIGHTS)
    throw new CheckpointError(
      `A model of more than ${MOST_WEIGHTS} weights is not read`,
      `${weights}`,
      "The file is damaged, or not a model.",
    );
};
const weightsOf = ({ queues }: KerasContents): KerasVariable[] =>
  queues.flatMap((queue) => queue.flatMap(({ variables }) => variables));

const ADAMAX: Kept = { average: null, accumulator: null, slots: Adamax.rule.slots };

/** What a file holds: the weights, and the optimizer if there is one. */
const CHANGES: Kinds<{ variables?: Iterable<{ name: string; value: Numbers }>; optimizer?: Optimizer<never> }> = {
  variables: optional(listOf("{ name, value }") as Kind<Iterable<never>>, []),
  optimizer: optional(
    { wanted: "an optimizer of this library", holds: (value) => value instanceof Optimizer } as Kind<Optimizer<never>>,
    undefined!,
  ),
};

/** What a file holds: the weights, and the optimizer if there is one. */
export class KerasModel {
  readonly format: KerasReadFormat;
  /** Who wrote it: tf_keras, or Keras 3. */
  readonly dialect: Dialect;
  /** The weights, in the order of the model where the file says it. Copies: changing them changes no file. */
  readonly variables: readonly KerasVariable[];
  readonly optimizer: KerasOptimizer | null;
  readonly #contents: KerasContents;
  /** null: the file's list of arrays could not be named. */
  readonly #named: NamedState | null;

  /** @internal */
  constructor(contents: KerasContents) {
    assertFew(weightsOf(contents).length);
    this.#contents = contents;
    this.format = contents.format;
    this.dialect = contents.dialect;
    const { optimizer } = contents;
    this.#named =
      optimizer && hasSlots(optimizer) && (optimizer.className ?? "Adamax").toLowerCase() === "adamax"
        ? tryToName(contents, optimizer)
        : null;
    const trained = this.#named && new Set(this.#named.trained);
    const all = weightsOf(contents);
    this.variables = all.map((one) => ({
      ...one,
      trainable: trained ? trained.has(one) : isNeverTrained(one) ? false : one.trainable,
    }));
    this.optimizer = optimizer && this.#named ? { ...optimizer, state: this.#named.state } : optimizer;
  }

  /** An optimizer with its variables, ready to go on. `given` are options that win over the file's configuration, or an optimizer
   *  without variables that takes the file's state: needed for a .weights.h5 file, which has no configuration.
   *  @throws CheckpointError for state that does not fit, and for what cannot be carried over; OptionError for options given here. */
  restore(given: Optimizer<never> | AdamaxOptions = {}): Restored {
    if (!isPlain(given))
      throw new OptionError("restore takes an optimizer, or options", show(given), "Leave it out to use the file's own.");
    if (given instanceof Optimizer && given.trainableVariables.length > 0)
      throw new OptionError(
        "restore takes an optimizer without variables, since it makes them",
        `one that trains ${given.trainableVariables.length}`,
        "Make a new one.",
      );
    const saved = this.#contents.optimizer;
    const { rule } = given instanceof Optimizer ? (given.constructor as typeof Optimizer) : Adamax;
    if (saved?.className && saved.className.toLowerCase() !== rule.name.toLowerCase())
      throw new CheckpointError(
        "The state is that of another optimizer",
        `${saved.className}, for ${rule.name}`,
        "Give an optimizer of that class, or read the variables only.",
      );
    const variables = new Map(
      this.variables.flatMap(({ name, shape, value }) =>
        isFloating(value) ? [[name, new Variable(value.slice(), { name, shape })] as const] : [],
      ),
    );
    const optimizer = given instanceof Optimizer ? given : this.#optimizerFrom(given, variables);
    if (!saved || !hasSlots(saved)) {
      optimizer.build(this.variables.filter(({ trainable }) => trainable !== false).map(({ name }) => variables.get(name)!));
      return { optimizer, variables: [...variables.values()] };
    }
    const { trained, state } = nameState(saved.state, this.#contents.queues, keptBy(optimizer));
    const odd = trained.find(({ name }) => !variables.has(name));
    if (odd)
      throw new CheckpointError(
        "Only variables of floating point are trained",
        `${odd.name} of ${odd.dtype}`,
        "The file is damaged; write it again.",
      );
    optimizer.build(trained.map(({ name }) => variables.get(name)!));
    const keepsRate = !(given instanceof Optimizer) && given.learningRate !== undefined;
    load(optimizer, keepsRate ? state.filter(({ name }) => name !== "learning_rate") : state);
    return { optimizer, variables: [...variables.values()] };
  }

  #optimizerFrom(overrides: AdamaxOptions, variables: ReadonlyMap<string, Variable>): Adamax {
    const config = this.optimizer?.config;
    if (config && this.format === "tensorflow") assertWhole(innerConfig(config), overrides);
    if (config) {
      const { groups = null, exclude_from_weight_decay: excluded = null } = innerConfig(config);
      const own = groups === null || overrides.groups ? {} : { groups: groupsByName(groups, variables) };
      const spared = excluded === null ? [] : variablesMeant(excluded, variables, EXCLUDE_YOURSELF);
      const optimizer = fromConfig(withoutSelections(config), { ...overrides, ...own });
      optimizer.excludeFromWeightDecay({ variables: spared });
      return optimizer;
    }
    throw new CheckpointError(
      this.optimizer ? "The file has the optimizer's state, but not its configuration" : "The file has no optimizer",
      `a ${this.format} file`,
      "Give the optimizer, made as it was: restore(new Adamax({ ... })).",
    );
  }

  /** The same model with these values and this optimizer, to be written. Variables are matched by name; those not given stay.
   *  @throws CheckpointError for variables that the model does not have, and for what Keras' files cannot hold. */
  with(given: { variables?: Iterable<{ name: string; value: Numbers }>; optimizer?: Optimizer<never> }): KerasModel {
    const { variables, optimizer } = checkKinds("with", given, CHANGES);
    const named = [...variables];
    const names = new Set(named.map(({ name }) => name));
    // Of those that ranks hold parts of, the whole may be given.
    const trainable = (optimizer?.trainableVariables ?? []).filter((one) => isWhole(one) || !names.has(one.name));
    trainable.forEach(assertWholeHere);
    const lists = [named, trainable];
    for (const list of lists) refuseTwice(list.map(({ name }) => name));
    const values = new Map(lists.flat().map(({ name, value }) => [name, value]));
    const known = new Map(this.variables.map((one) => [one.name, one]));
    const wrong = [...values].flatMap(([name, value]) => {
      const one = known.get(name);
      if (!one) return [`${name} is not in it`];
      return one.value.length === value.length
        ? []
        : [`${name} has ${one.value.length} elements there, and ${value.length} here`];
    });
    if (wrong.length > 0)
      throw new CheckpointError(
        "The variables are not those of the model",
        wrong.slice(0, 8).join("; "),
        `It has ${[...known.keys()].slice(0, 12).join(", ")}.`,
      );
    const trained = optimizer && new Set(optimizer.trainableVariables.map(({ name }) => name));
    const queues = this.#contents.queues.map((queue) =>
      queue.map((layer) => ({
        variables: layer.variables.map((one) => ({
          ...one,
          ...(values.has(one.name) ? { value: asTypeOf(one.value, values.get(one.name)!), dtype: one.dtype } : {}),
          ...(trained ? { trainable: trained.has(one.name) } : {}),
        })),
      })),
    );
    const changed = optimizer ? optimizerOf(optimizer, this.dialect, this.#orderFor(optimizer)) : this.optimizer;
    return new KerasModel({ ...this.#contents, queues, optimizer: changed });
  }

  /** The optimizer's variables in the order of the model, as far as that is known: as they were saved; as the layers stand; as it was built. */
  #orderFor(optimizer: Optimizer<never>): string[] {
    const built = optimizer.trainableVariables.map(({ name }) => name);
    const saved = this.#named?.trained.map(({ name }) => name) ?? [];
    const isSaved = saved.length === built.length && built.every((name) => saved.includes(name));
    const { queues } = this.#contents;
    return isSaved
      ? saved
      : queues.length === 1
        ? this.variables.map(({ name }) => name).filter((name) => built.includes(name))
        : built;
  }

  /** @internal `stem`: for a format of several files, which then have names of their own: x.json and x.weights.bin. */
  bytes(format: KerasReadFormat = this.format, stem?: string): Promise<Uint8Array | ReadonlyMap<string, Uint8Array>> {
    return this.#contents.write(this, format, stem);
  }
}

/** @throws CheckpointError where the file's own configuration has no counterpart here; OptionError where an override is wrong. */
const fromConfig = (config: Config, overrides: AdamaxOptions): Adamax => {
  try {
    return Adamax.fromConfig(withoutTuples(config as JsonValue) as Config, overrides);
  } catch (error) {
    new Adamax(overrides).dispose();
    throw error instanceof OptionError ? new CheckpointError(error.message) : error;
  }
};

const isWhole = (variable: Variable): boolean => variable.value.length === variable.length;

/** @throws CheckpointError for a variable of which ranks hold parts. */
export const assertWholeHere = (variable: Variable): void => {
  if (!isWhole(variable))
    throw new CheckpointError(
      "A file of Keras holds whole variables",
      `${variable}, of which this rank has ${variable.value.length} elements`,
      "Give a whole one in its place, made on every rank: new Variable(await variable.read(), { name, shape }).",
    );
};

const EXCLUDE_YOURSELF =
  "Make the optimizer yourself, call its excludeFromWeightDecay({ names }), and pass it: restore(optimizer).";

/** Of a legacy optimizer a TensorFlow checkpoint holds its numbers: what else it was set to must be given.
 *  @throws CheckpointError */
const assertWhole = (
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

const hasSlots = ({ state }: KerasOptimizer): boolean => state.length > 2;

/** Reading shows what there is; only `restore` must know what it means. */
const tryToName = ({ queues }: KerasContents, { state, config }: KerasOptimizer): NamedState | null => {
  try {
    return nameState(state, queues, config ? keptOf(config) : ADAMAX);
  } catch {
    return null;
  }
};

const keptOf = (config: Config): Kept => {
  const inner = innerConfig(config);
  const steps = inner.gradient_accumulation_steps ?? null;
  return { ...ADAMAX, average: inner.use_ema === true, accumulator: steps !== null };
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
const keptBy = (optimizer: Optimizer<never>): Kept => {
  const { arrays } = internalsOf(optimizer).state;
  const has = (kind: string) => arrays.some(({ role }) => role === kind);
  const slots = arrays.filter(({ role }) => role === "slot").map(({ name }) => name);
  return { average: has("average"), accumulator: has("accumulator"), slots };
};

/** All of a state, under our names. */
const load = (optimizer: Optimizer<never>, saved: readonly StoredArray[]): void => {
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

/** Of the type that the file has, without loss where there is one to prevent. */
const asTypeOf = (old: Numbers, value: Numbers): Numbers => {
  if (old.constructor === value.constructor) return value.slice();
  if (isFloating(old) && isFloating(value))
    return old instanceof Float32Array ? Float32Array.from(value) : Float64Array.from(value);
  throw new CheckpointError("The values of a variable must stay of their kind", show(value), `It holds ${old.constructor.name}.`);
};

/** An optimizer as a file of this dialect holds it, its variables in the order of `trained`.
 *  @throws CheckpointError for what the dialect cannot say. */
const optimizerOf = (optimizer: Optimizer<never>, dialect: Dialect, trained: readonly string[]): KerasOptimizer => {
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
