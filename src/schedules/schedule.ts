/** A learning rate that depends on the step alone. Extend it for a schedule of your own: `at`, and `getConfig` for checkpoints. */

import { OptionError } from "../errors.js";

/** Base of all schedules, and of yours. */
export abstract class LearningRateSchedule {
  /** The learning rate of the step that follows `step` earlier ones (0 for the first). Pure: the same step, the same rate. */
  abstract at(step: number): number;

  /** The options of this schedule in Keras' snake_case: what `fromConfig` needs to make it again. Plain JSON. */
  abstract getConfig(): Record<string, unknown>;

  /** The schedule that `getConfig` described, here or in Python. Calls the constructor with one object of options in camelCase;
   *  a class whose constructor takes something else overrides this.
   *  @throws OptionError when a key stands there in both spellings. */
  static fromConfig<Schedule>(this: new (options: never) => Schedule, config: Record<string, unknown>): Schedule {
    return new this(optionsFrom(config) as never);
  }
}

/** A config as a constructor takes it: in camelCase, from either spelling. */
export const optionsFrom = (config: Record<string, unknown>): Record<string, unknown> => {
  const options: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(config)) {
    const name = camelCase(key);
    if (name in options)
      throw new OptionError(
        `A schedule's config names ${name} twice, in both spellings. Received: ${Object.keys(config).join(", ")}. Keep one.`,
      );
    options[name] = plain(value);
  }
  return options;
};

/** decay_steps becomes decaySteps. */
export const camelCase = (name: string) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** decaySteps becomes decay_steps. */
export const snakeCase = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Keras: a value that was a tensor or a NumPy array in Python is written as { class_name: "__tensor__", config: { value, dtype } }. */
const plain = (value: unknown): unknown => {
  const { class_name, config } = (value ?? {}) as { class_name?: string; config?: { value: unknown } };
  return class_name === "__tensor__" || class_name === "__numpy__" ? config?.value : value;
};
