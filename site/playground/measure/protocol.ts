/** What the page of the measurement and its worker say to each other. */

import type { Quartiles } from "../../../bench/measure.ts";
import type { BackendName } from "../backends.ts";

export interface MeasureRequest {
  readonly kind: "measure";
  readonly backend: BackendName;
  readonly threads: boolean;
  readonly sizes: readonly number[];
  /** For each size, without warming up. */
  readonly seconds: number;
}

/** Microseconds of one step, and how many times slower TensorFlow.js' own is. */
export interface Side {
  readonly microseconds: Quartiles;
  readonly ratio: Quartiles;
}

export interface SizeResult {
  readonly size: number;
  /** Microseconds of a step of tf.train.adamax. */
  readonly theirs: Quartiles;
  /** adamax/tfjs, on the same backend. */
  readonly adapter: Side;
  /** The core alone, on its own WebAssembly. */
  readonly core: Side;
}

export type MeasureAnswer =
  | { readonly kind: "started"; readonly says: string }
  | { readonly kind: "size"; readonly result: SizeResult }
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly message: string };
