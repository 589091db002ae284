/** Writes the jobs of a pass and has the engine run them. Arrays that are in the segment's memory are worked on where they lie; others pass
 *  through the staging area, a chunk a job. */

import { IndexedSlices } from "../../indexed-slices.js";
import { BLOCK, type Program } from "../../rule/program.js";
import * as JOB from "./job.js";
import { CHUNK } from "./layout.js";
import type { CpuRow, Engine, Segment, SegmentRunner } from "./memory.js";
import type { ClassPlan } from "./plan.js";
import { isDense, Staging } from "./staging.js";

/** Enough that a thread which lost its core for a moment holds the others up only a little. */
const PARTS_PER_THREAD = 16;
/** A part takes microseconds, so that handing it over costs little. */
const LEAST_BLOCKS = 4;

/** What a segment's jobs need to run. */
interface Bound {
  readonly run: SegmentRunner;
  readonly staging: Staging;
}

export class Jobs {
  readonly #engine: Engine;
  readonly #passes: number;
  readonly #constantsPerRow: boolean;
  readonly #bind: (segment: Segment) => SegmentRunner;
  /** Weak, because segments go with their variables, and steps stay. */
  readonly #bound = new WeakMap<Segment, Bound>();
  /** Segments with jobs to run. */
  readonly #open: Segment[] = [];
  /** Rows whose gradient names rows of theirs. */
  readonly #listed: CpuRow[] = [];
  /** Elements in one job at most: all of a variable on one thread, enough parts to share on several. */
  #jobLength = Infinity;

  /** `passes`: how many each program has. `constantsPerRow`: whether some scalars differ from row to row. */
  constructor(engine: Engine, programs: readonly Program[], passes: number, constantsPerRow: boolean) {
    this.#engine = engine;
    this.#passes = passes;
    this.#constantsPerRow = constantsPerRow;
    this.#bind = engine.compile(programs);
  }

  /** Before a step over `rows[0..count)`: into how large parts it is cut. Whole blocks, so that norms are summed alike on any number of
   *  threads. */
  begin(rows: readonly CpuRow[], count: number): void {
    this.#jobLength = Infinity;
    if (this.#engine.threads === 1) return;
    let elements = 0;
    for (let i = 0; i < count; i++) elements += rows[i]!.length;
    const threads = this.#engine.threadsFor!(elements);
    if (threads > 1) this.#jobLength = Math.max(LEAST_BLOCKS, Math.ceil(elements / threads / PARTS_PER_THREAD / BLOCK)) * BLOCK;
  }

  /** Runs what was added. */
  run(): void {
    for (const segment of this.#open) this.#flush(segment);
    this.#open.length = 0;
  }

  /** After a step. Where it broke off, jobs are left: the next one must not run them. */
  clear(): void {
    if (this.#open.length > 0) for (const segment of this.#open.splice(0)) this.#clear(segment);
    if (this.#listed.length > 0) for (const { sparse } of this.#listed.splice(0)) sparse.close();
  }

  /** The jobs of one variable in one pass. */
  add(row: CpuRow, plan: ClassPlan, pass: number): void {
    const { gradient, length } = row;
    const { foreign } = row.request;
    const uses = plan.uses[pass]!;
    const stagesW = foreign !== null && uses.w && row.pointers[0] === 0;
    const stagesG = uses.g && gradient !== row.ownGradient;
    if (stagesW || stagesG) {
      if (pass === 0 && gradient instanceof IndexedSlices) {
        row.sparse.open(gradient);
        this.#listed.push(row);
      }
      // Only a dense gradient is worth a large chunk: most blocks of a sparse one are the same block of zeros.
      const chunk = stagesG && !isDense(gradient) ? BLOCK : CHUNK;
      for (let begin = 0; begin < length; begin += chunk) {
        this.#writeJob(row, plan, pass, begin, Math.min(chunk, length - begin));
        this.#boundTo(row.segment).staging.plan({ row, plan, begin, stagesW, stagesG, storesW: uses.storesW });
      }
    } else if (length > this.#jobLength)
      for (let begin = 0; begin < length; begin += this.#jobLength)
        this.#writeJob(row, plan, pass, begin, Math.min(this.#jobLength, length - begin));
    else if (length > 0) this.#writeWholeJob(row, plan, pass);
  }

  /** A variable in one job. Mostly it is as in the last step, and stands in the table already. */
  #writeWholeJob(row: CpuRow, plan: ClassPlan, pass: number): void {
    const { segment, length } = row;
    const place = segment.pending;
    const isWritten =
      segment.writtenRows[place] === row &&
      segment.writtenPlans[place] === plan &&
      segment.words[segment.wordOf(place)] === this.#functionOf(row, pass);
    if (isWritten) this.#countJob(segment, length);
    else {
      this.#writeJob(row, plan, pass, 0, length);
      segment.writtenRows[segment.pending - 1] = row;
      segment.writtenPlans[segment.pending - 1] = plan;
    }
  }

  #functionOf(row: CpuRow, pass: number): number {
    return row.request.class * this.#passes + pass;
  }

  #countJob(segment: Segment, elements: number): void {
    if (segment.pending === 0 && !this.#open.includes(segment)) this.#open.push(segment);
    segment.pending++;
    segment.elements += elements;
  }

  #writeJob(row: CpuRow, plan: ClassPlan, pass: number, begin: number, length: number): void {
    const { segment, names, pointers, bytesPerElement } = row;
    const { words } = segment;
    const { buffers, passes } = plan.program;
    if (segment.pending === segment.capacity) this.#flush(segment);
    if (plan.arrays.length < buffers.length) plan.arrays.push(...buffers.map((name) => names.indexOf(name)));
    const job = segment.wordOf(segment.pending);
    words[job + JOB.callee] = this.#functionOf(row, pass);
    words[job + JOB.length] = length;
    words[job + JOB.constants] = this.#constantsPerRow ? row.constants : segment.classConstants[row.request.class]!;
    words[job + JOB.sums] = row.sums + (begin / BLOCK) * passes[pass]!.sums.length * 8;
    for (let i = 0; i < buffers.length; i++) words[job + JOB.arrays + i] = pointers[plan.arrays[i]!]! + begin * bytesPerElement;
    segment.writtenRows[segment.pending] = undefined;
    this.#countJob(segment, length);
  }

  #boundTo(segment: Segment): Bound {
    let bound = this.#bound.get(segment);
    if (!bound) {
      bound = { run: this.#bind(segment), staging: new Staging(segment) };
      this.#bound.set(segment, bound);
    }
    return bound;
  }

  #flush(segment: Segment): void {
    if (segment.pending === 0) return;
    const { run, staging } = this.#boundTo(segment);
    run(staging.isNeeded ? staging : undefined);
    this.#clear(segment);
  }

  #clear(segment: Segment): void {
    segment.pending = segment.elements = 0;
    this.#bound.get(segment)?.staging.clear();
  }
}
