/** What one rank can do with the others. A rank is one of several processes or threads that run the same program: each call here is made by all of them, in
 *  the same order, and returns on each when all have made it. Implement this, and ranks work over something else. */

import type { Range, Values } from "../backend.js";

/** An array that is whole on every rank, of which each rank has a range up to date. */
export interface SharedArray {
  readonly array: Values;
  /** By rank; they do not overlap. */
  readonly ranges: readonly Range[];
}

export interface Exchange {
  /** In [0, size). */
  readonly rank: number;
  readonly size: number;
  /** Makes one gradient of those of all ranks, in place: `gradients` are this rank's, whole, in build order. The sum is taken in the order of ranks, so that
   *  it has the same bits everywhere. */
  reduce(gradients: readonly Values[]): void;
  /** The numbers of every rank, in the order of ranks; `own` are this rank's. */
  gather(own: Float64Array): Float64Array[];
  /** Brings every range to every rank. */
  share(arrays: readonly SharedArray[]): void;
}
