/** A step as every backend receives it: scalars to evaluate once, then passes over the elements. */

import type { NormScope, Operation, ScalarOperation } from "./expression.js";

/** What an array is made of. Arithmetic on it rounds to the same. */
export type DType = "float32" | "float64";
/** The class of array for each. */
export const ARRAYS = { float32: Float32Array, float64: Float64Array } as const;
export const isValues = (value: unknown): value is Float32Array | Float64Array =>
  value instanceof Float32Array || value instanceof Float64Array;

/** What errors call an array of a variable: "w", or one of the state, where slots have a prefix. */
export const wordsFor = (array: string): string => (array === "w" ? "the value" : array.replace("slot:", ""));

/** What a pass computes for each element; inputs are places of earlier nodes in the same pass. */
export type Node =
  | { readonly kind: "load"; readonly buffer: number }
  | { readonly kind: "uniform"; readonly uniform: number }
  | { readonly kind: "operation"; readonly operation: Operation; readonly inputs: readonly number[] };

/** A scalar of the step. `stage` says after how many passes it is known; `wide` scalars come from norms and stay float64. */
export type Scalar = { readonly stage: number; readonly wide: boolean } & (
  | { readonly kind: "constant"; readonly value: number }
  | { readonly kind: "parameter"; readonly name: string }
  | { readonly kind: "norm"; readonly scope: NormScope; readonly pass: number; readonly sum: number }
  | { readonly kind: "operation"; readonly operation: ScalarOperation; readonly inputs: readonly number[] }
);

/** One loop over the elements. It stores arrays, or sums squares (in float64, by blocks), or both. */
export interface Pass {
  readonly nodes: readonly Node[];
  readonly stores: readonly { readonly buffer: number; readonly node: number }[];
  /** Nodes whose squares are summed, in the order of the sums that a block writes. */
  readonly sums: readonly number[];
}

/** What a backend compiles: scalars to evaluate once in a step, then passes over the elements. */
export interface Program {
  readonly dtype: DType;
  /** The arrays of a variable that the passes touch, in the order of a job's pointers. */
  readonly buffers: readonly string[];
  /** In an order in which each can be evaluated. */
  readonly scalars: readonly Scalar[];
  /** The scalars that elements meet, by their place in the block of constants that the passes read. */
  readonly uniforms: readonly number[];
  readonly passes: readonly Pass[];
  /** Whether somebody else than steps may have written the state: then nothing is known of what it holds. */
  readonly exposed: boolean;
}

/** Elements in one block of a norm's sum. Sums start anew in each block, so the bits do not depend on who sums which. */
export const BLOCK = 4096;
/** Interleaved partial sums within a block: element i goes to lane i % LANES. They are joined by `joinLanes`' fixed tree. */
export const LANES = 16;
