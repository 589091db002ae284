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
export const JOBS = 1024;
/** A scalar stands ready for vector loads: repeated over 16 bytes. */
export const UNIFORM_BYTES = 16;
/** Foreign arrays pass through memory in chunks of this many elements: large enough to amortise a call, small enough for the cache. */
export const CHUNK = 4 * BLOCK;
export const MAX_THREADS = 256;
/** Arrays begin on cache lines. */
const ALIGNMENT = 64;

/** What a CPU backend provides: memory, and a way to run programs over jobs in it. */
export interface Engine {
  readonly name: string;
  readonly why: string;
  /** The most that one memory can hold. */
  readonly maxBytes: number;
  /** Threads that share a dispatch. */
  readonly threads: number;
  /** `bytes` zero bytes. */
  allocate(bytes: number): Memory;
  /** Compiles every pass of every program, and binds them to a segment: the result runs its pending jobs. The function of a job is
   *  class * passes + pass. */
  compile(programs: readonly Program[]): (segment: Segment) => () => void;
  dispose(): void;
}
export interface Memory {
  readonly buffer: ArrayBufferLike;
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
  /** By place of the array: "w", "g", then the state in the order of the request. */
  readonly pointers: Pointer[] = [];
  readonly names: readonly string[];
  readonly rowSize: number;
  constants: Pointer = 0;
  sums: Pointer = 0;
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
  ) {
    this.names = ["w", "g", ...request.state];
    this.rowSize = request.rowSize;
  }

  get bytesPerElement(): 4 | 8 {
    return this.request.dtype === "float32" ? 4 : 8;
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
}

export class Segment {
  readonly words: Int32Array;
  readonly float32: Float32Array;
  readonly float64: Float64Array;
  readonly rows: CpuRow[];
  readonly jobs: Pointer;
  readonly jobBytes: number;
  readonly classConstants: Pointer[];
  readonly staging: Pointer;
  readonly zeros: Pointer;
  /** Room for the partial sums of a block, for each thread. */
  readonly scratch: Pointer;
  readonly scratchBytes: number;
  readonly end: Pointer;
  readonly memory: Memory;
  /** Jobs written and not yet run, and staging memory in use by them. */
  pending = 0;
  /** Elements in the pending jobs. */
  elements = 0;
  staged = 0;
  /** Where staged values go back to after the jobs have run: row, first element, pointer, length. */
  readonly returns: { row: CpuRow; begin: number; pointer: Pointer; length: number }[] = [];

  constructor(requests: readonly RowRequest[], firstIndex: number, sizes: TableSizes, engine: Engine) {
    let end = 0;
    const take = (bytes: number): Pointer => {
      const pointer = end;
      end += Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
      return pointer;
    };
    this.jobBytes = (JOB.arrays + sizes.arrays) * 4;
    this.jobs = take(JOBS * this.jobBytes);
    this.classConstants = Array.from({ length: sizes.classes }, () => take(sizes.uniforms * UNIFORM_BYTES));
    this.staging = take(STAGING_BYTES);
    this.zeros = take(BLOCK * 8);
    this.scratchBytes = sizes.sums * LANES * 8;
    this.scratch = take(this.scratchBytes * MAX_THREADS);
    this.rows = requests.map((request, i) => {
      const row = new CpuRow(request, firstIndex + i, this);
      for (const name of row.names) row.pointers.push(name === "w" && request.foreign ? 0 : take(request.length * row.bytesPerElement));
      row.constants = sizes.constantsPerRow ? take(sizes.uniforms * UNIFORM_BYTES) : this.classConstants[request.class]!;
      row.sums = take(Math.ceil(request.length / BLOCK) * sizes.sums * 8);
      return row;
    });
    this.end = end;
    this.memory = engine.allocate(end);
    this.words = new Int32Array(this.memory.buffer);
    this.float32 = new Float32Array(this.memory.buffer);
    this.float64 = new Float64Array(this.memory.buffer);
  }
}

/** Room for a chunk of w and of g, in float64. */
export const STAGING_BYTES = 2 * CHUNK * 8;

/** Bytes that `request` takes in a segment, and what a segment takes before its first row: upper bounds, for splitting. */
const rowBytes = (request: RowRequest, sizes: TableSizes): number => {
  const element = request.dtype === "float32" ? 4 : 8;
  const arrays = 2 + request.state.length;
  const sums = Math.ceil(request.length / BLOCK) * sizes.sums * 8;
  return request.length * element * arrays + sums + sizes.uniforms * UNIFORM_BYTES + (arrays + 2) * ALIGNMENT;
};
const TABLES_BYTES = 2 ** 20;

/** Lays variables into as few segments as hold them, in order. All or nothing. */
export const placeRows = (engine: Engine, requests: readonly RowRequest[], programs: readonly Program[], firstIndex: number): CpuRow[] => {
  const sizes = tableSizes(programs);
  const groups: RowRequest[][] = [];
  let room = 0;
  for (const request of requests) {
    const bytes = rowBytes(request, sizes);
    if (bytes + TABLES_BYTES > engine.maxBytes)
      throw new BackendError(
        `Variable ${show(request.name)} (${request.length} ${request.dtype} elements) needs ${bytes} bytes with its gradient and state, ` +
          `and one memory of the ${engine.name} backend holds ${engine.maxBytes}. Split the variable.`,
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
