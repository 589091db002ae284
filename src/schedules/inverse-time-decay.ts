import { flag, nonNegative, optional, positive, text } from "../kinds.js";
import { KerasSchedule } from "./keras-schedule.js";

/** What `InverseTimeDecay` takes. */
export interface InverseTimeDecayOptions {
  /** The rate of the first step. */
  initialLearningRate: number;
  /** The period in which `decayRate` counts once. Above 0. */
  decaySteps: number;
  /** By how much the divisor grows in one period. At least 0. */
  decayRate: number;
  /** Let the divisor grow at whole periods only. Default false. */
  staircase?: boolean;
  name?: string;
}

/** initialLearningRate / (1 + decayRate * step / decaySteps); with `staircase`, step / decaySteps is rounded down. */
export class InverseTimeDecay extends KerasSchedule<InverseTimeDecayOptions> {
  constructor(options: InverseTimeDecayOptions) {
    super("InverseTimeDecay", options, {
      initialLearningRate: nonNegative,
      decaySteps: positive,
      decayRate: nonNegative,
      staircase: optional(flag, false),
      name: optional(text, "InverseTimeDecay"),
    });
  }

  at(step: number): number {
    const { initialLearningRate, decaySteps, decayRate, staircase } = this.settings;
    const periods = step / decaySteps;
    return initialLearningRate / (1 + decayRate * (staircase ? Math.floor(periods) : periods));
  }
}
