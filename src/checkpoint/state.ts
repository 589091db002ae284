/** An optimizer and its variables as ordered, named tensors, and everything else about them as JSON. */

import type { Values } from "../backend.js";
import { CheckpointError, refuseResized, show } from "../errors.js";
import type { Kind } from "../kinds.js";
import type { Lifecycle } from "../lifecycle.js";
import { type Config, toConfig } from "../optimizer/configuration.js";
import { variableOf } from "../optimizer/gradients.js";
import { reader } from "../optimizer/holding.js";
import { internalsOf, type Optimizer } from "../optimizer/optimizer.js";
import { entriesOf, type OptimizerState, type StateEntry, type Trained, valuesOf } from "../optimizer/state.js";
import type { Variable } from "../variable.js";
import { type JsonValue, parsePlainJson, stringifyJson } from "./format/json.js";
import { numbered } from "./format/names.js";
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

/** The optimizer of a checkpoint. */
export interface SavedOptimizer {
  readonly className: string;
  /** As `getConfig` gives it, without groups: each variable says what holds for it. */
  readonly config: Config;
  /** Calls of applyGradients. */
  readonly calls: number;
  /** Updates made: fewer than calls when micro-batches are accumulated. */
  readonly iterations: number;
  /** The variables that are excluded from weight decay. */
  readonly excluded: readonly string[];
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
  { trained }: Pick<OptimizerState, "trained">,
  variables: Iterable<Variable | Values>,
  names: ReadonlyMap<Variable | Values, string> = new Map(),
): NamedVariable[] => {
  const known = new Set(trained.flatMap(ownersOf));
  const others = [...new Set(variables)].filter((one) => !known.has(one));
  const all = [
    ...trained.map(({ variable }) => ({ variable, given: variable, trained: true })),
    ...others.map((given, i) => ({ variable: variableOf(given, `variable_${trained.length + i}`), given, trained: false })),
  ];
  for (const { variable } of all) assertUnresized(variable);
  const inFile = numbered(all.map(({ variable, given }) => names.get(given) ?? nameOfValue(variable, names) ?? variable.name));
  return all.map((one, i) => ({ ...one, name: inFile[i]! }));
};

/** @throws ShapeError for an array that would be read, or written, in part. */
const assertUnresized = (variable: Variable): void => {
  const isPlain = variable.isShared && !variable.layout; // tensors are found anew by who reads them
  const here = isPlain ? variable.visible?.length : undefined;
  if (here !== undefined && here !== variable.length) refuseResized(variable, here);
};

const nameOfValue = ({ visible }: Variable, names: ReadonlyMap<Variable | Values, string>): string | undefined =>
  visible && names.get(visible);

/** What a user may call this variable: itself, or the array that is its value. */
const ownersOf = ({ variable }: Trained): (Variable | Values)[] => (variable.visible ? [variable, variable.visible] : [variable]);

/** Other optimizers train some of these variables: what they do with them now counts as well. */
export const otherLives = (model: readonly NamedVariable[], life: Lifecycle): Lifecycle[] => [
  ...new Set(model.flatMap(({ variable }) => (variable.life && variable.life !== life ? variable.life : []))),
];

const typeOf = ({ dtype }: Variable): "F32" | "F64" => (dtype === "float32" ? "F32" : "F64");

/** An array of the model or the optimizer, as a tensor of the file. */
export interface StateTensor extends Tensor {
  readonly entry: StateEntry;
  /** The variable that it belongs to, by its name in the file. */
  readonly of: string;
}

/** The model once its optimizer has been built: for an array, it has made a variable of its own. */
export const builtModel = ({ trained }: OptimizerState, model: readonly NamedVariable[]): NamedVariable[] => {
  const variables = new Map(trained.flatMap((one) => ownersOf(one).map((owner) => [owner, one.variable] as const)));
  return model.map((one) => ({ ...one, variable: variables.get(one.given) ?? one.variable }));
};

/** Every tensor of this model and its optimizer: variables, then what the optimizer keeps for them, in its order. Before it is built, their
 *  shapes are known, and not their elements. */
export const tensorsOf = (state: OptimizerState, model: readonly NamedVariable[]): StateTensor[] => {
  const names = new Map<Variable, string>(model.map(({ name, variable }) => [variable, name]));
  numbered(state.added.map(({ name }) => name)).forEach((name, i) => {
    names.set(state.added[i]!, name);
  });
  const known = new Map(state.trained.map((one) => [one.variable, one]));
  const trained = model.filter((one) => one.trained).map(({ variable }) => known.get(variable) ?? { variable });
  return [...valuesOf(model.map(({ variable }) => variable)), ...entriesOf(state, trained)].map((entry) => {
    const of = names.get(entry.variable)!;
    return {
      name: entry.role === "value" ? `variables/${of}` : `optimizer/${entry.name}/${of}`,
      dtype: typeOf(entry.variable),
      shape: entry.variable.shape,
      read: (begin, into) => entry.read(begin, into),
      entry,
      of,
    };
  });
};

export const ruleName = (optimizer: AnyOptimizer): string => (optimizer.constructor as typeof Optimizer).rule.name;

/** Options of the whole optimizer; `learningRate` may be another than it was made with. */
export const configOf = ({ settings, hyperparameters }: AnyOptimizer, { learningRate }: OptimizerState): Config =>
  toConfig({ ...settings, learningRate, groups: [] }, hyperparameters, "tf_keras");

/** The tensors and the metadata of a checkpoint.
 *  @throws OptionError for `user` or `metrics` that are not JSON; BackendError after a step that broke off. */
export const describe = ({
  optimizer,
  variables = [],
  names,
  user = null,
  metrics = {},
}: Content): { tensors: StateTensor[]; metadata: Record<string, string>; assertUnchanged: () => void } => {
  const { state, classes, life } = internalsOf(optimizer);
  const model = modelOf(state, variables, names);
  const assertUnchanged = reader([life, ...otherLives(model, life)]);
  const accumulating = new Set(state.trained.filter(({ accumulated }) => accumulated).map(({ variable }) => variable));
  const saved: SavedOptimizer = {
    className: ruleName(optimizer),
    config: configOf(optimizer, state),
    calls: state.calls,
    iterations: optimizer.iterations,
    excluded: model.filter(({ variable }) => classes.isExcluded(variable)).map(({ name }) => name),
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
    assertUnchanged,
    tensors: tensorsOf(state, model),
    metadata: {
      format: FORMAT,
      version: VERSION,
      optimizer: stringifyJson(saved, "The optimizer's configuration", true),
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

/** A file that has been read once, and is as it was written. */
export interface WholeCheckpoint {
  readonly source: Source;
  readonly header: Header;
  readonly description: Description;
}

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
  const optimizer = part("optimizer", isSavedOptimizer) as unknown as SavedOptimizer;
  const variables = part(
    "variables",
    (value) => Array.isArray(value) && value.every(isSavedVariable),
  ) as unknown as SavedVariable[];
  return {
    optimizer: { ...optimizer, excluded: excludedIn(optimizer, variables) },
    variables,
    user: part("user", () => true),
    metrics: metricsFrom(part("metrics", (value) => isObject(value) && Object.values(value).every(isMetric))),
  };
};

/** The names of what is excluded from weight decay. Older files have patterns, which are not run (see selections.ts): the numbers of each variable
 *  then say what was meant. */
const excludedIn = (
  { excluded, config }: Pick<SavedOptimizer, "config"> & { readonly excluded: readonly unknown[] },
  variables: readonly SavedVariable[],
): string[] => {
  if (excluded.every((one) => typeof one === "string")) return [...excluded];
  const decays = Number(config.weight_decay ?? 0) > 0;
  return variables.filter(({ weightDecay }) => decays && weightDecay === 0).map(({ name }) => name);
};

const metricsFrom = (metrics: Readonly<Record<string, number | string | null>>): Metrics =>
  Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name, Number(value ?? NaN)]));

const isObject = (value: JsonValue): value is { readonly [key: string]: JsonValue } =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isCount = (value: JsonValue | undefined): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
const isFlag = (value: JsonValue | undefined): boolean => typeof value === "boolean";
const isAmount = (value: JsonValue | undefined): boolean => typeof value === "number" && value >= 0;
const isPattern = (value: JsonValue): boolean =>
  isObject(value) && typeof value.source === "string" && typeof value.flags === "string";
const isSavedOptimizer = (value: JsonValue): boolean =>
  isObject(value) &&
  typeof value.className === "string" &&
  isObject(value.config ?? null) &&
  isCount(value.calls) &&
  isCount(value.iterations) &&
  Array.isArray(value.excluded) &&
  value.excluded.every((one) => typeof one === "string" || isPattern(one));
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
