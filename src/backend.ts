/** What a backend does, and its contract.
 *
 *  - Every operation rounds once, to the dtype of the variable. No fused multiply-add on CPU backends: they agree bit for bit.
 *  - Norms are summed in float64 over blocks of 4096 elements (see rule/program.ts), blocks and variables in build order.
 *  - A NaN or infinite gradient shows in its own element and, through a norm, in what that norm scales; nowhere else.
 *  - Calls take effect in their order, whether the memory is near or far; what is read is what all calls before have left.
 *  - Gradients belong to the caller: read, never written, reusable when `end` returns. Who allocates, frees. */

import type { DType, Program } from "./rule/program.js";

/** The elements of an array, in the dtype of its variable. */
export type Values = Float32Array | Float64Array;
/** A gradient that names only some rows; see IndexedSlices. */
export interface SparseGradient {
  readonly values: Values;
  readonly indices: Int32Array | readonly number[];
}
/** A gradient in the memory of a device, for backends that have one: what holds it there, and at which of its bytes the elements begin
 *  (default 0). */
export interface DeviceGradient {
  readonly buffer: object;
  readonly offset?: number;
  /** The bytes from there on that belong to it, where that is said: as many as its elements take, or more. */
  readonly size?: number;
  /** What its elements are. Default "float32". */
  readonly dtype?: "float32" | "float16";
}
/** Where elements are in the memory of a GPU; offset and size in bytes. */
export interface DeviceBuffer {
  readonly buffer: typeof globalThis extends { GPUBuffer: { prototype: infer Buffer } } ? Buffer : object;
  readonly offset: number;
  readonly size: number;
}
/** null: no gradient in this micro-batch, which counts as zero. */
export type Gradient = Values | SparseGradient | DeviceGradient | null;

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
  /** Takes these values before the first step, where that is more than writing them to `target()`. */
  take?(values: Values): void;
  /** Whether others may have that array: then a gradient must not lie in it. */
  readonly isShared: boolean;
}

/** Elements [begin, end) of an array. */
export interface Range {
  readonly begin: number;
  readonly end: number;
}

/** Which part of a variable each rank holds, where none holds the whole. */
export interface PartOfShape {
  /** @throws BackendError unless this rank holds all of it: nobody is there who brings the parts together. */
  assertWhole(variable: Described): void;
  /** The shape of a rank's part of a variable of `shape`. Default: of this rank's. */
  localShape(shape: readonly number[], rank?: number): number[];
  /** What lies together in the whole and in a rank's part, in order: where it begins in each, and how many elements it has. */
  runs(
    shape: readonly number[],
    rank?: number,
  ): Iterable<{ readonly whole: number; readonly part: number; readonly length: number }>;
}

/** What a backend knows of a variable; as text, what errors call it. */
export interface Described {
  /** A function over the value where this thread sees it: a backend whose memory is far refuses the variable. */
  readonly isConstrained: boolean;
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly length: number;
  /** Where ranks hold parts of it: shape and length are those of the whole. */
  readonly layout?: PartOfShape | undefined;
}

/** What is asked for one variable: the arrays it needs, and its value. */
export interface RowRequest {
  readonly variable: Described;
  /** The elements that steps compute here; it begins on the edge of a block. "w" and "g" are whole, state arrays hold this range alone. */
  readonly range: Range;
  /** Place in the list of classes. */
  readonly class: number;
  /** Names of the state arrays, which begin as zeros. */
  readonly state: readonly string[];
  /** The value, to be read and written at every step, or null when the backend holds it ("w") in its own memory. */
  readonly foreign: ForeignArray | null;
}

/** One variable in a backend's memory. */
export interface Row {
  readonly request: RowRequest;
  /** Place in build order. */
  readonly index: number;
  /** That of the step that begins next, checked; the optimizer sets it, and takes it away after the step. */
  gradient: Gradient;
  /** Fills `into` with the elements of "w" or a state array, from `begin` on. */
  read(array: string, begin: number, into: Values): Promise<void>;
  /** Writes elements from `begin` on. In near memory they are there when this returns. */
  write(array: string, begin: number, values: Values): Promise<void>;
  /** Takes the value in at build, where that is more than a write: ranks begin with one value. */
  adopt?(value: Values): Promise<void>;
  /** Near memory only: the elements of "w", "g" or a state array. It stays valid until the rows are freed. */
  view?(array: string): Values;
  /** Where shaders find the value. @throws BackendError where it is not in one buffer. */
  readonly buffer?: DeviceBuffer;
  /** Gives the memory up. It goes when every row has that was placed with this one. */
  free(): void;
}

/** The scalars that the optimizer gives anew in every step. */
export interface StepParameters {
  learningRate: number;
  /** 1 in the first update. */
  step: number;
  /** What the gradients count among those of other ranks: a number of examples. 0 or more, default 1. */
  weight?: number;
}

/** A step's programs, one per class, compiled for a backend. The optimizer drives it: begin, each pass, between two passes joinSums, end. */
export interface CompiledStep {
  /** Loops over the elements that it makes. */
  readonly passes: number;
  /** Prepares for `rows[0..count)`, which are in build order. */
  begin(rows: readonly Row[], count: number, parameters: StepParameters): void;
  runPass(pass: number): void;
  /** Adds up what the pass has summed, blocks and variables in build order, for the norms of the next. */
  joinSums(pass: number): void;
  /** After the last pass, and where a step broke off. Where the memory is far: settles when the step has been made, or says why not:
   *  by a BackendError that is `undone` where it has changed no value and no state. */
  end(): void | Promise<void>;
  /** Gives up what is held for it; it is not needed any more. */
  free?(): void;
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
  /** Whether its memory is main memory: then it is a NearBackend. */
  readonly near?: boolean;
  /** Whether what has been accumulated must be whole before it is used: then a call that makes an update adds its gradients first, in a step of its own,
   *  and makes the update without gradients. */
  readonly accumulatesFirst?: boolean;
  /** Makes room for variables; all or nothing. `programs` (one per class) are the fullest that will run on them, for sizing.
   *  `onProgress`: how much of the state's memory is ready. */
  place(requests: readonly RowRequest[], programs: readonly Program[], firstIndex: number, onProgress?: OnProgress): Row[];
  /** @throws ShapeError for a gradient that does not fit, or is of a kind that this backend does not take. */
  checkGradient(gradient: Exclude<Gradient, null>, variable: Described): void;
  /** Where others take part in every step: told of an error that keeps this one from it. */
  refuse?(error: unknown): void;
  /** Where others take part in every step: returns when all are about to load state.
   *  @throws where one refuses, or does something else. */
  meet?(): void;
  /** A step of `programs`, of which `classes` says the scalars. */
  compile(programs: readonly Program[], classes: readonly RowClass[]): CompiledStep;
  /** Ends what runs beside the calling thread. Whoever made the backend calls it. Twice is harmless. */
  dispose(): void;
}

/** Those who train together: the option `mesh` of an optimizer. Every call is made by all ranks, in the same order, except those that say otherwise. */
export interface Ranks {
  /** This one, in [0, size). */
  readonly rank: number;
  readonly size: number;
  /** Ranks on this machine, this one included: they share its cores. */
  readonly ranksOnHost: number;
  /** What runs the steps of this rank, around what runs them alone. `options`: the optimizer's, which must be the same on all ranks. No rank is asked.
   *  @throws BackendError for a backend that cannot share. */
  around(backend: Backend, options: Readonly<Record<string, unknown>>): Backend;
  /** Does a rank's own work, which comes to `count` numbers, and gives back those of every rank, in the order of ranks.
   *  @throws on every rank where it throws on one. */
  meet(label: string, count: number, work: () => Promise<readonly number[]>): Promise<number[][]>;
}

/** A row that the calling thread sees. */
export interface NearRow extends Row {
  view(array: string): Values;
}
/** A step whose sums the calling thread sees, so that ranks can join theirs. */
export interface NearStep extends CompiledStep {
  /** The sums of each row's blocks: block after block, as many numbers for each as the pass has sums. */
  blockSums(pass: number): Float64Array[];
  /** `blocks`: those of each whole variable, where the rows have only parts of them. */
  joinSums(pass: number, blocks?: readonly Float64Array[]): void;
  end(): void;
}
/** A backend in main memory. */
export interface NearBackend extends Backend {
  readonly near: true;
  /** `onProgress` null: who asks touches the memory of the state first. */
  place(
    requests: readonly RowRequest[],
    programs: readonly Program[],
    firstIndex: number,
    onProgress?: OnProgress | null,
  ): NearRow[];
  compile(programs: readonly Program[], classes: readonly RowClass[]): NearStep;
}
