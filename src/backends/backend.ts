/** What a backend does, and its contract.
 *
 *  - Every operation rounds once, to the dtype of the variable. No fused multiply-add on CPU backends: they agree bit for bit.
 *  - Norms are summed in float64 over blocks of 4096 elements (see rule/program.ts), blocks and variables in build order.
 *  - A NaN or infinite gradient shows in its own element and, through a norm, in what that norm scales; nowhere else.
 *  - Gradients belong to the caller: read, never written, reusable when `run` returns. Who allocates, frees. */

import type { Program } from "../rule/program.js";

/** The elements of an array, in the dtype of its variable. */
export type Values = Float32Array | Float64Array;
/** A gradient that names only some rows; see IndexedSlices. */
export interface SparseGradient {
  readonly values: Values;
  readonly indices: Int32Array | readonly number[];
}
/** null: no gradient in this micro-batch, which counts as zero. */
export type Gradient = Values | SparseGradient | null;

/** Variables that share dtype, learning-rate multiplier and weight decay: one program and one set of scalars serve them all. */
export interface RowClass {
  readonly learningRateMultiplier: number;
  readonly weightDecay: number;
}

/** A value that a backend does not hold in its own memory. */
export interface ForeignArray {
  /** The elements before a step; each pass reads them here. */
  readonly value: Values;
  /** The array that a step writes every element to; it may be `value`. Asked for only by a step that writes. */
  target(): Values;
}

/** What is asked for one variable: the arrays it needs, and its value. */
export interface RowRequest {
  readonly dtype: "float32" | "float64";
  readonly length: number;
  /** Elements in one row along the first axis; the unit of sparse gradients. */
  readonly rowSize: number;
  /** Place in the list of classes. */
  readonly class: number;
  /** Names of the state arrays, which begin as zeros. */
  readonly state: readonly string[];
  /** The value, to be read and written at every step, or null when the backend holds it ("w") in its own memory. */
  readonly foreign: ForeignArray | null;
  readonly name: string;
}

/** One variable in a backend's memory. */
export interface Row {
  readonly request: RowRequest;
  /** Place in build order. */
  readonly index: number;
  /** The gradient of the running step; the optimizer sets it before `run`. */
  gradient: Gradient;
  /** A view of "w", "g" or a state array. It stays valid until the rows are freed. */
  array(name: string): Values;
}

/** The scalars that the optimizer gives anew in every step. */
export interface StepParameters {
  learningRate: number;
  /** 1 in the first update. */
  step: number;
}

/** A step's programs, one per class, compiled for a backend. */
export interface CompiledStep {
  /** Runs every pass over `rows[0..count)`, which are in build order. */
  run(rows: readonly Row[], count: number, parameters: StepParameters): void;
}

/** Told now and then how far something long has come. */
export type OnProgress = (progress: { readonly bytes: number; readonly total: number }) => void;

/** What makes steps. Two come with this package; yours may be a third. */
export interface Backend {
  readonly name: string;
  /** What runs and, if something better exists, why not that; in words. */
  readonly why: string;
  /** Threads that share a step, where several can. */
  readonly threads?: number;
  /** Makes room for variables; all or nothing. `programs` (one per class) are the fullest that will run on them, for sizing.
   *  `onProgress`: how much of the state's memory is ready. */
  place(requests: readonly RowRequest[], programs: readonly Program[], firstIndex: number, onProgress?: OnProgress): Row[];
  /** A step of `programs`, of which `classes` says the scalars. */
  compile(programs: readonly Program[], classes: readonly RowClass[]): CompiledStep;
  /** The rows are no longer needed. Those that were placed together are freed together. */
  free?(rows: readonly Row[]): void;
  /** Ends what runs beside the calling thread. Whoever made the backend calls it. Twice is harmless. */
  dispose(): void;
}
