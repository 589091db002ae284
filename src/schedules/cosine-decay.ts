import { check, nonNegative, optional, positive, text } from "../kinds.js";
import { optionsFrom } from "../spelling.js";
import { KerasSchedule } from "./keras-schedule.js";

/** What `CosineDecay` takes. */
export interface CosineDecayOptions {
  /** The rate of the first step: where the warmup begins if there is one, else where the decay begins. */
  initialLearningRate: number;
  /** The length of the decay; a warmup comes before it and does not count. Above 0. */
  decaySteps: number;
  /** Where the decay ends, as a fraction of where it began. Default 0. */
  alpha?: number;
  name?: string;
  /** Where the warmup ends and the decay begins. Default null: no warmup. */
  warmupTarget?: number | null;
  /** The length of the warmup. Default 0. */
  warmupSteps?: number;
}

/** A straight line from initialLearningRate to warmupTarget in warmupSteps steps; then half a cosine down to alpha times
 *  warmupTarget in decaySteps steps; then constant. Without a warmup, the cosine begins at initialLearningRate. */
export class CosineDecay extends KerasSchedule<CosineDecayOptions> {
  constructor(options: CosineDecayOptions) {
    super("CosineDecay", options, {
      initialLearningRate: nonNegative,
      decaySteps: positive,
      alpha: optional(nonNegative, 0),
      name: optional(text, "CosineDecay"),

      warmupTarget: optional(nonNegative, null),
      warmupSteps: optional(nonNegative, 0),
    });
    const { warmupTarget, warmupSteps } = this.settings;
    if (warmupSteps > 0) check("CosineDecay with warmupSteps", "warmupTarget", warmupTarget, nonNegative);
  }

  /** Keras: a config without warmup_target may name warmup_steps, which do nothing there. Read with a warning. */
  static override fromConfig<Schedule>(this: new (options: never) => Schedule, config: Record<string, unknown>): Schedule {
    const options = optionsFrom(config);
    if (options.warmupSteps && options.warmupTarget == null) {
      console.warn(`adamax: CosineDecay ignores warmup_steps without warmup_target.`);
      delete options.warmupSteps;
    }
    return new this(options as never);
  }

  at(step: number): number {
    const { initialLearningRate, decaySteps, alpha, warmupTarget, warmupSteps } = this.settings;
    if (warmupTarget === null) return initialLearningRate * cosine(step / decaySteps, alpha);
    if (step < warmupSteps) return (warmupTarget - initialLearningRate) * (step / warmupSteps) + initialLearningRate;
    return warmupTarget * cosine((step - warmupSteps) / decaySteps, alpha);
  }
}

/** From 1 to alpha as `done` goes from 0 to 1, and alpha from then on. */
const cosine = (done: number, alpha: number) => (1 - alpha) * 0.5 * (1 + Math.cos(Math.PI * Math.min(1, done))) + alpha;
