/** What the gradients of this rank count in each of its teams, over the micro-batches of an update. */

import { OptionError } from "../../errors.js";
import type { Exchange, Team } from "./exchange.js";

/** What the members' gradients are multiplied by before they are added: 1 each for the sum. For the mean, each one's part of all weights (numbers of
 *  examples). One whose weight is 0 counts as zero, whatever it has. Null when all weights are 0. */
export const factorsOf = (weights: ArrayLike<number>, sums: boolean): Float64Array | null => {
  const factors = Float64Array.from(weights);
  const total = factors.reduce((sum, weight) => sum + weight, 0);
  if (total === 0) return null;
  return factors.map((weight) => (sums ? Math.min(1, Math.ceil(weight)) : weight / total));
};

export class Windows {
  readonly teams: Team[] = [];
  readonly #exchange: Exchange;
  /** By team: the factor of what this rank has accumulated; 0: nothing yet. */
  readonly #own: number[] = [];

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  add(team: Team): void {
    if (this.teams.includes(team)) return;
    this.teams.push(team);
    this.#own.push(0);
  }

  /** By team, what each of all ranks has accumulated counts, and whether that is known: a rank tells its own. */
  get own(): readonly number[] {
    return this.#own;
  }

  /** The next window begins. */
  close(): void {
    this.#own.fill(0);
  }

  /** By team, the factors of its members for gradients of these weights, by rank.
   *  @throws OptionError, on every rank, where nobody has examples. */
  factors(weights: readonly number[]): Float64Array[] {
    return this.teams.map(({ members }) => {
      const ofThese = members.map((rank) => weights[rank]!);
      // Where nobody else has these elements, the gradient is that of the whole batch.
      const factors = members.length === 1 ? Float64Array.of(1) : factorsOf(ofThese, this.#exchange.sums);
      if (factors) return factors;
      throw new OptionError(
        "Some rank must have examples",
        `weight=0 on ${members.length === 1 ? "rank" : "ranks"} ${members.join(", ")}`,
        "Give at least one a weight above 0, or call applyGradients on none.",
      );
    });
  }

  /** What this rank's gradients must be multiplied by before they are added to what it has accumulated, by team; 0: they count nothing. */
  enter(factors: readonly Float64Array[]): number[] {
    return this.teams.map(({ place }, i) => {
      const factor = factors[i]![place]!;
      if (this.#own[i] === 0) this.#own[i] = factor;
      return factor === 0 ? 0 : factor / this.#own[i]!;
    });
  }

  /** By team, the factors of what its members have accumulated; `told`: each rank's `own`. Where none has, what was loaded lies there: the same on each, or
   *  where gradients are added up, all of it on the first. */
  accumulated(told: readonly (readonly number[])[]): Float64Array[] {
    return this.teams.map(({ members }, i) => {
      const factors = Float64Array.from(members, (rank) => told[rank]![i]!);
      return factors.some((factor) => factor > 0) ? factors : factors.fill(this.#exchange.sums ? 1 : 1 / members.length);
    });
  }
}
