import { flag, nonNegative, optional, positive, text } from "../kinds.js";
import { KerasSchedule } from "./keras-schedule.js";

/** What `ExponentialDecay` takes. */
export interface ExponentialDecayOptions {
  /** The rate of the first step. */
  initialLearningRate: number;
  /** In how many steps the rate is multiplied by `decayRate` once. Above 0. */
  decaySteps: number;
  /** The factor of one period. At least 0. */
  decayRate: number;
  /** Multiply at whole periods only. Default false. */
  staircase?: boolean;
  name?: string;
}

/** initialLearningRate * decayRate ** (step / decaySteps); with `staircase`, the exponent is rounded down. */
export class ExponentialDecay extends KerasSchedule<ExponentialDecayOptions> {
  constructor(options: ExponentialDecayOptions) {
    super("ExponentialDecay", options, {
      initialLearningRate: nonNegative,
      decaySteps: positive,
      decayRate: nonNegative,
      staircase: optional(flag, false),
      name: optional(text, "ExponentialDecay"),
    });
  }

  at(step: number): number {
    const { initialLearningRate, decaySteps, decayRate, staircase } = this.settings;
    const periods = step / decaySteps;
    return initialLearningRate * decayRate ** (staircase ? Math.floor(periods) : periods);
  }
}
