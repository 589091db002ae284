/** A step on a CPU backend: scalars, then for each pass one list of jobs over every variable. The backend behind it
 *  only runs the jobs. With adopted variables and gradients a pass is one dispatch; foreign and sparse arrays come through
 *  a small staging area, chunk by chunk. */

import { BLOCK, type Program } from "../../rule/program.js";
import type { Backend, CompiledStep, Row, RowClass, RowRequest, StepParameters, Values } from "../backend.js";
import {
  CHUNK,
  type CpuRow,
  type Engine,
  hasVariableNorm,
  JOB,
  type Pointer,
  placeRows,
  type Segment,
  STAGING_BYTES,
  UNIFORM_BYTES,
} from "./memory.js";
import { evaluateScalars } from "./scalars.js";

export class CpuBackend implements Backend {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  get name(): string {
    return this.#engine.name;
  }

  get why(): string {
    return this.#engine.why;
  }

  /** Threads that share a step. */
  get threads(): number {
    return this.#engine.threads;
  }

  place(requests: readonly RowRequest[], programs: readonly Program[], firstIndex: number): Row[] {
    const rows = placeRows(this.#engine, requests, programs, firstIndex);
    // The first touch of fresh memory is slow, above all on virtual machines: here, not in the first step.
    for (const row of rows) for (const name of row.request.state) row.array(name).fill(0);
    return rows;
  }

  /** A step of `programs`, of which `classes` says the scalars. */
  compile(programs: readonly Program[], classes: readonly RowClass[]): CompiledStep {
    return new CpuStep(this.#engine, programs, classes);
  }

  dispose(): void {
    this.#engine.dispose();
  }
}

/** Enough that a thread which lost its core for a moment holds the others up only a little. */
const PARTS_PER_THREAD = 16;
/** A part takes microseconds, so that handing it over costs little. */
const LEAST_BLOCKS = 4;

/** What a class of variables needs in each step. */
interface ClassPlan {
  readonly program: Program;
  readonly class: RowClass;
  readonly scalars: Float64Array;
  /** Per pass: whether it touches w and g, and whether it stores w. */
  readonly uses: readonly { readonly w: boolean; readonly g: boolean; readonly storesW: boolean }[];
  /** For each array of the program, its place among the arrays of a row; filled at the first run. */
  readonly arrays: number[];
}

const plan = (program: Program, rowClass: RowClass): ClassPlan => {
  const w = program.buffers.indexOf("w");
  const g = program.buffers.indexOf("g");
  const uses = program.passes.map(({ nodes, stores }) => {
    const loads = (buffer: number) => nodes.some((node) => node.kind === "load" && node.buffer === buffer);
    const storesW = stores.some((store) => store.buffer === w);
    return { w: loads(w) || storesW, g: loads(g), storesW };
  });
  return { program, class: rowClass, scalars: new Float64Array(program.scalars.length), uses, arrays: [] };
};

class CpuStep implements CompiledStep {
  readonly #plans: readonly ClassPlan[];
  readonly #passes: number;
  readonly #sums: number;
  readonly #constantsPerRow: boolean;
  readonly #engine: Engine;
  readonly #bind: (segment: Segment) => () => void;
  readonly #bound = new Map<Segment, () => void>();
  /** Sums of squares over all variables, by pass and sum. */
  readonly #modelSquares: Float64Array;
  readonly #parameters = { learningRate: 0, step: 0, weightDecay: 0 };
  /** Segments with jobs to run. */
  readonly #open: Segment[] = [];
  /** Elements in one job at most: all of a variable on one thread, enough parts to share on several. */
  #jobLength = Number.POSITIVE_INFINITY;

  constructor(engine: Engine, programs: readonly Program[], classes: readonly RowClass[]) {
    this.#plans = programs.map((program, i) => plan(program, classes[i]!));
    this.#passes = programs[0]!.passes.length;
    this.#sums = Math.max(...programs[0]!.passes.map((pass) => pass.sums.length));
    this.#constantsPerRow = programs.some(hasVariableNorm);
    this.#modelSquares = new Float64Array(this.#passes * this.#sums);
    this.#engine = engine;
    this.#bind = engine.compile(programs);
  }

  run(rows: readonly CpuRow[], count: number, parameters: StepParameters): void {
    for (const plan of this.#plans) this.#evaluate(plan, 0, parameters);
    this.#jobLength = this.#partLength(rows, count);
    try {
      for (let pass = 0; pass < this.#passes; pass++) this.#runPass(rows, count, pass, parameters);
    } finally {
      // Where the step broke off, jobs are left. The next step must not run them.
      for (const segment of this.#open) segment.clear();
      this.#open.length = 0;
    }
  }

  #runPass(rows: readonly CpuRow[], count: number, pass: number, parameters: StepParameters): void {
    if (this.#constantsPerRow) this.#writeConstantsPerRow(rows, count, pass, parameters);
    else this.#writeConstantsPerClass(rows, count, pass, parameters);
    for (let i = 0; i < count; i++) this.#enqueue(rows[i]!, pass);
    for (const segment of this.#open) this.#flush(segment);
    this.#open.length = 0;
    if (pass + 1 < this.#passes) this.#joinSums(rows, count, pass);
  }

  /** Whole blocks, so that norms are summed alike on any number of threads. */
  #partLength(rows: readonly CpuRow[], count: number): number {
    if (this.#engine.threads === 1) return Number.POSITIVE_INFINITY;
    let elements = 0;
    for (let i = 0; i < count; i++) elements += rows[i]!.request.length;
    const threads = this.#engine.threadsFor(elements);
    if (threads === 1) return Number.POSITIVE_INFINITY;
    return Math.max(LEAST_BLOCKS, Math.ceil(elements / threads / PARTS_PER_THREAD / BLOCK)) * BLOCK;
  }

  #evaluate(plan: ClassPlan, stage: number, { learningRate, step }: StepParameters): void {
    this.#parameters.learningRate = learningRate * plan.class.learningRateMultiplier;
    this.#parameters.weightDecay = plan.class.weightDecay;
    this.#parameters.step = step;
    evaluateScalars(plan.program, stage, plan.scalars, this.#parameters);
  }

  #writeConstantsPerClass(rows: readonly CpuRow[], count: number, pass: number, parameters: StepParameters): void {
    if (pass > 0)
      for (const plan of this.#plans) {
        this.#readNorms(plan, pass, this.#modelSquares);
        this.#evaluate(plan, pass, parameters);
      }
    let segment: Segment | undefined;
    for (let i = 0; i < count; i++) {
      if (rows[i]!.segment === segment) continue;
      segment = rows[i]!.segment;
      for (let c = 0; c < this.#plans.length; c++) writeConstants(segment, segment.classConstants[c]!, this.#plans[c]!);
    }
  }

  #writeConstantsPerRow(rows: readonly CpuRow[], count: number, pass: number, parameters: StepParameters): void {
    for (let i = 0; i < count; i++) {
      const row = rows[i]!;
      const plan = this.#plans[row.request.class]!;
      // Rows of a class share the array of scalars, so each row's are evaluated anew from its norms.
      for (let stage = 1; stage <= pass; stage++) {
        this.#readNorms(plan, stage, row.normSquares);
        this.#evaluate(plan, stage, parameters);
      }
      writeConstants(row.segment, row.constants, plan);
    }
  }

  #readNorms({ program, scalars }: ClassPlan, stage: number, rowSquares: Float64Array): void {
    program.scalars.forEach((scalar, place) => {
      if (scalar.kind !== "norm" || scalar.stage !== stage) return;
      const squares = scalar.scope === "model" ? this.#modelSquares : rowSquares;
      scalars[place] = Math.sqrt(squares[scalar.pass * this.#sums + scalar.sum]!);
    });
  }

  /** Adds the sums of blocks in build order. */
  #joinSums(rows: readonly CpuRow[], count: number, pass: number): void {
    const first = pass * this.#sums;
    this.#modelSquares.fill(0, first, first + this.#sums);
    for (let i = 0; i < count; i++) {
      const row = rows[i]!;
      const sums = this.#plans[row.request.class]!.program.passes[pass]!.sums.length;
      if (row.normSquares.length === 0) row.normSquares = new Float64Array(this.#passes * this.#sums);
      const { float64 } = row.segment;
      const begin = row.sums / 8;
      const end = begin + Math.ceil(row.request.length / BLOCK) * sums;
      for (let sum = 0; sum < sums; sum++) {
        let total = 0;
        for (let k = begin + sum; k < end; k += sums) total += float64[k]!;
        row.normSquares[first + sum] = total;
        this.#modelSquares[first + sum]! += total;
      }
    }
  }

  /** Writes the jobs of one variable in one pass. */
  #enqueue(row: CpuRow, pass: number): void {
    const { segment, gradient, bytesPerElement } = row;
    const { length, foreign } = row.request;
    const plan = this.#plans[row.request.class]!;
    const uses = plan.uses[pass]!;
    const stagesW = foreign !== null && uses.w && row.pointers[0] === 0;
    const stagesG = uses.g && gradient !== row.ownGradient;
    if (!stagesW && !stagesG) {
      if (length <= this.#jobLength) this.#writeWholeJob(row, plan, pass);
      else
        for (let begin = 0; begin < length; begin += this.#jobLength) {
          const offset = begin * bytesPerElement;
          this.#writeJob(
            row,
            plan,
            pass,
            begin,
            Math.min(this.#jobLength, length - begin),
            row.pointers[0]! + offset,
            row.pointers[1]! + offset,
          );
        }
      return;
    }
    const sparse = gradient !== null && "indices" in gradient ? gradient : null;
    if (sparse && pass === 0) row.sparse.open(sparse, row.rowSize);
    else if (sparse) row.sparse.rewind();

    // Only a dense gradient is worth a large chunk: most blocks of a sparse one are the same block of zeros.
    const chunk = stagesG && (sparse || gradient === null) ? BLOCK : CHUNK;
    for (let begin = 0; begin < length; begin += chunk) {
      const count = Math.min(chunk, length - begin);
      const bytes = count * bytesPerElement;
      // Before anything is staged: a flush frees the staging area.
      if (segment.pending === segment.capacity || segment.staged + 2 * (bytes + 64) > STAGING_BYTES) this.#flush(segment);

      let w = row.pointers[0]! + begin * bytesPerElement;
      let g = row.pointers[1]! + begin * bytesPerElement;
      if (stagesW) {
        w = stage(row, foreign!.value, begin, count);
        if (uses.storesW) segment.returns.push({ row, begin, pointer: w, length: count });
      }
      if (stagesG) {
        if (sparse && row.sparse.touches(begin, begin + count)) {
          g = reserve(segment, bytes);
          row.sparse.write(begin, begin + count, elementsOf(row), g / bytesPerElement);
        } else if (sparse || gradient === null) g = segment.zeros;
        else g = stage(row, gradient as Values, begin, count);
      }
      this.#writeJob(row, plan, pass, begin, count, w, g);
    }
  }

  /** A variable in one job. Mostly it is as in the last step, and stands in the table already. */
  #writeWholeJob(row: CpuRow, plan: ClassPlan, pass: number): void {
    const { segment } = row;
    const { length } = row.request;
    if (length === 0) return;
    const place = segment.pending;
    const isWritten =
      segment.writtenRows[place] === row &&
      segment.writtenPlans[place] === plan &&
      segment.words[jobAt(segment)] === this.#functionOf(row, pass);
    if (isWritten) {
      this.#countJob(segment, length);
      return;
    }
    this.#writeJob(row, plan, pass, 0, length, row.pointers[0]!, row.pointers[1]!);
    segment.writtenRows[segment.pending - 1] = row;
    segment.writtenPlans[segment.pending - 1] = plan;
  }

  #functionOf(row: CpuRow, pass: number): number {
    return row.request.class * this.#passes + pass;
  }

  #countJob(segment: Segment, elements: number): void {
    if (segment.pending === 0 && !this.#open.includes(segment)) this.#open.push(segment);
    segment.pending++;
    segment.elements += elements;
  }

  #writeJob(row: CpuRow, plan: ClassPlan, pass: number, begin: number, length: number, w: Pointer, g: Pointer): void {
    const { segment, names, pointers, bytesPerElement } = row;
    const { words } = segment;
    const { buffers, passes } = plan.program;
    if (segment.pending === segment.capacity) this.#flush(segment);
    if (plan.arrays.length < buffers.length) plan.arrays.push(...buffers.map((name) => names.indexOf(name)));
    const job = jobAt(segment);
    words[job + JOB.function] = this.#functionOf(row, pass);
    words[job + JOB.length] = length;
    words[job + JOB.constants] = this.#constantsPerRow ? row.constants : segment.classConstants[row.request.class]!;
    words[job + JOB.sums] = row.sums + (begin / BLOCK) * passes[pass]!.sums.length * 8;
    for (let i = 0; i < buffers.length; i++) {
      const array = plan.arrays[i]!;
      words[job + JOB.arrays + i] = array === 0 ? w : array === 1 ? g : pointers[array]! + begin * bytesPerElement;
    }
    segment.writtenRows[segment.pending] = undefined;
    this.#countJob(segment, length);
  }

  #flush(segment: Segment): void {
    if (segment.pending === 0) return;
    let run = this.#bound.get(segment);
    if (!run) {
      run = this.#bind(segment);
      this.#bound.set(segment, run);
    }
    run();
    for (const { row, begin, pointer, length } of segment.returns) {
      const from = pointer / row.bytesPerElement;
      row.request.foreign!.target().set(elementsOf(row).subarray(from, from + length), begin);
    }
    segment.clear();
  }
}

/** The segment's memory in the dtype of a row. */
const elementsOf = (row: CpuRow): Values => (row.bytesPerElement === 4 ? row.segment.float32 : row.segment.float64);

/** The word at which the next job begins. */
const jobAt = (segment: Segment): number => (segment.jobs + segment.pending * segment.jobBytes) / 4;

const reserve = (segment: Segment, bytes: number): Pointer => {
  const pointer = segment.staging + segment.staged;
  segment.staged += Math.ceil(bytes / 64) * 64;
  return pointer;
};

/** Copies elements [begin, begin + count) of a foreign array into the staging area. */
const stage = (row: CpuRow, source: Values, begin: number, count: number): Pointer => {
  const pointer = reserve(row.segment, count * row.bytesPerElement);
  const part = count === source.length ? source : source.subarray(begin, begin + count);
  elementsOf(row).set(part, pointer / row.bytesPerElement);
  return pointer;
};

const writeConstants = (segment: Segment, constants: Pointer, { program, scalars }: ClassPlan): void => {
  const { uniforms, dtype } = program;
  const lanes = dtype === "float32" ? 4 : 2;
  const target = dtype === "float32" ? segment.float32 : segment.float64;
  let k = (constants / UNIFORM_BYTES) * lanes;
  for (let i = 0; i < uniforms.length; i++) {
    const value = scalars[uniforms[i]!]!;
    for (let lane = 0; lane < lanes; lane++) target[k++] = value;
  }
};
