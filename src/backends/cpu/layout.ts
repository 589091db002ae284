/** Where things lie in a segment: its tables, then each variable's arrays. Numbers only. */

import type { RowRequest } from "../../backend.js";
import { ARRAYS, BLOCK, LANES, type Program } from "../../rule/program.js";
import * as JOB from "./job.js";
import { ALIGNMENT, LEAST_JOBS, MAX_THREADS, MOST_JOBS, MOST_SLOTS, UNIFORM_BYTES, W, WHOLE } from "./sizes.js";

/** Bytes from the start of an address space; below 2^32. */
export type Pointer = number;

/** Foreign arrays pass through memory in chunks of this many elements: large enough to amortise a call, small enough for the cache. */
export const CHUNK = 4 * BLOCK;

export const namesOf = (request: RowRequest): string[] => ["w", "g", ...request.state];
export const bytesPerElement = ({ variable }: RowRequest): number => ARRAYS[variable.dtype].BYTES_PER_ELEMENT;
export const lengthOf = ({ range }: RowRequest): number => range.end - range.begin;

/** Where a variable's arrays, its scalars and the sums of its blocks lie. */
export interface RowPlaces {
  readonly pointers: Pointer[];
  readonly constants: Pointer;
  readonly sums: Pointer;
}

/** Sizes that the tables of a segment need, from the fullest programs that will run on it. */
export interface TableSizes {
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

/** The plan of a segment that begins at `base`: first the tables, then the variables one after the other, last the slots for staging: one is enough
 *  for one thread; threads that share a step want several, half of them to work on while the others are filled. They take a sixteenth of what the
 *  variables do, at most. */
export const layOut = (requests: readonly RowRequest[], sizes: TableSizes, base: Pointer) => {
  let end = base;
  const take = (bytes: number): Pointer => {
    const pointer = end;
    end += Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    return pointer;
  };
  const jobBytes = (JOB.arrays + sizes.arrays) * 4;
  const constantsBytes = sizes.uniforms * UNIFORM_BYTES;
  const capacity = Math.min(MOST_JOBS, Math.max(LEAST_JOBS, requests.length));
  const jobs = take(capacity * jobBytes);
  const classConstants = Array.from({ length: sizes.classes }, () => take(constantsBytes));
  const zeros = take(BLOCK * 8);
  const scratchBytes = sizes.sums * LANES * 8;
  const scratch = take(scratchBytes * MAX_THREADS);
  const rowsBegin = end;
  const rows = requests.map((request): RowPlaces => {
    const pointers = namesOf(request).map((_, place) => {
      if (place === W && request.foreign) return 0;
      return take((place < WHOLE ? request.variable.length : lengthOf(request)) * bytesPerElement(request));
    });
    const constants = sizes.constantsPerRow ? take(constantsBytes) : classConstants[request.class]!;
    return { pointers, constants, sums: take(Math.ceil(lengthOf(request) / BLOCK) * sizes.sums * 8) };
  });
  const slotBytes = 2 * CHUNK * Math.max(...requests.map(bytesPerElement));
  const slots = Math.min(MOST_SLOTS, Math.max(1, Math.floor((end - rowsBegin) / 16 / slotBytes)));
  const staging = take(slots * slotBytes);
  return { capacity, jobBytes, jobs, classConstants, staging, slotBytes, slots, zeros, scratchBytes, scratch, rows, end };
};
