/** Configurations on their way through TensorFlow.js' files. Saving a model turns every key and every text into snake_case and lower case, and
 *  loading turns them into camelCase. Only a text under the key `name` is left alone, and one under `className` when saving. */

import { isObject } from "../../kinds.js";
import type { Config } from "../../optimizer/configuration.js";

/** A pattern of the core's configuration, with its flags if it has some. */
type Pattern = string | { source: string; flags: string };
/** The same, so that TensorFlow.js keeps its letters. */
type NamedPattern = { name: string; flags?: string };

/** From the core's configuration to one that survives. */
export const toTensorFlow = (config: Config): Config => {
  const { learning_rate: rate, groups, exclude_from_weight_decay: excluded } = config;
  const safe = { ...config };
  if (typeof rate === "object" && rate !== null) {
    const { class_name: className, ...rest } = rate as Config;
    safe.learning_rate = { className, ...rest };
  }
  if (Array.isArray(groups))
    safe.groups = groups.map((group: Config) => ({ ...group, names: (group.names as Pattern[]).map(toNamed) }));
  if (Array.isArray(excluded)) safe.exclude_from_weight_decay = excluded.map(toNamed);
  return safe;
};

/** Back, from either spelling; also from the configuration of TensorFlow.js' own optimizers and of Keras' old ones. TensorFlow.js adds `customObjects`. */
export const fromTensorFlow = (config: Config): Config => {
  if (!isObject(config)) return config; // refused with the options
  const { customObjects: _, ...plain } = config;
  const rateKey = "learningRate" in plain ? "learningRate" : "learning_rate";
  const rate = plain[rateKey];
  if (typeof rate === "object" && rate !== null && "className" in rate) {
    const { className, ...rest } = rate as Config;
    plain[rateKey] = { class_name: className, ...rest };
  }
  for (const key of ["excludeFromWeightDecay", "exclude_from_weight_decay"])
    if (Array.isArray(plain[key])) plain[key] = (plain[key] as (Pattern | NamedPattern)[]).map(fromNamed);
  if (Array.isArray(plain.groups))
    plain.groups = plain.groups.map((group: Config) => ({
      ...group,
      ...(Array.isArray(group?.names) ? { names: group.names.map(fromNamed) } : {}), // else refused with the options
    }));
  return plain;
};

const toNamed = (pattern: Pattern): NamedPattern =>
  typeof pattern === "string" ? { name: pattern } : { name: pattern.source, flags: pattern.flags };

const fromNamed = (pattern: Pattern | NamedPattern): Pattern => {
  if (!isObject(pattern) || !("name" in pattern)) return pattern; // what is none is refused with the options
  return pattern.flags ? { source: pattern.name, flags: pattern.flags } : pattern.name;
};
