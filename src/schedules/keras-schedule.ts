/** What the schedules of Keras have in common: one object of options, checked once, and written back in Keras' spelling. */

import { type Checked, checkKinds, type Kind, type Kinds, optional, text } from "../kinds.js";
import { inSnakeCase } from "../spelling.js";
import { LearningRateSchedule } from "./schedule.js";

export abstract class KerasSchedule<Options extends { name?: string }> extends LearningRateSchedule {
  /** The options, every default filled in. A copy: what happens to your object later changes nothing. */
  readonly settings: Checked<Options>;

  /** The name is by default that of the class.
   *  @throws OptionError for an option that is missing, unknown or out of range. */
  protected constructor(className: string, options: Options, kinds: Omit<Kinds<Options>, "name"> & { name?: Kind<string> }) {
    super();
    this.settings = checkKinds(className, options, { name: optional(text, className), ...kinds } as Kinds<Options>);
  }

  getConfig(): Record<string, unknown> {
    return inSnakeCase(structuredClone(this.settings));
  }
}
