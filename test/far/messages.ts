/** What the two sides of a far backend say to each other. Everything is plain data; arrays are copies. */

import type { DType, Program, RowClass, RowRequest, StepParameters, Values } from "../../src/index.js";

/** Which backend holds the memory over there. */
export type Kind = "wasm" | "interpreter";

/** A request without what cannot travel: functions, and arrays of the caller's. */
export interface FarRequest extends Omit<RowRequest, "variable" | "foreign"> {
  readonly variable: { readonly name: string; readonly shape: readonly number[]; readonly dtype: DType; readonly length: number };
}

export type FarGradient = Values | { readonly values: Values; readonly indices: Int32Array } | null;

/** Rows, steps and questions have numbers, which the asking side gives. */
export type Message =
  | {
      readonly kind: "place";
      readonly rows: readonly number[];
      readonly requests: readonly FarRequest[];
      readonly programs: readonly Program[];
      readonly firstIndex: number;
      /** Under which its progress is told. */
      readonly id: number;
    }
  | {
      readonly kind: "compile";
      readonly step: number;
      readonly programs: readonly Program[];
      readonly classes: readonly RowClass[];
    }
  | {
      readonly kind: "begin";
      readonly step: number;
      readonly rows: readonly number[];
      readonly gradients: readonly FarGradient[];
      readonly parameters: StepParameters;
    }
  | { readonly kind: "pass"; readonly pass: number }
  | { readonly kind: "join"; readonly pass: number }
  | { readonly kind: "end"; readonly id: number }
  | {
      readonly kind: "read";
      readonly id: number;
      readonly row: number;
      readonly array: string;
      readonly begin: number;
      readonly length: number;
    }
  | {
      readonly kind: "write";
      readonly id: number;
      readonly row: number;
      readonly array: string;
      readonly begin: number;
      readonly values: Values;
    }
  | { readonly kind: "free"; readonly row: number }
  | { readonly kind: "forget"; readonly step: number }
  | { readonly kind: "count"; readonly id: number }
  /** For tests: the pass after so many others throws this. */
  | { readonly kind: "break"; readonly afterPasses: number; readonly message: string }
  /** For tests. */
  | { readonly kind: "die" }
  | { readonly kind: "dispose" };

/** What is held over there. */
export interface Held {
  readonly rows: number;
  readonly steps: number;
}

/** To a question, by its number; `progress` comes before there is one. */
export interface Answer {
  readonly id: number;
  readonly values?: Values;
  readonly held?: Held;
  readonly progress?: { readonly bytes: number; readonly total: number };
  readonly error?: { readonly name: string; readonly message: string };
}
