import { OptionError } from "../errors.js";
import { arrayOf, nonNegative, optional, text } from "../kinds.js";
import { KerasSchedule } from "./keras-schedule.js";

/** What `PiecewiseConstantDecay` takes. */
export interface PiecewiseConstantDecayOptions {
  /** The last step of each value but the last one. Strictly increasing. */
  boundaries: readonly number[];
  /** One rate more than there are boundaries. */
  values: readonly number[];
  name?: string;
}

/** values[0] up to and including step boundaries[0], then values[1] up to and including boundaries[1], and so on. */
export class PiecewiseConstantDecay extends KerasSchedule<PiecewiseConstantDecayOptions> {
  constructor(options: PiecewiseConstantDecayOptions) {
    super("PiecewiseConstantDecay", options, {
      boundaries: arrayOf(nonNegative, 1),
      values: arrayOf(nonNegative, 1),
      name: optional(text, "PiecewiseConstant"), // Keras: this name lacks the Decay
    });
    const { boundaries, values } = this.settings;
    const isOrdered = boundaries.every((boundary, i) => i === 0 || boundary > boundaries[i - 1]!);
    if (!isOrdered || values.length !== boundaries.length + 1)
      throw new OptionError(
        "PiecewiseConstantDecay takes boundaries that increase, and one value more",
        `boundaries ${boundaries.join(", ")}, values ${values.join(", ")}`,
        "Correct them.",
      );
  }

  at(step: number): number {
    const { boundaries, values } = this.settings;
    const piece = boundaries.findIndex((boundary) => step <= boundary);
    return values.at(piece)!; // beyond every boundary, piece is -1: the last value
  }
}
