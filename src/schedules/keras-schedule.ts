/** What the schedules of Keras have in common: one object of options, checked once, and written back in Keras' spelling. */

import { type Checked, checkKinds, type Kinds } from "../kinds.js";
import { inSnakeCase } from "../spelling.js";
import { LearningRateSchedule } from "./schedule.js";

export abstract class KerasSchedule<Options extends object> extends LearningRateSchedule {
  /** The options, every default filled in. A copy: what happens to your object later changes nothing. */
  readonly settings: Checked<Options>;

  /** @throws OptionError for an option that is missing, unknown or out of range. */
  protected constructor(className: string, options: Options, kinds: Kinds<Options>) {
    super();
    this.settings = checkKinds(className, options, kinds);
  }

  getConfig(): Record<string, unknown> {
    return inSnakeCase(structuredClone(this.settings));
  }
}
