/** A step's programs as operations of jax-js: recorded into its graph under `jit`, computed at once without.
 *
 *  jax-js counts references: an operation takes one from each array that it is given. Here every use of an array but its last
 *  takes a reference of its own, and what was made and not returned is disposed of. */

import { numpy as np } from "@jax-js/jax";
import type { NormScope, ScalarOperation } from "../rule/expression.js";
import type { Node, Pass, Program } from "../rule/program.js";

type Apply = (x: np.Array, y: np.Array, z: np.Array) => np.Array;

const OPERATIONS: Readonly<Record<ScalarOperation, Apply>> = {
  add: np.add,
  sub: np.subtract,
  mul: np.multiply,
  div: np.divide, // x * (1 / y): two roundings
  max: np.maximum,
  min: np.minimum,
  abs: np.abs,
  neg: np.negative,
  sqrt: np.sqrt,
  pow: np.power,
  flush: (x, limit) => np.where(np.less(np.abs(x.ref), limit), np.zerosLike(x.ref), x),
  ifPositive: (x, a, b) => np.where(np.greater(x, 0), a, b),
};

/** The number that a scalar holds, or null inside of a graph, where it is a tracer. The reference stays the caller's. */
export const knownNumber = (scalar: np.Array): number | null => {
  const isArray: boolean = scalar instanceof np.Array;
  return isArray ? scalar.ref.item() : null;
};

/** `base ** exponent` for an int32 scalar of 0 or more: the product of base ** 2^k over its bits. (`np.power` goes over logarithms, and loses
 *  20 ulps of 1 - beta ** step.) Rounded once for each bit that is set. */
const wholePower = (base: number, exponent: np.Array, dtype: np.DType): np.Array => {
  let power = np.array(1, { dtype });
  for (let bit = 0; bit < 31; bit++) {
    const isSet = np.notEqual(np.bitwiseAnd(exponent.ref, np.array(2 ** bit, { dtype: np.int32 })), 0);
    power = power.mul(np.where(isSet, np.array(base ** (2 ** bit), { dtype }), np.array(1, { dtype })));
  }
  return np.sum(power.reshape([1])); // a reduction, so that jit computes it once and not again for each element
};

/** One variable in a step. */
export interface Job {
  readonly program: Program;
  /** "w", "g" and the state, of the program's dtype. */
  readonly arrays: Readonly<Record<string, np.Array>>;
  /** Scalars; `step` is an int32. */
  readonly parameters: Readonly<Record<string, np.Array>>;
}

/** The new arrays of each variable. Takes no reference from what it is given.
 *  @param wide what norms are summed in, and what is computed from them until it meets an element. */
export const runStep = (jobs: readonly Job[], wide: np.DType): Record<string, np.Array>[] => {
  const steps = jobs.map((job) => new JobStep(job, wide));
  const stages = Math.max(...jobs.map(({ program }) => program.passes.length));
  let sums: np.Array[][] = jobs.map(() => []);
  for (let stage = 0; stage < stages; stage++) {
    steps.forEach((step, i) => {
      const joined = (scope: NormScope, place: number): np.Array =>
        (scope === "variable" ? [sums[i]!] : sums).map((own) => own[place]!.ref).reduce(np.add);
      step.evaluateScalars(stage, joined);
    });
    for (const sum of sums.flat()) sum.dispose();
    sums = steps.map((step) => step.runPass(stage));
  }
  for (const step of steps) step.dispose();
  return steps.map(({ results }) => results);
};

class JobStep {
  readonly results: Record<string, np.Array> = {};
  readonly #job: Job;
  readonly #dtype: np.DType;
  readonly #wide: np.DType;
  readonly #scalars: np.Array[] = [];

  constructor(job: Job, wide: np.DType) {
    this.#job = job;
    this.#dtype = np[job.program.dtype];
    this.#wide = wide;
  }

  /** Every scalar known after `stage` passes and not before. */
  evaluateScalars(stage: number, joined: (scope: NormScope, sum: number) => np.Array): void {
    const { program, parameters } = this.#job;
    program.scalars.forEach((scalar, place) => {
      if (scalar.stage !== stage) return;
      if (scalar.kind === "constant") this.#scalars[place] = np.array(scalar.value, { dtype: this.#dtype });
      else if (scalar.kind === "parameter") this.#scalars[place] = parameters[scalar.name]!.ref.astype(this.#dtype);
      else if (scalar.kind === "norm") this.#scalars[place] = np.sqrt(joined(scalar.scope, scalar.sum));
      else this.#scalars[place] = this.#operate(scalar.operation, scalar.inputs);
    });
  }

  #operate(operation: ScalarOperation, inputs: readonly number[]): np.Array {
    const { scalars } = this.#job.program;
    const [base, exponent] = inputs.map((input) => scalars[input]!);
    if (operation === "pow" && base?.kind === "constant" && exponent?.kind === "parameter" && exponent.name === "step")
      return this.#powerOfStep(base.value);
    const [x, y, z] = inputs.map((input) => this.#scalars[input]!.ref);
    return OPERATIONS[operation](x!, y!, z!);
  }

  #powerOfStep(base: number): np.Array {
    const { program, parameters } = this.#job;
    const round = program.dtype === "float32" ? Math.fround : Number;
    const step = knownNumber(parameters.step!);
    if (step !== null) return np.array(round(round(base) ** step), { dtype: this.#dtype });
    return wholePower(round(base), parameters.step!, this.#wide).astype(this.#dtype);
  }

  /** Stores results; returns the sums of squares that norms are made of. */
  runPass(stage: number): np.Array[] {
    const pass = this.#job.program.passes[stage];
    if (!pass) return [];
    const values: np.Array[] = [];
    const left = usesOf(pass);
    const use = (node: number): np.Array => (--left[node]! > 0 ? values[node]!.ref : values[node]!);
    for (const node of pass.nodes) values.push(this.#evaluate(node, use));
    const sums = pass.sums.map((node) => np.sum(np.square(use(node).astype(this.#wide))));
    for (const { buffer, node } of pass.stores) this.results[this.#job.program.buffers[buffer]!] = this.#shaped(use(node));
    return sums;
  }

  #evaluate(node: Node, use: (node: number) => np.Array): np.Array {
    const { program, arrays } = this.#job;
    if (node.kind === "load") return arrays[program.buffers[node.buffer]!]!.ref;
    if (node.kind === "uniform") return this.#scalars[program.uniforms[node.uniform]!]!.ref.astype(this.#dtype);
    const [x, y, z] = node.inputs.map(use);
    return OPERATIONS[node.operation](x!, y!, z!);
  }

  /** A scalar that is stored stands for every element. */
  #shaped(value: np.Array): np.Array {
    const { shape } = this.#job.arrays.w!;
    return value.shape.length === shape.length ? value : np.broadcastTo(value, shape);
  }

  dispose(): void {
    for (const scalar of this.#scalars) scalar.dispose();
  }
}

/** How often each node of a pass is used. */
const usesOf = ({ nodes, sums, stores }: Pass): number[] => {
  const uses = nodes.map(() => 0);
  const inputs = nodes.flatMap((node) => (node.kind === "operation" ? node.inputs : []));
  for (const node of [...inputs, ...sums, ...stores.map((store) => store.node)]) uses[node]!++;
  return uses;
};
