/** What a callback watches, and when it got better. */

import { nearest, OptionError, show } from "../errors.js";
import { type Kind, type Kinds, nonNegative, oneOf, optional } from "../kinds.js";
import type { EpochResult, Training } from "./training.js";

/** What should get better, and from when on it counts as better. */
export interface MonitorOptions {
  /** A number of the epoch's result by its name: "loss", "valLoss", a metric ("accuracy"), a metric as the validation measured it
   *  ("valAccuracy"); or any other number, by a function. Default "valLoss". */
  monitor?: Monitor;
  /** Whether less or more is better. Default: less of a loss and of what a function gives, more of what is called accuracy, acc or auc; of
   *  anything else it must be said. */
  mode?: "min" | "max";
  /** By how much the best must be beaten to count. 0 or more. */
  minDelta?: number;
}

/** What is watched: a number of an epoch by its name, or any other by a function. */
export type Monitor = string | ((result: EpochResult) => number);

export const monitorKinds = (minDelta: number): Kinds<MonitorOptions> => ({
  monitor: optional(
    {
      wanted: '"loss", "valLoss", the name of a metric ("accuracy", "valAccuracy") or a function',
      holds: (value) => (typeof value === "string" && /^(?!val_)./.test(value)) || typeof value === "function",
    } as Kind<Monitor>,
    "valLoss",
  ),
  mode: optional(oneOf("min", "max"), undefined as never),
  minDelta: optional(nonNegative, minDelta),
});

export class Watch {
  readonly #owner: string;
  readonly #monitor: Monitor;
  readonly #sign: 1 | -1;
  readonly #minDelta: number;

  /** @throws OptionError where it cannot be told whether less or more is better. */
  constructor(owner: string, { monitor, mode, minDelta }: Required<MonitorOptions>) {
    this.#owner = owner;
    this.#monitor = monitor;
    this.#sign = (mode ?? modeOf(owner, monitor)) === "min" ? 1 : -1;
    this.#minDelta = minDelta;
  }

  /** The callback's name, by which its state is found again: of two that watch different things, none gets the other's. */
  get name(): string {
    const what = typeof this.#monitor === "function" ? "a function" : this.#monitor;
    return `${this.#owner}(${what}, ${this.#sign === 1 ? "min" : "max"})`;
  }

  /** Worse than everything. */
  get worst(): number {
    return this.#sign * Infinity;
  }

  /** Whether `value` beats `best` by more than `minDelta`. NaN never does. */
  isBetter(value: number, best: number): boolean {
    return this.#sign * value < this.#sign * best - this.#minDelta;
  }

  /** The number that is watched.
   *  @throws OptionError when an epoch does not have it. */
  measure(result: EpochResult): number {
    const monitor = this.#monitor;
    const value = typeof monitor === "function" ? monitor(result) : result[monitor];
    if (typeof value === "number") return value;
    const near = typeof monitor === "string" && monitor !== "valLoss" && nearest(monitor, Object.keys(result));
    throw new OptionError(
      `${this.#owner} monitors ${show(monitor)}, which must be a number after each epoch`,
      show(value),
      near ? `Did you mean ${near}?` : 'Give fit a validation, or monitor "loss".',
    );
  }
}

const modeOf = (owner: string, monitor: Monitor): "min" | "max" => {
  if (typeof monitor === "function" || /loss/i.test(monitor)) return "min";
  if (/acc|auc/i.test(monitor)) return "max";
  throw new OptionError(
    `${owner} cannot tell whether less or more of ${show(monitor)} is better`,
    "no mode",
    'Pass mode: "min" or mode: "max".',
  );
};

/** A callback that is given to TensorFlow.js' fit hears other things than it was made for.
 *  @throws OptionError unless it is `fit` of this library who calls. */
export const assertFit = (owner: string, training: Training): void => {
  if (typeof training?.stop === "function") return;
  throw new OptionError(
    `${owner} is a callback for fit of adamax`,
    "a call by another training loop",
    "TensorFlow.js has callbacks of its own: tf.callbacks, tf.CustomCallback.",
  );
};
