/** Configurations as JSON: ours in Keras' snake_case, and what tf_keras and Keras 3 wrote. */

import { OptionError, show } from "../errors.js";
import { isObject, type Kind, nonNegative, oneOf, optional } from "../kinds.js";
import type { UpdateRule } from "../rule/update-rule.js";
import { deserialize, InverseTimeDecay, serialize } from "../schedules/index.js";
import { LearningRateSchedule } from "../schedules/schedule.js";
import { inSnakeCase, optionsFrom } from "../spelling.js";
import { Variable } from "../variable.js";
import type { OptimizerOptions, Settings } from "./options.js";

/** Options under Keras' names (learning_rate), as JSON holds them. */
export type Config = Record<string, unknown>;
/** Whose constructor can read a configuration: each refuses the other's keys. */
export type Dialect = "tf_keras" | "keras";
export const dialects: Kind<Dialect> = optional(oneOf<Dialect>("tf_keras", "keras"), "tf_keras");

/** What only one of the two knows. */
const KEYS = {
  common: [
    "name",
    "learningRate",
    "weightDecay",
    "clipnorm",
    "globalClipnorm",
    "clipvalue",
    "useEma",
    "emaMomentum",
    "emaOverwriteFrequency",
  ],
  tf_keras: ["jitCompile"],
  keras: ["lossScaleFactor", "gradientAccumulationSteps"],
} as const;

/** A function cannot be written to JSON; this stands for it, and reading it without the function is an error. */
const FUNCTION = { class_name: "__function__", config: {} };

export const toConfig = (settings: Settings, hyper: Readonly<Record<string, number>>, dialect: Dialect): Config => {
  const { learningRate, lossScaleFactor, gradientAccumulationSteps, emaStart, groups } = settings;
  const options: Record<string, unknown> = Object.fromEntries(
    [...KEYS.common, ...KEYS[dialect]].map((name) => [name, settings[name]]),
  );
  if (learningRate instanceof LearningRateSchedule) options.learningRate = serialize(learningRate);
  else if (typeof learningRate === "function") options.learningRate = FUNCTION;
  if (dialect === "tf_keras") options.isLegacyOptimizer = false;
  // What a dialect does not know is written only where it is not at its default.
  if (lossScaleFactor !== null) options.lossScaleFactor = lossScaleFactor;
  if (gradientAccumulationSteps !== null) options.gradientAccumulationSteps = gradientAccumulationSteps;
  if (emaStart !== "variable") options.emaStart = emaStart;
  if (groups.length > 0) options.groups = groups.map(groupConfig);
  return inSnakeCase({ ...options, ...hyper });
};

/** Variables are written as patterns that match exactly their name. */
const groupConfig = ({ variables, names, ...numbers }: Settings["groups"][number]): Config => ({
  names: [
    ...(names ?? []).map((pattern) => (pattern instanceof RegExp ? patternConfig(pattern) : pattern)),
    ...(variables ?? []).map((variable) => {
      if (variable instanceof Variable) return `^${variable.name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")}$`;
      throw new OptionError(
        "A group's variables are written by their names",
        show(variable),
        "Pass a Variable with a name instead.",
      );
    }),
  ],
  ...inSnakeCase(numbers),
});

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
  if (Array.isArray(options.groups)) options.groups = options.groups.map(groupFrom);
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

const patternFrom = (pattern: unknown): unknown => {
  const { source, flags } = (pattern ?? {}) as { source?: string; flags?: string };
  return typeof source === "string" && !(pattern instanceof RegExp) ? new RegExp(source, flags) : pattern;
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
  const {
    inner_optimizer: inner,
    initial_scale: initialScale,
    dynamic,
    dynamic_growth_steps: growthSteps,
    name: _,
    ...unknown
  } = config;
  if (Object.keys(unknown).length > 0)
    throw new OptionError("A LossScaleOptimizer has no such keys", Object.keys(unknown).join(", "), "Remove them.");
  if (!isObject(inner))
    throw new OptionError("A LossScaleOptimizer wraps an optimizer", `inner_optimizer=${show(inner)}`, "Pass all of it.");
  if (dynamic !== false)
    throw new OptionError(
      "A LossScaleOptimizer with a dynamic scale has no counterpart here",
      `dynamic=${show(dynamic)}, initial_scale=${show(initialScale)}, dynamic_growth_steps=${show(growthSteps)}`,
      "Pass its inner_optimizer, and lossScaleFactor for a fixed scale.",
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
        "A legacy optimizer clipped by all of its clip options, one after the other, and this one clips by one",
        clips.map((name) => `${name}=${options[name]}`).join(", "),
        "Keep the one that matters, and set the others to null.",
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
      "decay of a legacy optimizer is a number of 0 or more, for a learning rate that is a number",
      `decay=${show(decay)}, learning_rate=${show(learningRate)}`,
      "Pass a schedule that does both: fromConfig({ ...config, decay: 0 }, { learningRate }).",
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
