import { atLeast, nonNegative, optional, positive, text } from "../kinds.js";
import { KerasSchedule } from "./keras-schedule.js";

/** What `CosineDecayRestarts` takes. */
export interface CosineDecayRestartsOptions {
  /** The rate of the first step. */
  initialLearningRate: number;
  /** The length of the first period. Above 0. */
  firstDecaySteps: number;
  /** Each period is this many times as long as the one before. At least 1; default 2. */
  tMul?: number;
  /** Each period begins at this many times the rate of the one before. At least 0; default 1. */
  mMul?: number;
  /** Where each period ends, as a fraction of initialLearningRate. Default 0. */
  alpha?: number;
  name?: string;
}

/** Half a cosine from initialLearningRate down to alpha times that, again and again, each time longer by tMul and lower by mMul.
 *  SGDR, Loshchilov and Hutter 2016. */
export class CosineDecayRestarts extends KerasSchedule<CosineDecayRestartsOptions> {
  constructor(options: CosineDecayRestartsOptions) {
    super("CosineDecayRestarts", options, {
      initialLearningRate: nonNegative,
      firstDecaySteps: positive,
      tMul: optional(atLeast(1), 2),
      mMul: optional(nonNegative, 1),
      alpha: optional(nonNegative, 0),
      name: optional(text, "SGDRDecay"), // Keras: named after the paper
    });
  }

  at(step: number): number {
    const { initialLearningRate, firstDecaySteps, tMul, mMul, alpha } = this.settings;
    let done = step / firstDecaySteps; // in units of the period that the step is in
    let restarts = 0;
    if (tMul === 1) {
      restarts = Math.floor(done);
      done -= restarts;
    }
    // Counted, not taken from a logarithm as in Keras: that is off by a whole period where it lands just below an integer.
    for (; done >= 1; restarts++) done = (done - 1) / tMul;
    const cosine = 0.5 * mMul ** restarts * (1 + Math.cos(Math.PI * done));
    return initialLearningRate * ((1 - alpha) * cosine + alpha);
  }
}
