/** An optimizer and its variables as ordered, named tensors, and everything else about them as JSON. */

import type { Values } from "../backends/backend.js";
import { CheckpointError, show } from "../errors.js";
import type { Kind } from "../kinds.js";
import type { Config } from "../optimizer/configuration.js";
import { nameOf, variableOf } from "../optimizer/gradients.js";
import type { Optimizer } from "../optimizer/optimizer.js";
import type { OptimizerState, Trained } from "../optimizer/state.js";
import { Variable } from "../variable.js";
import { type JsonValue, parsePlainJson, stringifyJson } from "./format/json.js";
import type { Header, TensorShape } from "./format/safetensors.js";
import type { Tensor } from "./format/tensors.js";
import type { Source } from "./storage/source.js";

/** Any optimizer, whatever the numbers of its rule. */
export type AnyOptimizer = Optimizer<never>;

/** A number for each name, for choosing among checkpoints: { valLoss: 0.12 }. */
export type Metrics = Readonly<Record<string, number>>;

/** What there is to save. */
export interface Content {
  optimizer: AnyOptimizer;
  /** More than the optimizer trains: statistics of normalisation, frozen layers. Those it trains are saved anyway. Before the
   *  optimizer is built: all of them. */
  variables?: Iterable<Variable | Values>;
  /** What variables are called in the file, where that is not their own name. */
  names?: ReadonlyMap<Variable | Values, string>;
  /** JSON of your own, given back by `loadCheckpoint`: epoch, random state, file names ... */
  user?: unknown;
  /** What a CheckpointManager chooses the best by. NaN and infinities are kept; NaN is never best. */
  metrics?: Metrics;
}

/** How a variable is trained, besides what the configuration says. */
export interface SavedVariable {
  readonly name: string;
  /** Whether the optimizer trains it: then it has state. */
  readonly trained: boolean;
  /** Whether it has a constraint, which must be there again when training goes on. */
  readonly constraint: boolean;
  /** Whether a micro-batch has been accumulated for it since the last update. */
  readonly accumulating: boolean;
  readonly learningRateMultiplier: number;
  readonly weightDecay: number;
}

export interface SavedOptimizer {
  readonly className: string;
  /** As `getConfig` gives it. */
  readonly config: Config;
  /** Calls of applyGradients. */
  readonly calls: number;
  /** Updates made: fewer than calls when micro-batches are accumulated. */
  readonly iterations: number;
  /** What is excluded from weight decay: regular expressions found in names. */
  readonly excluded: readonly { readonly source: string; readonly flags: string }[];
}

/** Everything that is not in the tensors. */
export interface Description {
  readonly optimizer: SavedOptimizer;
  readonly variables: readonly SavedVariable[];
  readonly user: JsonValue;
  readonly metrics: Metrics;
}

const FORMAT = "adamax-checkpoint";
const VERSION = "1";

/** Of a tensor's name, that of the variable it belongs to. */
export const variableName = (tensor: string): string => tensor.replace(/^(variables|optimizer\/[^/]+)\//, "");

/** A name for each, in this order: those that are not the first of their name get their number, `w#2`. */
export const numbered = (names: readonly string[]): string[] => {
  const counts = new Map<string, number>();
  return names.map((name) => {
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    return count === 1 ? name : `${name}#${count}`;
  });
};

/** The option `names`. */
export const nameMap: Kind<ReadonlyMap<Variable | Values, string>> = {
  wanted: "a Map from variables to names",
  holds: (value) => value instanceof Map && [...value.values()].every((name) => typeof name === "string"),
};

/** A variable of a model, under its name in the file. */
export interface NamedVariable {
  readonly name: string;
  readonly variable: Variable;
  /** What was passed: a plain array stands for the variable that it is the value of. */
  readonly given: Variable | Values;
  /** Whether the optimizer has state for it. */
  readonly trained: boolean;
}

/** What the optimizer trains, in build order, and then what else is in `variables`. */
export const modelOf = (
  { trained }: OptimizerState,
  variables: Iterable<Variable | Values>,
  names: ReadonlyMap<Variable | Values, string> = new Map(),
): NamedVariable[] => {
  const known = new Set(trained.flatMap(ownersOf));
  const others = [...new Set(variables)].filter((one) => !known.has(one));
  const all = [
    ...trained.map(({ variable }) => ({ variable, given: variable, trained: true })),
    ...others.map((given, i) => ({ variable: variableOf(given, `variable_${trained.length + i}`), given, trained: false })),
  ];
  const inFile = numbered(all.map(({ variable, given }) => names.get(given) ?? names.get(variable.value) ?? variable.name));
  return all.map((one, i) => ({ ...one, name: inFile[i]! }));
};

/** What a user may call this variable: itself, or the array that is its value. */
const ownersOf = ({ variable }: Trained): (Variable | Values)[] => [variable, variable.value];

const typeOf = ({ dtype }: Variable): "F32" | "F64" => (dtype === "float32" ? "F32" : "F64");

/** A tensor of the state: whose it is, and where its elements are. */
export interface StateTensor extends Tensor {
  /** "w", the name of a state array, or "added" for one of `addVariable`. */
  readonly array: string;
  /** The variable that it belongs to, by its name in the file. */
  readonly of: string;
}

/** Every tensor of this model and its optimizer: variables, then averages and accumulators, then every slot of the first variable, of
 *  the second ... Their elements can be asked for once the optimizer is built. */
export const tensorsOf = ({ trained, arrays, added }: OptimizerState, model: readonly NamedVariable[]): StateTensor[] => {
  let rows: Map<Variable | Values, Trained> | undefined;
  const rowOf = (given: Variable | Values) => {
    rows ??= new Map(trained.flatMap((one) => ownersOf(one).map((owner) => [owner, one] as const)));
    return rows.get(given)!.row;
  };
  const tensor = (array: string, of: string, variable: Variable, values: () => Values): StateTensor => ({
    name: array === "w" ? `variables/${of}` : `optimizer/${array}/${of}`,
    dtype: typeOf(variable),
    shape: variable.shape,
    values,
    array,
    of,
  });
  const ofEach = (chosen: readonly string[]) =>
    model
      .filter((one) => one.trained)
      .flatMap(({ name, variable, given }) =>
        chosen.map((array) => tensor(array, name, variable, () => rowOf(given).array(array))),
      );
  const shared = arrays.filter((array) => ["average", "accumulator"].includes(array));
  const addedNames = numbered(added.map(({ name }) => name));
  return [
    ...model.map(({ name, variable }) => tensor("w", name, variable, () => variable.value)),
    ...shared.flatMap((array) => ofEach([array])),
    ...ofEach(arrays.filter((array) => !shared.includes(array))),
    ...added.map((variable, i) => tensor("added", addedNames[i]!, variable, () => variable.value)),
  ];
};

export const ruleName = (optimizer: AnyOptimizer): string => (optimizer.constructor as typeof Optimizer).rule.name;

/** The tensors and the metadata of a checkpoint.
 *  @throws OptionError for `user` or `metrics` that are not JSON; BackendError after a step that broke off. */
export const describe = ({
  optimizer,
  variables = [],
  names,
  user = null,
  metrics = {},
}: Content): { tensors: StateTensor[]; metadata: Record<string, string> } => {
  const { state, classes } = optimizer.live("save");
  const model = modelOf(state, variables, names);
  const accumulating = new Set(state.trained.filter(({ accumulated }) => accumulated).map(({ variable }) => variable));
  const saved: SavedOptimizer = {
    className: ruleName(optimizer),
    config: optimizer.getConfig(),
    calls: state.calls,
    iterations: optimizer.iterations,
    excluded: classes.excluded
      .flatMap(({ names, variables }) => [
        ...(names ?? []).map((pattern) => new RegExp(pattern)),
        ...(variables ?? []).map((one) => new RegExp(`^${escapePattern(savedNameOf(one, model))}$`)),
      ])
      .map(({ source, flags }) => ({ source, flags })),
  };
  const list = model.map(({ name, variable, trained }): SavedVariable => {
    const { learningRateMultiplier, weightDecay } = classes.settingsOf(variable);
    return {
      name,
      trained,
      constraint: variable.isConstrained,
      accumulating: accumulating.has(variable),
      learningRateMultiplier,
      weightDecay,
    };
  });
  return {
    tensors: tensorsOf(state, model),
    metadata: {
      format: FORMAT,
      version: VERSION,
      optimizer: stringifyJson(saved, "The optimizer's configuration"),
      variables: JSON.stringify(list),
      user: stringifyJson(user, "user"),
      metrics: stringifyJson(metricsToJson(metrics), "metrics"),
    },
  };
};

/** JSON has neither NaN nor infinities. -0 becomes 0, which compares with every number as it does. */
const metricsToJson = (metrics: Metrics): Record<string, number | string | null> =>
  Object.fromEntries(
    Object.entries(metrics).map(([name, value]) => {
      if (Number.isNaN(value)) return [name, null];
      return [name, Number.isFinite(value) ? value + 0 : `${value}`];
    }),
  );
const isMetric = (value: JsonValue): value is number | string | null =>
  value === null || typeof value === "number" || value === "Infinity" || value === "-Infinity";

const escapePattern = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");

const savedNameOf = (one: Variable | Values, model: readonly NamedVariable[]): string =>
  model.find(({ variable }) => variable === one || variable.value === one)?.name ??
  (one instanceof Variable ? one.name : nameOf(one));

/** The metadata of a checkpoint, checked.
 *  @throws CheckpointError for another file, a newer version, or metadata that was tampered with. */
export const readDescription = ({ metadata }: Header, { name }: Source): Description => {
  const refuse = (received: string, remedy = "It is damaged, or another program wrote it."): never => {
    throw new CheckpointError(`${name} is not a checkpoint of this library`, received, remedy);
  };
  if (metadata.get("format") !== FORMAT)
    refuse(`format=${show(metadata.get("format"))}`, "saveCheckpoint writes the format that this reads.");
  if (metadata.get("version") !== VERSION)
    refuse(`version=${show(metadata.get("version"))}`, "A newer version of this library may read it.");
  const part = <Value extends JsonValue>(key: string, holds: (value: JsonValue) => boolean): Value => {
    const value = parsePlainJson(metadata.get(key) ?? "", `${key} in the metadata of ${name}`);
    return holds(value) ? (value as Value) : refuse(`${key}=${JSON.stringify(value).slice(0, 200)}`);
  };
  return {
    optimizer: part("optimizer", isSavedOptimizer) as unknown as SavedOptimizer,
    variables: part("variables", (value) => Array.isArray(value) && value.every(isSavedVariable)) as unknown as SavedVariable[],
    user: part("user", () => true),
    metrics: metricsFrom(part("metrics", (value) => isObject(value) && Object.values(value).every(isMetric))),
  };
};

const metricsFrom = (metrics: Readonly<Record<string, number | string | null>>): Metrics =>
  Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name, Number(value ?? NaN)]));

const isObject = (value: JsonValue): value is { readonly [key: string]: JsonValue } =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isCount = (value: JsonValue | undefined): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
const isFlag = (value: JsonValue | undefined): boolean => typeof value === "boolean";
const isAmount = (value: JsonValue | undefined): boolean => typeof value === "number" && value >= 0;
const isPattern = (value: JsonValue): boolean => {
  try {
    return (
      isObject(value) &&
      typeof value.source === "string" &&
      typeof value.flags === "string" &&
      Boolean(new RegExp(value.source, value.flags))
    );
  } catch {
    return false;
  }
};
const isSavedOptimizer = (value: JsonValue): boolean =>
  isObject(value) &&
  typeof value.className === "string" &&
  isObject(value.config ?? null) &&
  isCount(value.calls) &&
  isCount(value.iterations) &&
  Array.isArray(value.excluded) &&
  value.excluded.every(isPattern);
const isSavedVariable = (value: JsonValue): boolean =>
  isObject(value) &&
  typeof value.name === "string" &&
  isFlag(value.trained) &&
  isFlag(value.constraint) &&
  isFlag(value.accumulating) &&
  isAmount(value.learningRateMultiplier) &&
  isAmount(value.weightDecay);

/** Shapes as they stand in errors. */
export const showShape = ({ dtype, shape }: Pick<TensorShape, "dtype" | "shape">): string => `${dtype} [${shape}]`;
