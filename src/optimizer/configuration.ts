/** Configurations as JSON: ours in Keras' snake_case, and what tf_keras and Keras 3 wrote. */

import { OptionError, show } from "../errors.js";
import { anything, check, checkKinds, isObject, type Kind, nonNegative, object, oneOf, optional } from "../kinds.js";
import type { UpdateRule } from "../rule/update-rule.js";
import { deserialize, InverseTimeDecay, serialize } from "../schedules/index.js";
import { LearningRateSchedule } from "../schedules/schedule.js";
import { inSnakeCase, optionsFrom } from "../spelling.js";
import { UNNAMED, Variable } from "../variable.js";
import { type Chosen, CLIPS, type OptimizerOptions, type Settings } from "./options.js";

/** Options under Keras' names (learning_rate), as JSON holds them. */
export type Config = Record<string, unknown>;
/** Whose constructor can read a configuration: each refuses the other's keys. */
export type Dialect = "tf_keras" | "keras";
export const dialects: Kind<Dialect> = optional(oneOf<Dialect>("tf_keras", "keras"), "tf_keras");

/** A function cannot be written to JSON; this stands for it, and reading it without the function is an error. */
const FUNCTION = { class_name: "__function__", config: {} };

/** What is known of a variable, or of the array that was given for it. */
type Known = ReadonlyMap<unknown, { readonly variable: Variable }>;

/** `excluded` is what excludeFromWeightDecay was called with, `trained` what the optimizer is built for. */
export const toConfig = (
  settings: Settings,
  hyper: Readonly<Record<string, number>>,
  dialect: Dialect,
  excluded: readonly Chosen[] = [],
  trained: Known = new Map(),
): Config => {
  const { backend: _, threads: __, mesh: ___, jitCompile, emaStart, groups, ...options } = settings;
  const config: Record<string, unknown> = options;
  const rate = options.learningRate;
  if (rate instanceof LearningRateSchedule) config.learningRate = serialize(rate);
  else if (typeof rate === "function") config.learningRate = FUNCTION;
  // What a dialect does not know is written only where it is not at its default.
  if (dialect === "tf_keras") {
    Object.assign(config, { jitCompile, isLegacyOptimizer: false });
    for (const name of ["lossScaleFactor", "gradientAccumulationSteps"]) if (config[name] === null) delete config[name];
  }
  if (emaStart !== "variable") config.emaStart = emaStart;
  if (groups.length > 0)
    config.groups = groups.map(({ variables, names, ...numbers }) => ({
      names: patternsOf({ variables, names }, trained),
      ...inSnakeCase(numbers),
    }));
  if (excluded.length > 0) config.excludeFromWeightDecay = excluded.flatMap((selection) => patternsOf(selection, trained));
  return inSnakeCase({ ...config, ...hyper });
};

/** Variables are written as patterns that match exactly their name.
 *  @throws OptionError for a variable whose name is not its own. */
export const patternsOf = ({ variables, names }: Chosen, trained: Known): (string | Config)[] => {
  const all = [...trained.values()].map(({ variable }) => variable.name);
  // Before anything is built, one without a name of its own may get neighbours like it.
  const taken = all.length > 0 ? all : [UNNAMED, UNNAMED];
  return [
    ...names.map((pattern) => (pattern instanceof RegExp ? patternConfig(pattern) : pattern)),
    ...variables.map((given) => {
      const variable = trained.get(given)?.variable ?? given;
      if (variable instanceof Variable && taken.indexOf(variable.name) === taken.lastIndexOf(variable.name))
        return `^${variable.name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")}$`;
      throw new OptionError(
        "A configuration needs names that differ",
        variable instanceof Variable ? `several called ${show(variable.name)}` : show(variable),
        "Give each a name of its own.",
      );
    }),
  ];
};

const EXACT = /^\^((?:[^\\^$.*+?()[\]{}|]|\\[\\^$.*+?()[\]{}|])*)\$$/;

/** The name that a pattern spells, where it does nothing else: a variable is written so. */
export const nameMeant = (pattern: unknown): string | undefined =>
  typeof pattern === "string" ? EXACT.exec(pattern)?.[1]?.replace(/\\(.)/gs, "$1") : undefined;

/** As text, or with its flags where it has some. */
const patternConfig = ({ source, flags }: RegExp): string | Config => (flags === "" ? source : { source, flags });

/** What may stand around an optimizer's own keys. */
interface Serialized {
  class_name?: string;
  registered_name?: string | null;
  config?: Config;
}

/** Constructor options from a configuration, in either spelling, bare or serialized with its class name.
 *  @throws OptionError for what has no counterpart here. */
export const optionsFromConfig = (
  rule: UpdateRule,
  json: Config,
  overrides: OptimizerOptions,
  customObjects?: Parameters<typeof deserialize>[1],
): Record<string, unknown> => {
  // What that machine could compile is not what this one can: only our own spelling is taken over.
  check("fromConfig", "overrides", overrides, object);
  const { jit_compile: _, ...config } = unwrap(rule, check("fromConfig", "config", json, object as Kind<Config>));
  const { isLegacyOptimizer, ...options } = optionsFrom(config);
  check("fromConfig", "is_legacy_optimizer", isLegacyOptimizer, NOT_LEGACY);
  if (overrides.groups) delete options.groups;
  options.groups = eachOf(options.groups, groupFrom);
  options.excludeFromWeightDecay = eachOf(options.excludeFromWeightDecay, patternFrom);
  const given = withoutDecay(withoutNeutral(currentNames(options)));
  Object.assign(given, optionsFrom(overrides as Config));
  given.learningRate = learningRateFrom(given.learningRate, customObjects);
  return given;
};

const NOT_LEGACY: Kind<unknown> = { wanted: "false, as of a current class", holds: (value) => !value, byDefault: false };

const groupFrom = (config: Config): unknown => {
  if (!isObject(config)) return config; // refused with the options
  const group = optionsFrom(config);
  return { ...group, names: eachOf(group.names, patternFrom) };
};

/** What is no array is refused with the options. */
const eachOf = (list: unknown, from: (item: never) => unknown): unknown =>
  Array.isArray(list) ? list.map((item) => from(item as never)) : list;

/** More than three groups and repetitions, or two repetitions by `*`, `+` or numbers; a group that repeats; or any of them in a long pattern. */
const COSTLY = /\)[*+?{]|([(*+?{].*){4}|([*+{].*){3}|[(*+?{].{256}|.{256}[(*+?{]/s;

/** Anybody may have written it, and to search for `^(a+)+$` takes a minute in 31 letters: only what takes little is searched for.
 *  @throws OptionError for a pattern that may take long. */
const patternFrom = (pattern: unknown): unknown => {
  const { source = pattern, flags } = (pattern ?? {}) as { source?: unknown; flags?: string };
  if (typeof source !== "string" || pattern instanceof RegExp) return pattern; // refused with the options, or the caller's own
  if (COSTLY.test(source.replace(/\\./gs, "x")))
    throw new OptionError("To search for this pattern could take minutes", show(source), "Give it in the program.");
  try {
    return pattern === source ? source : new RegExp(source, flags);
  } catch {
    return pattern; // refused with the options
  }
};

/** The optimizer's own keys, from inside a serialized class or a LossScaleOptimizer. */
const unwrap = (rule: UpdateRule, json: Config): Config => {
  const { class_name: className, config } = json as Serialized;
  if ("inner_optimizer" in json) return unwrapLossScale(rule, json);
  if (typeof className !== "string" || !isObject(config)) return json;
  const own = className.replace(/^.*>/, "");
  if (/^LossScaleOptimizer(V3)?$/.test(own)) return unwrapLossScale(rule, config);
  if (own.toLowerCase() !== rule.name.toLowerCase())
    throw new OptionError("The configuration is that of another optimizer", `${className}, for ${rule.name}`, "Use that class.");
  return config;
};

/** Of a scale that moves there is no counterpart. */
const LOSS_SCALE = {
  inner_optimizer: object,
  initial_scale: anything,
  dynamic: {
    wanted: "false: else pass its inner_optimizer, with a lossScaleFactor",
    holds: (value: unknown) => value === false,
  },
  dynamic_growth_steps: anything,
  name: anything,
};

/** Around an optimizer, a fixed loss scale is our lossScaleFactor. */
const unwrapLossScale = (rule: UpdateRule, config: Config): Config => {
  const { inner_optimizer: inner, initial_scale: scale } = checkKinds("LossScaleOptimizer", config, LOSS_SCALE);
  return { ...unwrap(rule, inner as Config), loss_scale_factor: scale };
};

const learningRateFrom = (value: unknown, customObjects: Parameters<typeof deserialize>[1]): unknown => {
  const { class_name: className } = (value ?? {}) as Serialized;
  if (typeof className !== "string" || value instanceof LearningRateSchedule) return value;
  if (["function", "__lambda__", FUNCTION.class_name].includes(className))
    throw new OptionError("learning_rate is a function, which JSON cannot carry", className, "Pass learningRate again.");
  return deserialize(value as Config, customObjects);
};

/** Keras called the learning rate lr until 2.2. */
const currentNames = (options: Record<string, unknown>): Record<string, unknown> => {
  const { lr, ...others } = options;
  return lr === undefined || "learningRate" in others ? options : { ...others, learningRate: lr };
};

/** Keras: 0 in a clip option, in the frequency or in the accumulation means that it is not in use. tf_keras accepts several clip options, and uses the first that is
 *  above 0. (A legacy optimizer uses all: that is refused with the options.) */
const withoutNeutral = (options: Record<string, unknown>): Record<string, unknown> => {
  const isOff = (name: string) => typeof options[name] === "number" && options[name] <= 0;
  const clips = CLIPS.filter((name) => (options[name] as number) > 0);
  const [used, ...dropped] = "decay" in options ? [] : clips;
  if (dropped.length > 0) console.warn(`adamax: of ${clips.join(", ")}, ${used} is used, as in tf_keras.`);
  for (const name of [...CLIPS, "emaOverwriteFrequency", "gradientAccumulationSteps"])
    if (isOff(name) || (dropped as string[]).includes(name)) options[name] = null;
  return options;
};

/** `decay`, which legacy optimizers had, as the schedule that it was: learning_rate / (1 + decay * iterations). */
const withoutDecay = ({ decay, ...options }: Record<string, unknown>): Record<string, unknown> => {
  const decayRate = check(WITH_DECAY, "decay", decay, optional(nonNegative, 0));
  if (decayRate === 0) return options;
  const initialLearningRate = check(WITH_DECAY, "learning_rate", options.learningRate, optional(nonNegative, 0.001));
  return { ...options, learningRate: new InverseTimeDecay({ initialLearningRate, decaySteps: 1, decayRate }) };
};
const WITH_DECAY = "a configuration with decay";
