/** What one rank can do with the others. A rank is one of several processes or threads that run the same program: each call here is made by all of them, in
 *  the same order, and returns on each when all have made it. Implement this, and ranks work over something else. */

import type { Described, Range, Values } from "../../backend.js";

/** An array that is as long on every rank of a team, and of which each has a range. */
export interface SharedArray {
  readonly array: Values;
  /** By place in the team; together the array, without overlap. */
  readonly ranges: readonly Range[];
}

/** Gradients of one array, to be made one. */
export interface Reduced {
  readonly from: Values;
  /** Where the sum is left; may be the same array. */
  readonly into: Values;
  /** By place in the team: which elements are wanted there. Null: all, everywhere. */
  readonly ranges: readonly Range[] | null;
}

/** Ranks that hold the same elements of some variables. */
export interface Team {
  /** The ranks, in their order. */
  readonly members: readonly number[];
  /** This one among them. */
  readonly place: number;
  /** Adds up what the members have, times their factors, in their order, so that the sum has the same bits everywhere. A member whose factor is 0 counts as
   *  zero, whatever it has. */
  reduce(arrays: readonly Reduced[], factors: Float64Array, label: string): void;
  /** Brings every range to every member. */
  share(arrays: readonly SharedArray[], label: string): void;
  /** The first member's array, to all. */
  broadcast(array: Values, label: string): void;
}

/** Where a variable lies. */
export interface Placement {
  /** The ranks that average its gradient, and may share its state. */
  readonly team: Team;
  /** Those that hold the same elements: the team, or more. */
  readonly replicas: Team;
  /** The members of a rank's team. */
  membersOf(rank: number): readonly number[];
  /** One team for each part of the variable: their parts, in this order, are the whole. */
  readonly teams: readonly (readonly number[])[];
}

export interface Exchange {
  /** In [0, size). */
  readonly rank: number;
  readonly size: number;
  /** Whether gradients are added up; else they are averaged. */
  readonly sums: boolean;
  /** Variables that lie alike have the same placement.
   *  @throws OptionError for a layout of another mesh. */
  placementOf(variable: Described): Placement;
  /** Counts the optimizers that all ranks have built together: each is told its number, from 1 on. */
  nextOptimizer(): number;
  /** Told of memory from which arrays will travel, before it is written. No rank is asked. */
  prepare?(memory: ArrayBufferLike): void;
  /** `weights`: what the gradients of each rank count.
   *  @throws OptionError where ranks that have the same part of the batch give different ones: what they hold alike would not stay alike. */
  assertAlike?(weights: readonly number[]): void;
  /** The numbers of every rank, in the order of ranks; `own` are this rank's, and `lengths` says how many each has. `label` says what for: up to its first colon
   *  the same on every rank, or they are in different calls, which is best an error on all. `isWithin`: they have
   *  just been found to be in one. */
  gather(own: Float64Array, lengths: readonly number[], label: string, isWithin?: boolean): Float64Array[];
  /** A text of every rank. */
  gatherTexts(own: string, label: string): string[];
}
