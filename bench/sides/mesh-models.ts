/** What ranks train, and what they tell of it. */

import type { Model } from "../model.js";

export const MODELS: readonly Model[] = [
  { tensors: 1, size: 1e6 },
  { tensors: 1, size: 1e7 },
  { tensors: 100, size: 1e4 },
  { tensors: 100, size: 1e5 },
];

/** By model, and then by side: milliseconds of each step, and bytes that a rank sends in one. */
export type Turn = Record<string, { times: Record<string, number[]>; bytes: Record<string, number> }>;
