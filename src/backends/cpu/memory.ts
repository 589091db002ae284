/** Memory of the CPU backends: segments, each one block of memory in which some variables lie with all their arrays,
 *  together with the tables that drive a step over them. */

import { BackendError, show } from "../../errors.js";
import { BLOCK, LANES, type Program } from "../../rule/program.js";
import type { Gradient, Row, RowRequest, Values } from "../backend.js";
import { SparseWindow } from "./sparse.js";

/** Bytes from the start of an address space; below 2^32. */
export type Pointer = number;

/** A job tells a pass where to work. Its words (32 bits each), followed by one pointer per array of the program: */
export const JOB = { function: 0, length: 1, constants: 2, sums: 3, arrays: 4 } as const;
/** Jobs that a segment has room for: one for each variable, so that a pass is one dispatch, and some to cut large variables into. The most is what
 *  threads can deal out at once: half of what fits 16 bits, because threads that claim in vain count on (wasm/claims.ts). */
const LEAST_JOBS = 1024;
const MOST_JOBS = 0x7fff;
/** A scalar stands ready for vector loads: repeated over 16 bytes. */
export const UNIFORM_BYTES = 16;
/** Foreign arrays pass through memory in chunks of this many elements: large enough to amortise a call, small enough for the cache. */
export const CHUNK = 4 * BLOCK;
const MOST_SLOTS = 16;
export const MAX_THREADS = 256;
/** Arrays begin on cache lines. */
const ALIGNMENT = 64;

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
  /** Threads that are there for a step over so many elements; 1 where it is faster alone. */
  threadsFor(elements: number): number;
  /** `bytes` zero bytes. */
  allocate(bytes: number): Memory;
  /** Compiles every pass of every program, and binds them to a segment: the result runs its pending jobs. The function of a job is
   *  class * passes + pass. */
  compile(programs: readonly Program[]): (segment: Segment) => SegmentRunner;
  /** No step runs over a segment any more: what is bound to it may go. */
  release?(segment: Segment): void;
  dispose(): void;
}
export interface Memory {
  /** Another one after the memory has grown, if it belongs to somebody who grows it. */
  readonly buffer: ArrayBufferLike;
  /** Where in it the bytes asked for begin. Default: at its start. */
  readonly base?: Pointer;
}

/** Sizes that the tables of a segment need, from the fullest programs that will run on it. */
interface TableSizes {
  readonly classes: number;
  readonly uniforms: number;
  readonly sums: number;
  readonly arrays: number;
  /** Norms per variable make some scalars differ from row to row. */
  readonly constantsPerRow: boolean;
}

export const tableSizes = (programs: readonly Program[]): TableSizes => ({
  classes: programs.length,
  uniforms: Math.max(...programs.map((program) => program.uniforms.length)),
  sums: Math.max(0, ...programs.flatMap((program) => program.passes.map((pass) => pass.sums.length))),
  arrays: Math.max(...programs.map((program) => program.buffers.length)),
  constantsPerRow: programs.some(hasVariableNorm),
});

export const hasVariableNorm = (program: Program): boolean =>
  program.scalars.some((scalar) => scalar.kind === "norm" && scalar.scope === "variable");

/** A variable's arrays in a segment. */
export class CpuRow implements Row {
  gradient: Gradient = null;
  /** By place of the array: "w", "g", then the state in the order of the request. That of a foreign "w" is 0, unless it lies in this memory. */
  readonly pointers: Pointer[];
  readonly names: readonly string[];
  readonly rowSize: number;
  readonly constants: Pointer;
  readonly sums: Pointer;
  /** Sums of squares of this step's norms, by pass and sum; made when first needed. */
  normSquares: Float64Array = new Float64Array(0);
  readonly sparse = new SparseWindow();
  /** The view that `variable.gradient` gives, once it has been asked for: a gradient that needs no copy. */
  ownGradient: Values | undefined;
  readonly #views = new Map<string, Values>();

  constructor(
    readonly request: RowRequest,
    readonly index: number,
    readonly segment: Segment,
    { pointers, constants, sums }: RowPlaces,
  ) {
    this.names = namesOf(request);
    this.rowSize = request.rowSize;
    this.pointers = pointers;
    this.constants = constants;
    this.sums = sums;
  }

  get bytesPerElement(): 4 | 8 {
    return bytesPerElement(this.request);
  }

  array(name: string): Values {
    let view = this.#views.get(name);
    if (!view) {
      const { dtype, length } = this.request;
      const { buffer } = this.segment.memory;
      const pointer = this.pointers[this.names.indexOf(name)];
      view = dtype === "float32" ? new Float32Array(buffer, pointer, length) : new Float64Array(buffer, pointer, length);
      this.#views.set(name, view);
      if (name === "g") this.ownGradient = view;
    }
    return view;
  }

  /** The value and the gradient lie there from now on. Jobs that were written for other places are void. */
  moveTo(w: Pointer, g: Pointer): void {
    if (this.pointers[0] === w && this.pointers[1] === g) return;
    this.pointers[0] = w;
    this.pointers[1] = g;
    this.segment.writtenRows.length = 0;
  }

  /** The views are of a memory that has moved. */
  forgetViews(): void {
    this.#views.clear();
    this.ownGradient = undefined;
  }
}

/** Where a variable's arrays, its scalars and the sums of its blocks lie. */
interface RowPlaces {
  readonly pointers: Pointer[];
  readonly constants: Pointer;
  readonly sums: Pointer;
}

const namesOf = (request: RowRequest): string[] => ["w", "g", ...request.state];
const bytesPerElement = ({ dtype }: RowRequest): 4 | 8 => (dtype === "float32" ? 4 : 8);
/** Of all the arrays. */
const arrayBytes = (request: RowRequest): number => request.length * bytesPerElement(request) * namesOf(request).length;

/** Slots for staging: one is enough for one thread; threads that share a step want several, half of them to work on while the others are
 *  filled. They take a sixteenth of what the variables do, at most. */
const slotsFor = (requests: readonly RowRequest[], slotBytes: number): number => {
  const bytes = requests.reduce((sum, request) => sum + arrayBytes(request), 0);
  return Math.min(MOST_SLOTS, Math.max(1, Math.floor(bytes / 16 / slotBytes)));
};

/** The plan of a segment that begins at `base`: first the tables, then the variables one after the other. */
const layOut = (requests: readonly RowRequest[], sizes: TableSizes, base: Pointer) => {
  let end = base;
  const take = (bytes: number): Pointer => {
    const pointer = end;
    end += Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    return pointer;
  };
  const jobBytes = (JOB.arrays + sizes.arrays) * 4;
  const capacity = Math.min(MOST_JOBS, Math.max(LEAST_JOBS, requests.length));
  const jobs = take(capacity * jobBytes);
  const classConstants = Array.from({ length: sizes.classes }, () => take(sizes.uniforms * UNIFORM_BYTES));
  const slotBytes = 2 * CHUNK * Math.max(...requests.map(bytesPerElement));
  const slots = slotsFor(requests, slotBytes);
  const staging = take(slots * slotBytes);
  const zeros = take(BLOCK * 8);
  const scratchBytes = sizes.sums * LANES * 8;
  const scratch = take(scratchBytes * MAX_THREADS);
  const rows = requests.map((request): RowPlaces => {
    const bytes = request.length * bytesPerElement(request);
    const pointers = namesOf(request).map((name) => (name === "w" && request.foreign ? 0 : take(bytes)));
    const constants = sizes.constantsPerRow ? take(sizes.uniforms * UNIFORM_BYTES) : classConstants[request.class]!;
    return { pointers, constants, sums: take(Math.ceil(request.length / BLOCK) * sizes.sums * 8) };
  });
  return { capacity, jobBytes, jobs, classConstants, staging, slotBytes, slots, zeros, scratchBytes, scratch, rows, end };
};

export class Segment {
  words!: Int32Array;
  float32!: Float32Array;
  float64!: Float64Array;
  readonly rows: CpuRow[];
  readonly jobs: Pointer;
  /** Jobs that can be pending. */
  readonly capacity: number;
  readonly jobBytes: number;
  readonly classConstants: Pointer[];
  /** `slots` slots, each with room for a chunk of w and of g. */
  readonly staging: Pointer;
  readonly slots: number;
  readonly slotBytes: number;
  readonly zeros: Pointer;
  /** Room for the partial sums of a block, for each thread. */
  readonly scratch: Pointer;
  readonly scratchBytes: number;
  readonly memory: Memory;
  /** Jobs written and not yet run, and the elements in them. */
  pending = 0;
  elements = 0;
  /** Which row's whole job stands in each place of the table, and for which plan, so that a step like the last one writes none again. */
  readonly writtenRows: (CpuRow | undefined)[] = [];
  readonly writtenPlans: unknown[] = [];

  constructor(requests: readonly RowRequest[], firstIndex: number, sizes: TableSizes, engine: Engine) {
    this.memory = engine.allocate(layOut(requests, sizes, 0).end);
    const { rows, ...places } = layOut(requests, sizes, this.memory.base ?? 0);
    this.capacity = places.capacity;
    this.jobBytes = places.jobBytes;
    this.jobs = places.jobs;
    this.classConstants = places.classConstants;
    this.staging = places.staging;
    this.slots = places.slots;
    this.slotBytes = places.slotBytes;
    this.zeros = places.zeros;
    this.scratchBytes = places.scratchBytes;
    this.scratch = places.scratch;
    this.rows = requests.map((request, i) => new CpuRow(request, firstIndex + i, this, rows[i]!));
    this.refresh();
  }

  /** Where in `words` the job at a place of the table begins. */
  wordOf(place: number): number {
    return (this.jobs + place * this.jobBytes) / 4;
  }

  /** Makes the views anew: a memory that has grown has detached the old ones. */
  refresh(): void {
    const { buffer } = this.memory;
    this.words = new Int32Array(buffer);
    this.float32 = new Float32Array(buffer);
    this.float64 = new Float64Array(buffer);
    for (const row of this.rows) row.forgetViews();
  }
}

/** Bytes that `request` takes in a segment, and what a segment takes before its first row: upper bounds, for splitting. */
const rowBytes = (request: RowRequest, sizes: TableSizes): number => {
  const sums = Math.ceil(request.length / BLOCK) * sizes.sums * 8;
  const tables = sizes.uniforms * UNIFORM_BYTES + (JOB.arrays + sizes.arrays) * 4;
  return arrayBytes(request) + sums + tables + (namesOf(request).length + 2) * ALIGNMENT;
};
const TABLES_BYTES = 2 ** 20 + MOST_SLOTS * 2 * CHUNK * 8;

/** Lays variables into as few segments as hold them, in order. All or nothing. */
export const placeRows = (
  engine: Engine,
  requests: readonly RowRequest[],
  programs: readonly Program[],
  firstIndex: number,
): CpuRow[] => {
  const sizes = tableSizes(programs);
  const groups: RowRequest[][] = [];
  let room = 0;
  for (const request of requests) {
    const bytes = rowBytes(request, sizes);
    if (bytes + TABLES_BYTES > engine.maxBytes)
      throw new BackendError(
        `A variable's arrays must fit one memory, which in the ${engine.name} backend holds ${engine.maxBytes} bytes`,
        `${show(request.name)} (${request.length} ${request.dtype} elements), which needs ${bytes} bytes with its gradient and state`,
        "Split the variable.",
      );
    if (bytes > room) {
      groups.push([]);
      room = engine.maxBytes - TABLES_BYTES;
    }
    groups.at(-1)!.push(request);
    room -= bytes;
  }
  let index = firstIndex;
  return groups.flatMap((group) => {
    const { rows } = new Segment(group, index, sizes, engine);
    index += group.length;
    return rows;
  });
};
