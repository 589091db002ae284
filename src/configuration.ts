/** Configurations as JSON: ours in Keras' snake_case, and what tf_keras and Keras 3 wrote. */

import { OptionError, show } from "./errors.js";
import { kerasName, type OptimizerOptions, type Settings } from "./options.js";
import type { UpdateRule } from "./rule/update-rule.js";
import { deserialize, serialize } from "./schedules/index.js";
import { LearningRateSchedule } from "./schedules/schedule.js";

/** Options under Keras' names (learning_rate), as JSON holds them. */
export type Config = Record<string, unknown>;
/** Whose constructor can read a configuration: each refuses the other's keys. */
export type Dialect = "tf_keras" | "keras";

/** What only one of the two knows, and what neither does: the latter are written only when they are not at their default. */
const KEYS = {
  common: ["name", "learningRate", "weightDecay", "clipnorm", "globalClipnorm", "clipvalue", "useEma", "emaMomentum", "emaOverwriteFrequency"],
  tf_keras: ["jitCompile"],
  keras: ["lossScaleFactor", "gradientAccumulationSteps"],
  ours: ["lossScaleFactor", "gradientAccumulationSteps", "emaStart", "groups"],
} as const;

/** A function cannot be written to JSON; this stands for it, and reading it without the function is an error. */
const FUNCTION = { class_name: "__function__", config: {} };

export const toConfig = (settings: Settings, hyper: Readonly<Record<string, number>>, dialect: Dialect): Config => {
  const config: Config = {};
  const put = (name: keyof Settings, value: unknown = settings[name]) => {
    config[kerasName(name)] = value;
  };
  for (const name of [...KEYS.common, ...KEYS[dialect]]) put(name);
  if (dialect === "tf_keras") config.is_legacy_optimizer = false;
  for (const name of KEYS.ours) {
    const value = settings[name];
    const isDefault = value === null || value === "variable" || (Array.isArray(value) && value.length === 0);
    if (!isDefault) put(name, name === "groups" ? settings.groups.map(groupConfig) : value);
  }
  const { learningRate } = settings;
  if (learningRate instanceof LearningRateSchedule) put("learningRate", serialize(learningRate));
  else if (typeof learningRate === "function") put("learningRate", FUNCTION);
  for (const [name, value] of Object.entries(hyper)) config[kerasName(name)] = value;
  return config;
};

/** Variables are written as patterns that match exactly their name. */
const groupConfig = ({ variables = [], names = [], learningRateMultiplier = 1, weightDecay }: Settings["groups"][number]): Config => ({
  names: [
    ...names.map((pattern) => (pattern instanceof RegExp ? patternConfig(pattern) : pattern)),
    ...variables.map(({ name }) => `^${name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")}$`),
  ],
  learning_rate_multiplier: learningRateMultiplier,
  ...(weightDecay === undefined ? {} : { weight_decay: weightDecay }),
});

/** As text, or with its flags where it has some. */
const patternConfig = ({ source, flags }: RegExp): string | Config => (flags === "" ? source : { source, flags });

const camelCase = (name: string): string => name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

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
  if (typeof json !== "object" || json === null)
    throw new OptionError(`A configuration is an object. Received: ${show(json)}. Pass what getConfig or Keras' serialize returned.`);
  const config = unwrap(rule, json);
  const options: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(config)) {
    // What that machine could compile is not what this one can: only our own spelling is taken over.
    if (key === "jit_compile") continue;
    if (key === "is_legacy_optimizer" || key === "isLegacyOptimizer") {
      if (value) throw new OptionError(`The configuration is that of a legacy optimizer. Received: ${key}=true. Write it again from the current class.`);
      continue;
    }
    const name = camelCase(key);
    if (name in options) throw new OptionError(`The configuration has ${name} twice, in both spellings. Received: ${Object.keys(config).join(", ")}. Keep one.`);
    options[name] = name === "groups" ? (value as Config[]).map(groupFrom) : tensorValue(value);
  }
  Object.assign(options, overrides);
  options.learningRate = learningRateFrom(options.learningRate, customObjects);
  return withoutExtraClips(options);
};

const groupFrom = (config: Config): Config =>
  Object.fromEntries(Object.entries(config).map(([key, value]) => [camelCase(key), key === "names" ? (value as unknown[]).map(patternFrom) : value]));

const patternFrom = (pattern: unknown): unknown => {
  const { source, flags } = pattern as { source?: string; flags?: string };
  return typeof source === "string" && !(pattern instanceof RegExp) ? new RegExp(source, flags) : pattern;
};

/** Keras: a tensor or a NumPy number is written as { class_name, config: { value, dtype } }. */
const tensorValue = (value: unknown): unknown => {
  const { class_name, config } = (value ?? {}) as Serialized;
  return class_name === "__tensor__" || class_name === "__numpy__" ? config?.value : value;
};

/** The optimizer's own keys, from inside a serialized class or a LossScaleOptimizer. */
const unwrap = (rule: UpdateRule, json: Config): Config => {
  const { class_name: className, config } = json as Serialized;
  if ("inner_optimizer" in json) return unwrapLossScale(rule, json);
  if (typeof className !== "string" || typeof config !== "object" || config === null) return json;
  const own = className.split(">").at(-1)!;
  if (/^LossScaleOptimizer(V3)?$/.test(own)) return unwrapLossScale(rule, config);
  if (own.toLowerCase() !== rule.name.toLowerCase())
    throw new OptionError(`The configuration is that of another optimizer. Received: ${className}, for ${rule.name}. Use the class that it names.`);
  return config;
};

/** Around an optimizer, a fixed loss scale is our lossScaleFactor. A scale that moves has no counterpart. */
const unwrapLossScale = (rule: UpdateRule, config: Config): Config => {
  const { inner_optimizer: inner, initial_scale: initialScale, dynamic, dynamic_growth_steps: growthSteps, name: _, ...unknown } = config;
  if (Object.keys(unknown).length > 0)
    throw new OptionError(`A LossScaleOptimizer has no such keys. Received: ${Object.keys(unknown).join(", ")}. Remove them.`);
  if (typeof inner !== "object" || inner === null)
    throw new OptionError(`A LossScaleOptimizer wraps an optimizer. Received: inner_optimizer=${show(inner)}. Pass the whole configuration.`);
  if (dynamic !== false)
    throw new OptionError(
      "A LossScaleOptimizer with a dynamic scale has no counterpart here. " +
        `Received: dynamic=${show(dynamic)}, initial_scale=${show(initialScale)}, dynamic_growth_steps=${show(growthSteps)}. ` +
        "Pass its inner_optimizer's configuration, and lossScaleFactor for a fixed scale.",
    );
  return { ...unwrap(rule, inner as Config), loss_scale_factor: initialScale };
};

const learningRateFrom = (value: unknown, customObjects: Parameters<typeof deserialize>[1]): unknown => {
  const { class_name: className } = (value ?? {}) as Serialized;
  if (typeof className !== "string" || value instanceof LearningRateSchedule) return value;
  if (className === FUNCTION.class_name || className === "__lambda__" || className === "function")
    throw new OptionError(
      `The configuration's learning_rate is a function, which JSON cannot carry. Received: ${className}. Pass it again: fromConfig(config, { learningRate }).`,
    );
  return deserialize(value as Config, customObjects);
};

/** tf_keras accepts clip options together, and then uses the first of these. A limit of 0 or less does nothing there. */
const withoutExtraClips = (options: Record<string, unknown>): Record<string, unknown> => {
  const clips = ["clipnorm", "globalClipnorm", "clipvalue"].filter((name) => typeof options[name] === "number");
  const [winner] = clips.filter((name) => (options[name] as number) > 0);
  const dropped = clips.filter((name) => name !== winner);
  if (clips.length < 2) return options;
  console.warn(`adamax: the configuration sets ${clips.join(" and ")}. tf_keras used ${winner ?? "none of them"}${dropped.length < clips.length ? " alone" : ""}, and so do we. Dropped: ${dropped.join(", ")}.`);
  return { ...options, ...Object.fromEntries(dropped.map((name) => [name, null])) };
};
