/** A step on a CPU backend: scalars, then for each pass one list of jobs over every variable. The engine behind it only runs the jobs. */

import { BLOCK, type Program } from "../../rule/program.js";
import type { Backend, CompiledStep, OnProgress, Row, RowClass, RowRequest, StepParameters, Values } from "../backend.js";
import { Jobs } from "./jobs.js";
import { type CpuRow, type Engine, hasVariableNorm, placeRows, type Segment } from "./memory.js";
import { type ClassPlan, planOf, writeConstants } from "./plan.js";
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

  place(requests: readonly RowRequest[], programs: readonly Program[], firstIndex: number, onProgress?: OnProgress): Row[] {
    const rows = placeRows(this.#engine, requests, programs, firstIndex);
    touch(
      rows.flatMap((row) => row.request.state.map((name) => row.array(name))),
      onProgress,
    );
    return rows;
  }

  /** A step of `programs`, of which `classes` says the scalars. */
  compile(programs: readonly Program[], classes: readonly RowClass[]): CompiledStep {
    return new CpuStep(this.#engine, programs, classes);
  }

  /** All rows that were placed together; no step runs over them any more. */
  free(rows: readonly Row[]): void {
    for (const segment of new Set((rows as readonly CpuRow[]).map(({ segment }) => segment))) this.#engine.release?.(segment);
  }

  dispose(): void {
    this.#engine.dispose();
  }
}

const TOUCHED_AT_ONCE = 2 ** 24;

/** The first touch of fresh memory is slow, above all on virtual machines: here, not in the first step. */
const touch = (arrays: readonly Values[], onProgress: OnProgress = () => {}): void => {
  const total = arrays.reduce((sum, { byteLength }) => sum + byteLength, 0);
  let bytes = 0;
  for (const array of arrays)
    for (let begin = 0; begin < array.length; begin += TOUCHED_AT_ONCE) {
      const part = array.subarray(begin, begin + TOUCHED_AT_ONCE).fill(0);
      bytes += part.byteLength;
      onProgress({ bytes, total });
    }
};

class CpuStep implements CompiledStep {
  readonly #plans: readonly ClassPlan[];
  readonly #passes: number;
  readonly #sums: number;
  readonly #constantsPerRow: boolean;
  readonly #jobs: Jobs;
  /** Sums of squares over all variables, by pass and sum. */
  readonly #modelSquares: Float64Array;
  readonly #parameters = { learningRate: 0, step: 0, weightDecay: 0 };

  constructor(engine: Engine, programs: readonly Program[], classes: readonly RowClass[]) {
    this.#plans = programs.map((program, i) => planOf(program, classes[i]!));
    this.#passes = programs[0]!.passes.length;
    this.#sums = Math.max(...programs[0]!.passes.map((pass) => pass.sums.length));
    this.#constantsPerRow = programs.some(hasVariableNorm);
    this.#modelSquares = new Float64Array(this.#passes * this.#sums);
    this.#jobs = new Jobs(engine, programs, this.#passes, this.#constantsPerRow);
  }

  run(rows: readonly CpuRow[], count: number, parameters: StepParameters): void {
    for (const plan of this.#plans) this.#evaluate(plan, 0, parameters);
    this.#jobs.begin(rows, count);
    try {
      for (let pass = 0; pass < this.#passes; pass++) this.#runPass(rows, count, pass, parameters);
    } finally {
      this.#jobs.clear();
    }
  }

  #runPass(rows: readonly CpuRow[], count: number, pass: number, parameters: StepParameters): void {
    if (this.#constantsPerRow) this.#writeConstantsPerRow(rows, count, pass, parameters);
    else this.#writeConstantsPerClass(rows, count, pass, parameters);
    for (let i = 0; i < count; i++) this.#jobs.add(rows[i]!, this.#plans[rows[i]!.request.class]!, pass);
    this.#jobs.run();
    if (pass + 1 < this.#passes) this.#joinSums(rows, count, pass);
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
}
