/** Ranks that train together meet before each batch, after its loss, and after callbacks: there they learn of each other's numbers, of who wants to stop, and
 *  of what was thrown. On one machine nobody is met. */

import type { Ranks } from "../backend.js";
import { OptionError } from "../errors.js";
import { Optimizer } from "../optimizer/optimizer.js";

export type StopReason = "callback" | "signal";
const REASONS: readonly (StopReason | null)[] = [null, "callback", "signal"];

/** The ranks that an optimizer trains with; null: it is one machine's. */
export const ranksOf = (optimizer: unknown): Ranks | null => {
  const ranks = optimizer instanceof Optimizer ? optimizer.settings.mesh : null;
  return ranks && ranks.size > 1 ? ranks : null;
};

export class Pace {
  readonly rank: number;
  readonly #ranks: Ranks | null;
  readonly #wish: () => StopReason | null;
  readonly #stop: (reason: StopReason) => void;
  readonly #wasStop: (error: unknown) => boolean;

  /** `wish`: why this rank wants to stop, if it does. `stop` is called on every rank at the same place. `wasStop`: whether what was thrown is a stop. */
  constructor(
    optimizer: unknown,
    wish: () => StopReason | null,
    stop: (reason: StopReason) => void,
    wasStop: (error: unknown) => boolean,
  ) {
    this.#ranks = ranksOf(optimizer);
    this.rank = this.#ranks?.rank ?? 0;
    this.#wish = wish;
    this.#stop = stop;
    this.#wasStop = wasStop;
  }

  get isAlone(): boolean {
    return this.#ranks === null;
  }

  /** What all ranks must have alike, by name, as numbers; and in the same order what they measure, by their names alone.
   *  @throws OptionError or BackendError, on every rank, for the first that differs. */
  async assertSame(numbers: Readonly<Record<string, number>>, measured: readonly string[]): Promise<void> {
    const label = `what fit is to do, measuring ${measured.join(", ").replaceAll(":", " ")}`;
    const told = await this.meet(label, Object.keys(numbers).length, async () => Object.values(numbers));
    for (const [i, name] of Object.keys(numbers).entries())
      for (const [rank, other] of told.entries())
        if (other[i] !== told[0]![i])
          throw new OptionError(
            "Every rank must call fit alike",
            `${name}: ${told[0]![i]} on rank 0, ${other[i]} on rank ${rank}`,
            "Give each the same options; only the data are its own, and what it does in callbacks.",
          );
  }

  /** Does a rank's own work, which comes to `count` numbers, and gives back those of every rank. When it throws on one rank, it throws on all; when a stop
   *  broke it off, its numbers are zeros, and all ranks have stopped. */
  async meet(label: string, count: number, work: () => Promise<readonly number[]>): Promise<readonly (readonly number[])[]> {
    if (!this.#ranks) return [await work()];
    const told = await this.#ranks.meet(label, 1 + count, async () => {
      let own: readonly number[] = new Array<number>(count).fill(0);
      try {
        own = await work();
      } catch (error) {
        if (!this.#wasStop(error)) throw error;
      }
      return [REASONS.indexOf(this.#wish()), ...own];
    });
    const reason = told.map(([wish]) => REASONS[wish!]).find((reason) => reason);
    if (reason) this.#stop(reason);
    return told.map(([, ...numbers]) => numbers);
  }
}

/** The mean over ranks, each of which has a weight and then its numbers. One whose weight is 0 has none. */
export const meanOverRanks = (told: readonly (readonly number[])[]): number[] => {
  const having = told.length === 1 ? told : told.filter(([weight]) => weight! > 0);
  const [[, ...first] = []] = having;
  if (having.length === 1) return first;
  const total = having.reduce((sum, [weight]) => sum + weight!, 0);
  return first.map((_, i) => having.reduce((sum, numbers) => sum + (numbers[0]! / total) * numbers[i + 1]!, 0));
};
