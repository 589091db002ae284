/** Keras' spelling of names and of values, and ours. */

import { OptionError } from "./errors.js";

/** decay_steps becomes decaySteps, beta_1 becomes beta1. */
export const camelCase = (name: string): string => name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

/** decaySteps becomes decay_steps, beta1 becomes beta_1. */
export const snakeCase = (name: string): string => name.replace(/[A-Z]|\d+/g, (part) => `_${part.toLowerCase()}`);

/** Options as a config has them. */
export const inSnakeCase = (options: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(options).map(([name, value]) => [snakeCase(name), value]));

/** A config as a constructor takes it: in camelCase, from either spelling.
 *  @throws OptionError when a key stands there in both. */
export const optionsFrom = (config: Readonly<Record<string, unknown>>): Record<string, unknown> => {
  const options: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(config)) {
    const name = camelCase(key);
    if (name in options)
      throw new OptionError(`The configuration has ${name} twice`, Object.keys(config).join(", "), "Keep one.");
    if (value !== undefined) options[name] = plain(value);
  }
  return options;
};

/** Keras: a value that was a tensor or a NumPy array in Python is written as { class_name: "__tensor__", config: { value, dtype } }. */
const plain = (value: unknown): unknown => {
  const { class_name, config } = (value ?? {}) as { class_name?: string; config?: { value: unknown } };
  return class_name === "__tensor__" || class_name === "__numpy__" ? config?.value : value;
};
