/** Configurations as JSON: ours in Keras' snake_case, and what tf_keras and Keras 3 wrote. */

import { OptionError, show } from "../errors.js";
import { isObject, type Kind, nonNegative, oneOf, optional } from "../kinds.js";
import type { UpdateRule } from "../rule/update-rule.js";
import { deserialize, InverseTimeDecay, serialize } from "../schedules/index.js";
import { LearningRateSchedule } from "../schedules/schedule.js";
import { inSnakeCase, optionsFrom } from "../spelling.js";
import { UNNAMED, Variable } from "../variable.js";
import type { OptimizerOptions, Selection, Settings } from "./options.js";

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
  excluded: readonly Selection[] = [],
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
const patternsOf = ({ variables, names }: Selection, trained: Known): (string | Config)[] => {
  const all = [...trained.values()].map(({ variable }) => variable.name);
  // Before anything is built, one without a name of its own may get neighbours like it.
  const taken = all.length > 0 ? all : [UNNAMED, UNNAMED];
  return [
    ...(names ?? []).map((pattern) => (pattern instanceof RegExp ? patternConfig(pattern) : pattern)),
    ...(variables ?? []).map((given) => {
      const variable = trained.get(given)?.variable ?? given;
      if (variable instanceof Variable && taken.indexOf(variable.name) === taken.lastIndexOf(variable.name))
        return `^${variable.name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")}$`;
      throw new OptionError(
        "A configuration means the variables of groups and excludeFromWeightDecay by their names",
        variable instanceof Variable ? `several called ${show(variable.name)}` : show(variable),
        "Give each a name of its own: new Variable(values, { name }).",
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
  if (!isObject(json)) throw new OptionError("A configuration is an object", show(json), "Pass what getConfig returned.");
  // What that machine could compile is not what this one can: only our own spelling is taken over.
  const { jit_compile: _, ...config } = unwrap(rule, json);
  const { isLegacyOptimizer, ...options } = optionsFrom(config);
  if (isLegacyOptimizer)
    throw new OptionError(
      "The configuration is that of a legacy optimizer",
      "is_legacy_optimizer=true",
      "Write it from the current class.",
    );
  if (overrides.groups) delete options.groups;
  if (Array.isArray(options.groups)) options.groups = options.groups.map(groupFrom);
  const { excludeFromWeightDecay: excluded } = options;
  if (Array.isArray(excluded)) options.excludeFromWeightDecay = excluded.map(patternFrom);
  const given = withoutDecay(withoutNeutral(currentNames(options)));
  Object.assign(given, overrides);
  given.learningRate = learningRateFrom(given.learningRate, customObjects);
  return given;
};

const groupFrom = (config: Config): unknown => {
  if (!isObject(config)) return config; // refused with the options
  const group = optionsFrom(config);
  return Array.isArray(group.names) ? { ...group, names: group.names.map(patternFrom) } : group;
};

/** More than three groups and repetitions, a group that repeats, or any of them in a long pattern. */
const COSTLY = /\)[*+?{]|([(*+?{].*){4}|[(*+?{].{256}|.{256}[(*+?{]/s;

/** Anybody may have written it, and to search for `^(a+)+$` takes a minute in 31 letters: only what takes little is searched for.
 *  @throws OptionError for a pattern that may take long. */
const patternFrom = (pattern: unknown): unknown => {
  const { source = pattern, flags } = (pattern ?? {}) as { source?: unknown; flags?: string };
  if (typeof source !== "string" || pattern instanceof RegExp) return pattern; // refused with the options, or the caller's own
  if (COSTLY.test(source.replace(/\\./gs, "x")))
    throw new OptionError(
      "To search for this pattern of a configuration could take minutes",
      show(source),
      "Take it out, and give groups and exclusions in your program.",
    );
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
  const own = className.split(">").at(-1)!;
  if (/^LossScaleOptimizer(V3)?$/.test(own)) return unwrapLossScale(rule, config);
  if (own.toLowerCase() !== rule.name.toLowerCase())
    throw new OptionError(
      "The configuration is that of another optimizer",
      `${className}, for ${rule.name}`,
      "Use the class that it names.",
    );
  return config;
};

/** Around an optimizer, a fixed loss scale is our lossScaleFactor. A scale that moves has no counterpart. */
const unwrapLossScale = (rule: UpdateRule, config: Config): Config => {
  const { inner_optimizer: inner, initial_scale: initialScale, dynamic, dynamic_growth_steps: __, name: _, ...unknown } = config;
  if (Object.keys(unknown).length > 0)
    throw new OptionError("A LossScaleOptimizer has no such keys", Object.keys(unknown).join(", "), "Remove them.");
  if (!isObject(inner))
    throw new OptionError("A LossScaleOptimizer wraps an optimizer", `inner_optimizer=${show(inner)}`, "Pass all of it.");
  if (dynamic !== false)
    throw new OptionError(
      "A LossScaleOptimizer with a dynamic scale has no counterpart here",
      `dynamic=${show(dynamic)}, initial_scale=${show(initialScale)}`,
      "Pass its inner_optimizer, and a fixed lossScaleFactor.",
    );
  return { ...unwrap(rule, inner as Config), loss_scale_factor: initialScale };
};

const learningRateFrom = (value: unknown, customObjects: Parameters<typeof deserialize>[1]): unknown => {
  const { class_name: className } = (value ?? {}) as Serialized;
  if (typeof className !== "string" || value instanceof LearningRateSchedule) return value;
  if (className === FUNCTION.class_name || className === "__lambda__" || className === "function")
    throw new OptionError(
      "The configuration's learning_rate is a function, which JSON cannot carry",
      className,
      "Pass it again: fromConfig(config, { learningRate }).",
    );
  return deserialize(value as Config, customObjects);
};

/** Keras called the learning rate lr until 2.2. */
const currentNames = ({ lr, ...options }: Record<string, unknown>): Record<string, unknown> =>
  lr === undefined ? options : "learningRate" in options ? { ...options, lr } : { ...options, learningRate: lr };

/** Keras: 0 in one of these means that it is not in use. */
const OFF_AT_ZERO = ["clipnorm", "globalClipnorm", "clipvalue", "emaOverwriteFrequency"] as const;
/** tf_keras accepts these together, and then uses the first that is above 0. */
const CLIPS: readonly string[] = OFF_AT_ZERO.slice(0, 3);

const withoutNeutral = (options: Record<string, unknown>): Record<string, unknown> => {
  const off = OFF_AT_ZERO.filter((name) => typeof options[name] === "number" && options[name] <= 0);
  const clips = CLIPS.filter((name) => typeof options[name] === "number" && (options[name] as number) > 0);
  const [used, ...dropped] = clips;
  if (dropped.length > 0) {
    if ("decay" in options)
      throw new OptionError(
        "A legacy optimizer clips by all of its clip options, this one by one",
        clips.map((name) => `${name}=${options[name]}`).join(", "),
        "Keep the one that matters, the others null.",
      );
    console.warn(
      `adamax: the configuration sets ${clips.join(" and ")}. As tf_keras, we use ${used}. Dropped: ${dropped.join(", ")}.`,
    );
  }
  return { ...options, ...Object.fromEntries([...off, ...dropped].map((name) => [name, null])) };
};

/** `decay`, which legacy optimizers had, as the schedule that it was: learning_rate / (1 + decay * iterations). */
const withoutDecay = ({ decay = null, ...options }: Record<string, unknown>): Record<string, unknown> => {
  if (decay === null || decay === 0) return options;
  const { learningRate = 0.001 } = options;
  if (!nonNegative.holds(decay) || !nonNegative.holds(learningRate))
    throw new OptionError(
      "decay of a legacy optimizer is a number of 0 or more, beside a learning rate that is a number",
      `decay=${show(decay)}, learning_rate=${show(learningRate)}`,
      "Pass one schedule: fromConfig({ ...config, decay: 0 }, { learningRate }).",
    );
  return {
    ...options,
    learningRate: new InverseTimeDecay({
      initialLearningRate: learningRate as number,
      decaySteps: 1,
      decayRate: decay as number,
    }),
  };
};
