/** A learning rate that depends on the step alone. Extend it for a schedule of your own: `at`, and `getConfig` for checkpoints. */

import type { Kind } from "../kinds.js";
import { optionsFrom } from "../spelling.js";

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

export const schedule: Kind<LearningRateSchedule> = {
  wanted: "a schedule with at(step)",
  holds: (value) => value instanceof LearningRateSchedule && "at" in value,
};
