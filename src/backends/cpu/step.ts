/** A step on a CPU backend: scalars, then for each pass one list of jobs over every variable. The engine behind it only runs the jobs. */

import type { NearBackend, NearRow, NearStep, OnProgress, RowClass, RowRequest, StepParameters } from "../../backend.js";
import type { Program } from "../../rule/program.js";
import { checkGradient, Overlaps } from "./gradients.js";
import { Jobs } from "./jobs.js";
import { hasVariableNorm } from "./layout.js";
import { type CpuRow, type Engine, placeRows, type Segment } from "./memory.js";
import { type ClassPlan, planOf, writeConstants } from "./plan.js";
import { evaluateScalars } from "./scalars.js";
import { touch } from "./touch.js";

export class CpuBackend implements NearBackend {
  readonly near = true;
  readonly checkGradient = checkGradient;
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

  place(
    requests: readonly RowRequest[],
    programs: readonly Program[],
    firstIndex: number,
    onProgress?: OnProgress | null,
  ): NearRow[] {
    const rows = placeRows(this.#engine, requests, programs, firstIndex);
    if (onProgress !== null) touch(rows, onProgress);
    return rows;
  }

  compile(programs: readonly Program[], classes: readonly RowClass[]): NearStep {
    return new CpuStep(this.#engine, programs, classes);
  }

  dispose(): void {
    this.#engine.dispose?.();
  }
}

const NO_ROWS: readonly CpuRow[] = [];

/** Nothing is kept from one step to the next but the lists that it is made of. */
class CpuStep implements NearStep {
  readonly passes: number;
  readonly #engine: Engine;
  readonly #plans: readonly ClassPlan[];
  readonly #sums: number;
  readonly #constantsPerRow: boolean;
  readonly #writesW: boolean;
  readonly #jobs: Jobs;
  readonly #overlaps = new Overlaps();
  /** Sums of squares over all variables, by pass and sum. */
  readonly #modelSquares: Float64Array;
  readonly #scalars = { learningRate: 0, step: 0, weightDecay: 0 };
  #rows: readonly CpuRow[] = NO_ROWS;
  #count = 0;
  #parameters!: StepParameters;

  constructor(engine: Engine, programs: readonly Program[], classes: readonly RowClass[]) {
    this.#engine = engine;
    this.#plans = programs.map((program, i) => planOf(program, classes[i]!));
    this.passes = programs[0]!.passes.length;
    this.#sums = Math.max(...programs[0]!.passes.map((pass) => pass.sums.length));
    this.#constantsPerRow = programs.some(hasVariableNorm);
    this.#writesW = this.#plans.some(({ uses }) => uses.some(({ storesW }) => storesW));
    this.#modelSquares = new Float64Array(this.passes * this.#sums);
    this.#jobs = new Jobs(engine, programs, this.passes, this.#constantsPerRow);
  }

  begin(rows: readonly CpuRow[], count: number, parameters: StepParameters): void {
    this.#engine.locate?.(rows, count);
    this.#overlaps.refuse(rows, count);
    this.#rows = rows;
    this.#count = count;
    this.#parameters = parameters;
    for (const plan of this.#plans) this.#evaluate(plan, 0);
    this.#jobs.begin(rows, count);
  }

  runPass(pass: number): void {
    const rows = this.#rows;
    if (this.#constantsPerRow) this.#writeConstantsPerRow(pass);
    else this.#writeConstantsPerClass(pass);
    for (let i = 0; i < this.#count; i++) this.#jobs.add(rows[i]!, this.#plans[rows[i]!.request.class]!, pass);
    this.#jobs.run();
  }

  /** Where the step broke off, jobs are left. */
  end(): void {
    this.#jobs.clear();
    if (this.#engine.locate && this.#writesW) this.#tellWritten();
    this.#rows = NO_ROWS;
  }

  /** A foreign value that was written where it lies. */
  #tellWritten(): void {
    for (let i = 0; i < this.#count; i++) {
      const { request, pointers } = this.#rows[i]!;
      if (pointers[0] !== 0) request.foreign?.target();
    }
  }

  #evaluate(plan: ClassPlan, stage: number): void {
    const { learningRate, step } = this.#parameters;
    this.#scalars.learningRate = learningRate * plan.class.learningRateMultiplier;
    this.#scalars.weightDecay = plan.class.weightDecay;
    this.#scalars.step = step;
    evaluateScalars(plan.program, stage, plan.scalars, this.#scalars);
  }

  #writeConstantsPerClass(pass: number): void {
    const rows = this.#rows;
    if (pass > 0)
      for (const plan of this.#plans) {
        this.#readNorms(plan, pass, this.#modelSquares);
        this.#evaluate(plan, pass);
      }
    let segment: Segment | undefined;
    for (let i = 0; i < this.#count; i++) {
      if (rows[i]!.segment === segment) continue;
      segment = rows[i]!.segment;
      for (let c = 0; c < this.#plans.length; c++) writeConstants(segment, segment.classConstants[c]!, this.#plans[c]!);
    }
  }

  #writeConstantsPerRow(pass: number): void {
    for (let i = 0; i < this.#count; i++) {
      const row = this.#rows[i]!;
      const plan = this.#plans[row.request.class]!;
      // Rows of a class share the array of scalars, so each row's are evaluated anew from its norms.
      for (let stage = 1; stage <= pass; stage++) {
        this.#readNorms(plan, stage, row.normSquares);
        this.#evaluate(plan, stage);
      }
      writeConstants(row.segment, row.constants, plan);
    }
  }

  /** Those that the pass before `stage` has summed. */
  #readNorms({ norms, scalars }: ClassPlan, stage: number, rowSquares: Float64Array): void {
    for (const { place, pass, sum, scope } of norms) {
      if (pass !== stage - 1) continue;
      const squares = scope === "model" ? this.#modelSquares : rowSquares;
      scalars[place] = Math.sqrt(squares[pass * this.#sums + sum]!);
    }
  }

  blockSums(pass: number): Float64Array[] {
    return this.#rows.slice(0, this.#count).map((row) => {
      const begin = row.sums / 8;
      return row.segment.float64.slice(begin, begin + row.blocks * this.#sumsOf(row, pass));
    });
  }

  joinSums(pass: number, blocks?: readonly Float64Array[]): void {
    const first = pass * this.#sums;
    this.#modelSquares.fill(0, first, first + this.#sums);
    for (let i = 0; i < this.#count; i++) {
      const row = this.#rows[i]!;
      const sums = this.#sumsOf(row, pass);
      const values = blocks?.[i] ?? row.segment.float64;
      const begin = blocks ? 0 : row.sums / 8;
      const end = blocks ? values.length : begin + row.blocks * sums;
      if (row.normSquares.length === 0) row.normSquares = new Float64Array(this.passes * this.#sums);
      for (let sum = 0; sum < sums; sum++) {
        let total = 0;
        for (let k = begin + sum; k < end; k += sums) total += values[k]!;
        row.normSquares[first + sum] = total;
        this.#modelSquares[first + sum]! += total;
      }
    }
  }

  #sumsOf(row: CpuRow, pass: number): number {
    return this.#plans[row.request.class]!.program.passes[pass]!.sums.length;
  }
}
