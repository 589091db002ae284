/** A model's weights with its optimizer, as a Keras file holds them: read, trained on, written back. */

import { Adamax, type AdamaxOptions } from "../../adamax.js";
import { CheckpointError, OptionError, show } from "../../errors.js";
import { checkKinds, isPlain, type Kind, type Kinds, listOf, optional } from "../../kinds.js";
import type { Config, Dialect } from "../../optimizer/configuration.js";
import { Optimizer } from "../../optimizer/optimizer.js";
import { optionsFrom } from "../../spelling.js";
import { Variable } from "../../variable.js";
import { refuseTwice } from "../format/names.js";
import { groupsByName, variablesMeant, withoutSelections } from "../selections.js";
import { isFloating, type Numbers } from "./arrays.js";
import { isNeverTrained, type KerasVariable, type Layer } from "./layers.js";
import {
  adamaxFrom,
  assertWhole,
  hasSlots,
  innerConfig,
  type KerasOptimizer,
  keptBy,
  keptOf,
  loadState,
  optimizerOf,
} from "./optimizer.js";
import { type NamedState, nameState } from "./state.js";

/** Formats that are read and written. */
export type KerasFormat = "keras" | "weights.h5" | "h5" | "tfjs";
/** Formats that are read, and not written. */
export type KerasReadFormat = KerasFormat | "weights.json" | "tensorflow" | "saved-model";

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

/** What `with` is given. */
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
    const overrides = given instanceof Optimizer ? {} : optionsFrom(given as Config); // for what is undefined, the file's
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
    const optimizer = given instanceof Optimizer ? given : this.#optimizerFrom(overrides, variables);
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
    const keepsRate = overrides.learningRate !== undefined;
    loadState(optimizer, keepsRate ? state.filter(({ name }) => name !== "learning_rate") : state);
    return { optimizer, variables: [...variables.values()] };
  }

  #optimizerFrom(overrides: AdamaxOptions, variables: ReadonlyMap<string, Variable>): Adamax {
    const config = this.optimizer?.config;
    if (config && this.format === "tensorflow") assertWhole(innerConfig(config), overrides);
    if (config) {
      const { groups = null, exclude_from_weight_decay: excluded = null } = innerConfig(config);
      const own = groups === null || overrides.groups ? {} : { groups: groupsByName(groups, variables) };
      const spared = excluded === null ? [] : variablesMeant(excluded, variables, EXCLUDE_YOURSELF);
      const optimizer = adamaxFrom(withoutSelections(config), { ...overrides, ...own });
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
    assertReadable(named);
    const names = new Set(named.map(({ name }) => name));
    // Of those that ranks hold parts of, the whole may be given.
    const trainable = (optimizer?.trainableVariables ?? []).filter((one) => isWhole(one) || !names.has(one.name));
    trainable.forEach(assertWholeHere);
    const lists = [named, trainable];
    for (const list of lists) refuseTwice(list.map(({ name }) => name));
    refuseOtherValues(named, trainable);
    const values = new Map(lists.flat().map(({ name, value }) => [name, value]));
    const known = new Map(this.variables.map((one) => [one.name, one]));
    const wrong = lists.flat().flatMap((given: { readonly name: string; readonly value: Numbers; readonly shape?: unknown }) => {
      const { name, value } = given;
      const one = known.get(name);
      if (!one) return [`${name} is not in it`];
      const { shape } = given instanceof Variable ? given : one; // what is no variable may have none
      if (`${shape}` !== `${one.shape}`) return [`${name} has the shape [${one.shape}] there, and [${shape}] here`];
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

  /** As of Variable. */
  get [Symbol.toStringTag](): string {
    return "KerasModel";
  }
}

const isWhole = (variable: Variable): boolean => variable.value.length === variable.length;

/** @throws CheckpointError where values are given of a variable for which the optimizer has others: one of them would be passed over. */
const refuseOtherValues = (named: readonly { name: string; value: Numbers }[], trainable: readonly Variable[]): void => {
  const trained = new Map(trainable.map(({ name, value }) => [name, value]));
  const other = named.find(({ name, value }) => trained.get(name)?.some((one, i) => !Object.is(one, value[i])));
  if (other)
    throw new CheckpointError(
      "The optimizer has other values of a variable that is given",
      show(other.name),
      "Write them into the optimizer's, or leave them out.",
    );
};

/** @throws what says why the values of these variables are not theirs now: their averages, or neither old nor new. */
export const assertReadable = (variables: readonly unknown[]): void => {
  for (const one of variables) if (one instanceof Variable) one.life?.assert("save");
};

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

/** Reading shows what there is; only `restore` must know what it means. */
const tryToName = ({ queues }: KerasContents, { state, config }: KerasOptimizer): NamedState | null => {
  try {
    return nameState(state, queues, keptOf(config));
  } catch {
    return null;
  }
};

/** Of the type that the file has, without loss where there is one to prevent. */
const asTypeOf = (old: Numbers, value: Numbers): Numbers => {
  if (old.constructor === value.constructor) return value.slice();
  if (!(isFloating(old) && isFloating(value)))
    throw new CheckpointError(
      "The values of a variable must stay of their kind",
      show(value),
      `It holds ${old.constructor.name}.`,
    );
  if (old instanceof Float64Array) return Float64Array.from(value);
  const rounded = Float32Array.from(value);
  const beyond = value.find((one, i) => Number.isFinite(one) && !Number.isFinite(rounded[i]));
  if (beyond === undefined) return rounded;
  throw new CheckpointError("The values of a variable must be numbers that float32 holds", `${beyond}`, "Scale them.");
};
