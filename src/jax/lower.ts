/** A step's programs as operations of jax-js: recorded into its graph under `jit`, computed at once without.
 *
 *  jax-js counts references: an operation takes one from each array that it is given. Here every use of an array takes a reference of its
 *  own, and what was made and not returned is disposed of. */

import { numpy as np } from "@jax-js/jax";
import type { NormScope, ScalarOperation } from "../rule/expression.js";
import type { Node, Program, Scalar } from "../rule/program.js";

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
  flush: (x, limit) => np.where(np.less(np.abs(x.ref), limit), 0, x),
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

/** Variables that share a program and its scalars. */
export interface JobClass {
  readonly program: Program;
  /** Scalars; `step` is an int32. */
  readonly parameters: Readonly<Record<string, np.Array>>;
}

/** One variable in a step. */
export interface Job {
  readonly class: JobClass;
  /** "w", "g" and the state, of the program's dtype. */
  readonly arrays: Readonly<Record<string, np.Array>>;
}

/** The new arrays of each variable. Takes no reference from what it is given.
 *  @param wide what norms are summed in, and what is computed from them until it meets an element. */
export const runStep = (jobs: readonly Job[], wide: np.DType): Record<string, np.Array>[] => {
  const classes = new Map(jobs.map((job) => [job.class, new Scalars(job.class, wide)]));
  const steps = jobs.map((job) => new JobStep(job, classes.get(job.class)!, wide));
  const stages = Math.max(0, ...jobs.map((job) => job.class.program.passes.length));
  let sums: np.Array[][] = [];
  for (let stage = 0; stage < stages; stage++) {
    const ofModel = (place: number) => sums.map((own) => own[place]!.ref).reduce(np.add);
    for (const scalars of classes.values()) scalars.evaluate(stage, "model", ofModel);
    steps.forEach((step, i) => void step.scalars.evaluate(stage, "variable", (place) => sums[i]![place]!.ref));
    for (const sum of sums.flat()) sum.dispose();
    sums = steps.map((step) => step.runPass(stage));
  }
  for (const { scalars } of steps) scalars.dispose();
  for (const scalars of classes.values()) scalars.dispose();
  return steps.map(({ results }) => results);
};

/** The scalars of a class, computed once for all its variables; and, around them, those of one variable that come from its own norms. */
class Scalars {
  readonly #values: np.Array[] = [];
  readonly #dtype: np.DType;
  readonly #scopes: readonly NormScope[];

  constructor(
    readonly of: JobClass,
    readonly wide: np.DType,
    readonly shared?: Scalars,
  ) {
    this.#dtype = np[of.program.dtype];
    this.#scopes = shared ? shared.#scopes : scopesOf(of.program);
  }

  at(place: number): np.Array {
    return this.#values[place] ?? this.shared!.at(place);
  }

  /** Every scalar of this scope that is known after `stage` passes and not before. */
  evaluate(stage: number, scope: NormScope, sum: (place: number) => np.Array): void {
    this.of.program.scalars.forEach((scalar, place) => {
      if (scalar.stage === stage && this.#scopes[place] === scope) this.#values[place] = this.#evaluate(scalar, sum);
    });
  }

  #evaluate(scalar: Scalar, sum: (place: number) => np.Array): np.Array {
    if (scalar.kind === "constant") return np.array(scalar.value, { dtype: this.#dtype });
    if (scalar.kind === "parameter") return this.of.parameters[scalar.name]!.ref.astype(this.#dtype);
    if (scalar.kind === "norm") return np.sqrt(sum(scalar.sum));
    const { operation, inputs } = scalar;
    const [base, exponent] = inputs.map((input) => this.of.program.scalars[input]!);
    if (operation === "pow" && base?.kind === "constant" && exponent?.kind === "parameter" && exponent.name === "step")
      return this.#powerOfStep(base.value);
    const [x, y, z] = inputs.map((input) => this.at(input).ref);
    return OPERATIONS[operation](x!, y!, z!);
  }

  #powerOfStep(base: number): np.Array {
    const { program, parameters } = this.of;
    const round = program.dtype === "float32" ? Math.fround : Number;
    const step = knownNumber(parameters.step!);
    if (step !== null) return np.array(round(round(base) ** step), { dtype: this.#dtype });
    return wholePower(round(base), parameters.step!, this.wide).astype(this.#dtype);
  }

  dispose(): void {
    for (const value of this.#values) value?.dispose();
  }
}

/** Of each scalar, whether it depends on a variable's own norm ("variable"), or is the same for all of its class ("model"). */
const scopesOf = ({ scalars }: Program): NormScope[] => {
  const scopes: NormScope[] = [];
  for (const scalar of scalars) {
    const isOwn =
      scalar.kind === "norm"
        ? scalar.scope === "variable"
        : scalar.kind === "operation" && scalar.inputs.some((input) => scopes[input] === "variable");
    scopes.push(isOwn ? "variable" : "model");
  }
  return scopes;
};

class JobStep {
  readonly results: Record<string, np.Array> = {};
  readonly scalars: Scalars;
  readonly #job: Job;
  readonly #wide: np.DType;

  constructor(job: Job, shared: Scalars, wide: np.DType) {
    this.#job = job;
    this.scalars = new Scalars(job.class, wide, shared);
    this.#wide = wide;
  }

  /** Stores results; returns the sums of squares that norms are made of. Each is computed anew from what is in memory, which already are the
   *  results before it: what two of them shared would be an array of its own in a graph, written by one kernel and read by two. */
  runPass(stage: number): np.Array[] {
    const pass = this.#job.class.program.passes[stage];
    if (!pass) return [];
    const stored = new Map<number, np.Array>();
    const compute = (root: number): np.Array => {
      const made = new Map<number, np.Array>();
      const value = (node: number): np.Array => {
        const known = stored.get(node) ?? made.get(node);
        if (known) return known.ref;
        const fresh = this.#evaluate(pass.nodes[node]!, value);
        made.set(node, fresh);
        return fresh.ref;
      };
      const result = value(root);
      for (const array of made.values()) array.dispose();
      return result;
    };
    const sums = pass.sums.map((node) => np.sum(np.square(compute(node).astype(this.#wide))));
    for (const { buffer, node } of [...pass.stores].sort((a, b) => a.node - b.node)) {
      const result = compute(node);
      stored.set(node, result);
      this.results[this.#job.class.program.buffers[buffer]!] = this.#shaped(result.ref);
    }
    for (const array of stored.values()) array.dispose();
    return sums;
  }

  #evaluate(node: Node, use: (node: number) => np.Array): np.Array {
    const { class: own, arrays } = this.#job;
    const { program } = own;
    if (node.kind === "load") return arrays[program.buffers[node.buffer]!]!.ref;
    if (node.kind === "uniform") return this.scalars.at(program.uniforms[node.uniform]!).ref.astype(np[program.dtype]);
    const [x, y, z] = node.inputs.map(use);
    return OPERATIONS[node.operation](x!, y!, z!);
  }

  /** A scalar that is stored stands for every element. */
  #shaped(value: np.Array): np.Array {
    const { shape } = this.#job.arrays.w!;
    return value.shape.length === shape.length ? value : np.broadcastTo(value, shape);
  }
}
