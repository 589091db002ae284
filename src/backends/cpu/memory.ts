/** Memory of the CPU backends: segments, each one block of memory in which some variables lie with all their arrays,
 *  together with the tables that drive a step over them. */

import type { Gradient, NearRow, RowRequest, Values } from "../../backend.js";
import { BackendError, show } from "../../errors.js";
import { ARRAYS, BLOCK, type Program } from "../../rule/program.js";
import {
  bytesPerElement,
  layOut,
  lengthOf,
  namesOf,
  type Pointer,
  type RowPlaces,
  type TableSizes,
  tableSizes,
} from "./layout.js";
import { WHOLE } from "./sizes.js";
import { SparseWindow } from "./sparse.js";

/** Brings arrays that lie elsewhere to the jobs that need them. Both are called on the thread that runs the step, for each job in order:
 *  `prepare` before it runs, `complete` after. A slot is free again when its job is complete. */
export interface Stager {
  prepare(job: number, slot: number): void;
  complete(job: number, slot: number): void;
}
/** Runs the pending jobs of a segment. */
export type SegmentRunner = (stager?: Stager) => void;

/** What a CPU backend provides: memory, and a way to run programs over jobs in it. */
export interface Engine {
  readonly name: string;
  readonly why: string;
  /** The most that one memory can hold. */
  readonly maxBytes: number;
  /** Threads that share a dispatch. */
  readonly threads: number;
  /** Where there are several: those that are there for a step over so many elements; 1 where it is faster alone. */
  threadsFor?(elements: number): number;
  /** `bytes` zero bytes. */
  allocate(bytes: number): Memory;
  /** Compiles every pass of every program, and binds them to a segment: the result runs its pending jobs. The function of a job is
   *  class * passes + pass. */
  compile(programs: readonly Program[]): (segment: Segment) => SegmentRunner;
  /** Before a step: finds foreign values and gradients that lie in this memory. */
  locate?(rows: readonly CpuRow[], count: number): void;
  /** No step runs over a segment any more: what is bound to it may go. */
  release?(segment: Segment): void;
  dispose?(): void;
}
export interface Memory {
  /** Another one after the memory has grown, if it belongs to somebody who grows it. */
  readonly buffer: ArrayBufferLike;
  /** Where in it the bytes asked for begin. Default: at its start. */
  readonly base?: Pointer;
}

/** A variable's arrays in a segment. */
export class CpuRow implements NearRow {
  gradient: Gradient = null;
  /** By place of the array: "w", "g", then the state in the order of the request; of each, where the row's range begins. That of a foreign "w"
   *  is 0, unless it lies in this memory. */
  readonly pointers: Pointer[];
  readonly names: readonly string[];
  /** Elements that steps compute, and blocks of them. */
  readonly length: number;
  readonly blocks: number;
  /** The first of them in the variable. */
  readonly begin: number;
  readonly bytesPerElement: number;
  readonly constants: Pointer;
  readonly sums: Pointer;
  /** Sums of squares of this step's norms, by pass and sum; made when first needed. */
  normSquares: Float64Array = new Float64Array(0);
  readonly sparse: SparseWindow;
  /** The view that `variable.gradient` gives, once it has been asked for: a gradient that needs no copy. */
  ownGradient: Values | undefined;
  readonly #views = new Map<string, Values>();

  constructor(
    readonly request: RowRequest,
    readonly index: number,
    readonly segment: Segment,
    { pointers, constants, sums }: RowPlaces,
  ) {
    const { shape, length } = request.variable;
    this.names = namesOf(request);
    this.length = lengthOf(request);
    this.blocks = Math.ceil(this.length / BLOCK);
    this.begin = request.range.begin;
    this.bytesPerElement = bytesPerElement(request);
    this.sparse = new SparseWindow(length / (shape[0] || 1));
    this.pointers = pointers.map((pointer, place) => (pointer === 0 ? 0 : pointer + this.#bytesBefore(place)));
    this.constants = constants;
    this.sums = sums;
  }

  /** Of an array, before the row's range. */
  #bytesBefore(place: number): number {
    return place < WHOLE ? this.begin * this.bytesPerElement : 0;
  }

  view(name: string): Values {
    if (this.segment.memory.buffer !== this.segment.buffer) this.segment.refresh();
    const known = this.#views.get(name);
    if (known) return known;
    const { variable, foreign } = this.request;
    if (name === "w" && foreign) return foreign.value;
    const place = this.names.indexOf(name);
    const { buffer } = this.segment;
    const pointer = this.pointers[place]! - this.#bytesBefore(place);
    const length = place < WHOLE ? variable.length : this.length;
    const view = new ARRAYS[variable.dtype](buffer as ArrayBuffer, pointer, length);
    this.#views.set(name, view);
    if (name === "g") this.ownGradient = view;
    return view;
  }

  async read(name: string, begin: number, into: Values): Promise<void> {
    into.set(this.view(name).subarray(begin, begin + into.length));
  }

  async write(name: string, begin: number, values: Values): Promise<void> {
    this.view(name).set(values, begin);
  }

  /** The array of this row that a step writes and `elements` lie in, if only in part; null when they lie elsewhere. */
  writtenArrayAt({ buffer, byteOffset, byteLength }: Values): string | null {
    const overlaps = (name: string) => {
      const own = this.view(name);
      return own.buffer === buffer && byteOffset < own.byteOffset + own.byteLength && own.byteOffset < byteOffset + byteLength;
    };
    return this.names.find((name) => name !== "g" && overlaps(name)) ?? null;
  }

  /** The views are of a memory that has moved. */
  forgetViews(): void {
    this.#views.clear();
    this.ownGradient = undefined;
  }

  free(): void {
    this.forgetViews();
    this.segment.free(this);
  }
}

export class Segment {
  buffer!: ArrayBufferLike;
  words!: Int32Array;
  float32!: Float32Array;
  float64!: Float64Array;
  readonly rows: CpuRow[];
  readonly jobs!: Pointer;
  /** Jobs that can be pending. */
  readonly capacity!: number;
  readonly jobBytes!: number;
  readonly classConstants!: Pointer[];
  /** `slots` slots, each with room for a chunk of w and of g. */
  readonly staging!: Pointer;
  readonly slots!: number;
  readonly slotBytes!: number;
  readonly zeros!: Pointer;
  /** Room for the partial sums of a block, for each thread. */
  readonly scratch!: Pointer;
  readonly scratchBytes!: number;
  readonly memory: Memory;
  /** Jobs written and not yet run, and the elements in them. */
  pending = 0;
  elements = 0;
  /** Which row's whole job stands in each place of the table, and for which plan, so that a step like the last one writes none again. */
  readonly writtenRows: (CpuRow | undefined)[] = [];
  readonly writtenPlans: unknown[] = [];

  readonly #engine: Engine;
  readonly #held: Set<CpuRow>;

  constructor(requests: readonly RowRequest[], firstIndex: number, sizes: TableSizes, engine: Engine) {
    this.#engine = engine;
    this.memory = engine.allocate(layOut(requests, sizes, 0).end);
    const { rows, ...places } = layOut(requests, sizes, this.memory.base ?? 0);
    Object.assign(this, places); // the fields of these names
    this.rows = requests.map((request, i) => new CpuRow(request, firstIndex + i, this, rows[i]!));
    this.#held = new Set(this.rows);
    this.refresh();
  }

  /** Where in `words` the job at a place of the table begins. */
  wordOf(place: number): number {
    return (this.jobs + place * this.jobBytes) / 4;
  }

  /** The memory goes with its last row. */
  free(row: CpuRow): void {
    if (this.#held.delete(row) && this.#held.size === 0) this.#engine.release?.(this);
  }

  /** Makes the views anew: a memory that has grown has detached the old ones. */
  refresh(): void {
    const { buffer } = this.memory;
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
    this.float32 = new Float32Array(buffer);
    this.float64 = new Float64Array(buffer);
    for (const row of this.rows) row.forgetViews();
  }
}

/** Lays variables into a segment, in order; where one memory cannot hold them, each half of them. All or nothing. */
export const placeRows = (
  engine: Engine,
  requests: readonly RowRequest[],
  programs: readonly Program[],
  firstIndex: number,
): CpuRow[] => {
  const sizes = tableSizes(programs);
  const bytesFor = (part: readonly RowRequest[]) => layOut(part, sizes, 0).end;
  for (const request of requests) {
    const { variable } = request;
    variable.layout?.assertWhole(variable);
    const bytes = bytesFor([request]);
    if (bytes > engine.maxBytes)
      throw new BackendError(
        `A variable with its state must fit ${engine.maxBytes} bytes`,
        `${bytes} for ${show(variable.name)}`,
        "Split it.",
      );
  }
  const place = (part: readonly RowRequest[], first: number): CpuRow[] => {
    if (bytesFor(part) <= engine.maxBytes) return new Segment(part, first, sizes, engine).rows;
    const half = part.length >> 1;
    return [...place(part.slice(0, half), first), ...place(part.slice(half), first + half)];
  };
  return requests.length > 0 ? place(requests, firstIndex) : [];
};
