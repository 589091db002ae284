import { flag, nonNegative, optional, positive, text } from "../kinds.js";
import { KerasSchedule } from "./keras-schedule.js";

/** What `PolynomialDecay` takes. */
export interface PolynomialDecayOptions {
  /** The rate of the first step. */
  initialLearningRate: number;
  /** In how many steps the rate reaches `endLearningRate`. Above 0. */
  decaySteps: number;
  /** Default 0.0001. */
  endLearningRate?: number;
  /** 1, the default, is a straight line. At least 0. */
  power?: number;
  /** After the end, start again higher up, on a decay twice, three times, ... as long. Default false: stay at the end. */
  cycle?: boolean;
  name?: string;
}

/** (initialLearningRate - endLearningRate) * (1 - step / decaySteps) ** power + endLearningRate, and endLearningRate from then on;
 *  with `cycle`, decaySteps stands for its first multiple that is not below the step. */
export class PolynomialDecay extends KerasSchedule<PolynomialDecayOptions> {
  constructor(options: PolynomialDecayOptions) {
    super("PolynomialDecay", options, {
      initialLearningRate: nonNegative,
      decaySteps: positive,
      endLearningRate: optional(nonNegative, 0.0001),
      power: optional(nonNegative, 1),
      cycle: optional(flag, false),
      name: optional(text, "PolynomialDecay"),
    });
  }

  at(step: number): number {
    const { initialLearningRate, decaySteps, endLearningRate, power, cycle } = this.settings;
    const periods = step / decaySteps;
    const done = cycle ? periods / Math.max(1, Math.ceil(periods)) : Math.min(1, periods); // Keras: step 0 is in the first cycle
    return (initialLearningRate - endLearningRate) * (1 - done) ** power + endLearningRate;
  }
}
