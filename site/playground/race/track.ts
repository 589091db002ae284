/** What one optimizer did on one landscape, step by step, and the numbers of one of its steps. Pure. */

import type { StepNumbers } from "./contenders.ts";
import type { Point } from "./surfaces.ts";

/** What a run is decided by. Plain data, so that a worker can be sent it. */
export interface Course {
  readonly surface: string;
  readonly start: Point;
  readonly seed: number;
  /** The surface's own noise, so many times. */
  readonly noise: number;
}

/** Where the optimizer was before each step and after the last, and what each step did. Coordinates alternate: x, y, x, y, ... */
export interface Track {
  readonly steps: number;
  /** 2 (steps + 1) numbers. */
  readonly path: Float32Array;
  /** The moving average of the path; null: none is kept. */
  readonly average: Float32Array | null;
  /** The landscape's height at each place of the path, without noise. */
  readonly heights: Float64Array;
  /** As it was given: 2 steps numbers; so are the next. */
  readonly given: Float32Array;
  /** As the rule saw it. */
  readonly seen: Float32Array;
  readonly slots: Readonly<Record<string, Float32Array>>;
  readonly rates: Float64Array;
  /** Updates made after each step: fewer than steps where micro-batches are accumulated. */
  readonly updates: Int32Array;
  readonly hyper: Readonly<Record<string, number>>;
}

/** A run, or why there is none. */
export type Result = { readonly track: Track } | { readonly problem: string };

/** Whether step `step` moved anything, or only accumulated. */
export const movesIn = ({ updates }: Track, step: number): boolean => updates[step]! > (step === 0 ? 0 : updates[step - 1]!);

/** What step `step` (from 0) did to coordinate `axis` (0: x, 1: y). */
export const numbersOf = (track: Track, step: number, axis: 0 | 1, weightDecay = 0): StepNumbers => {
  const at = 2 * step + axis;
  const slotsAt = (place: number) =>
    Object.fromEntries(Object.entries(track.slots).map(([name, values]) => [name, place < 0 ? 0 : values[place]!]));
  return {
    t: track.updates[step]!,
    g: track.seen[at]!,
    w: track.path[at]! * (1 - track.rates[step]! * weightDecay), // decay comes before the rule
    newW: track.path[at + 2]!,
    slots: slotsAt(at - 2),
    newSlots: slotsAt(at),
    rate: track.rates[step]!,
    hyper: track.hyper,
  };
};
