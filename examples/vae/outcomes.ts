/** What trainings reached, here and in Keras. */

import { readFileSync } from "node:fs";

/** One training. */
export interface Outcome {
  readonly seed: number;
  /** Negative evidence lower bound on the digits for testing, nats for one digit, by the averages: after each epoch. */
  readonly bounds: readonly number[];
}

/** What keras.py wrote. */
interface KerasOutcomes {
  readonly madeBy: string;
  readonly quick: readonly Outcome[];
  readonly full: readonly Outcome[];
}

export const readKeras = (): KerasOutcomes =>
  JSON.parse(readFileSync(new URL("keras.json", import.meta.url), "utf8")) as KerasOutcomes;

export const lastBound = ({ bounds }: Outcome): number => bounds.at(-1)!;

export const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b) / values.length;

/** From the smallest to the largest. */
export const spread = (values: readonly number[]): number => Math.max(...values) - Math.min(...values);
