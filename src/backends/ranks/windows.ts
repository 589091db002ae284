/** What the gradients of this rank count in each of its teams, over the micro-batches of an update. */

import { OptionError } from "../../errors.js";
import type { Exchange, Placement, Team } from "./exchange.js";

/** What the members' gradients are multiplied by before they are added: 1 each for the sum. For the mean, each one's part of all weights (numbers of
 *  examples). One whose weight is 0 counts as zero, whatever it has. Null when all weights are 0. */
export const factorsOf = (weights: ArrayLike<number>, sums: boolean): Float64Array | null => {
  const factors = Float64Array.from(weights);
  const total = factors.reduce((sum, weight) => sum + weight, 0);
  if (total === 0) return null;
  return factors.map((weight) => (sums ? Math.min(1, Math.ceil(weight)) : weight / total));
};

/** Variables that are whole everywhere, cut along one dimension, cut along another. */
const USUAL_TEAMS = 3;

export class Windows {
  readonly teams: Team[] = [];
  readonly #exchange: Exchange;
  /** By team, the members of the team that stands in its place on a rank. */
  readonly #membersOf: Placement["membersOf"][] = [];
  /** By team: the factor of what this rank has accumulated; 0: nothing yet. As many before a build as after it, so that also ranks that are not alike
   *  can compare theirs. */
  readonly #own: number[] = new Array<number>(USUAL_TEAMS).fill(0);

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  add({ team, membersOf }: Placement): void {
    if (this.teams.includes(team)) return;
    this.teams.push(team);
    this.#membersOf.push(membersOf);
    if (this.teams.length > this.#own.length) this.#own.push(0);
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
    this.#exchange.assertAlike?.(weights);
    if (weights.includes(0)) this.#assertSomeHave(weights);
    return this.teams.map(({ members }) => {
      const ofThese = members.map((rank) => weights[rank]!);
      // Where nobody else has these elements, the gradient is that of the whole batch.
      return members.length === 1 ? Float64Array.of(1) : factorsOf(ofThese, this.#exchange.sums)!;
    });
  }

  /** Looks at the teams of all ranks, so that all say the same. */
  #assertSomeHave(weights: readonly number[]): void {
    for (const membersOf of this.#membersOf)
      for (let rank = 0; rank < weights.length; rank++) {
        const members = membersOf(rank);
        if (members.length > 1 && members.every((member) => weights[member] === 0))
          throw new OptionError(
            "Some rank must have examples",
            `weight=0 on ranks ${members.join(", ")}`,
            "Give at least one a weight above 0, or call applyGradients on none.",
          );
      }
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
