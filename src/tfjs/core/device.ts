/** The step for backends of TensorFlow.js whose tensors lie on a GPU: values, gradients and state stay there. On webgl it runs in shaders
 *  (shaders.ts), on webgpu in TensorFlow.js' own operations. */

import * as tf from "@tensorflow/tfjs-core";
import type {
  Backend,
  CompiledStep,
  Gradient,
  Row,
  RowClass,
  RowRequest,
  StepParameters,
  Values,
} from "../../backends/backend.js";
import { evaluateScalars } from "../../backends/cpu/scalars.js";
import type { NormScope, ScalarOperation } from "../../rule/expression.js";
import type { Pass, Program } from "../../rule/program.js";
import { type Evaluate, inShaders } from "./shaders.js";
import type { TensorVariable } from "./variable.js";

const OPERATIONS: Readonly<Record<ScalarOperation, (x: tf.Tensor, y: tf.Tensor, z: tf.Tensor) => tf.Tensor>> = {
  add: tf.add,
  sub: tf.sub,
  mul: tf.mul,
  div: tf.div,
  max: tf.maximum,
  min: tf.minimum,
  abs: tf.abs,
  neg: tf.neg,
  sqrt: tf.sqrt,
  pow: tf.pow,
  flush: (x, limit) => tf.where(tf.less(tf.abs(x), limit), tf.zerosLike(x), x),
  ifPositive: (x, a, b) => tf.where(tf.greater(x, 0), a, b),
};

export class DeviceBackend implements Backend {
  readonly name: string;
  readonly why: string;
  readonly #rows: DeviceRow[] = [];

  private constructor(name: string) {
    this.name = name;
    this.why = `${name === "webgl" ? "shaders" : "TensorFlow.js' operations"} on ${name}, where the tensors are: nothing is read back`;
  }

  /** On the GPU that TensorFlow.js uses now, or null when there is none, or it has 16-bit floats only: then the step runs in float32 elsewhere. */
  static current(): DeviceBackend | null {
    const name = tf.getBackend();
    const isExact = name === "webgpu" || (name === "webgl" && tf.env().getBool("WEBGL_RENDER_FLOAT32_ENABLED"));
    return isExact ? new DeviceBackend(name) : null;
  }

  place(requests: readonly RowRequest[], _programs: readonly Program[], firstIndex: number): Row[] {
    const rows = requests.map((request, i) => new DeviceRow(request, firstIndex + i));
    this.#rows.push(...rows);
    for (const { variable } of rows) variable.locate();
    return rows;
  }

  compile(programs: readonly Program[], classes: readonly RowClass[]): CompiledStep {
    const passes = programs.map((program) =>
      program.passes.map((pass, i) => (this.name === "webgl" ? inShaders(program, i) : inOperations(pass))),
    );
    const isOwn = programs.map(({ scalars }) => scalars.some((scalar) => scalar.kind === "norm" && scalar.scope === "variable"));
    const stages = Math.max(...programs.map(({ passes }) => passes.length));
    const run = (rows: readonly DeviceRow[], count: number, parameters: StepParameters): void =>
      tf.tidy(() => {
        // One for all variables of a class, unless they depend on a variable's own norm.
        const ofClass: (Scalars | undefined)[] = [];
        const steps = rows.slice(0, count).map((row) => {
          const { class: index } = row.request;
          const make = () => new Scalars(programs[index]!, classes[index]!, parameters);
          ofClass[index] ??= make();
          return new RowStep(row, programs[index]!, passes[index]!, isOwn[index] ? make() : ofClass[index]);
        });
        let sums: tf.Tensor[][] = [];
        for (let stage = 0; stage < stages; stage++) {
          steps.forEach(({ scalars }, i) => {
            scalars.advance(stage, (scope, place) =>
              tf.addN((scope === "variable" ? [sums[i]!] : sums).map((own) => own[place]!)),
            );
          });
          sums = steps.map((step) => step.runPass(stage));
        }
      });
    return { run: run as CompiledStep["run"] };
  }

  /** Reads everything without blocking. TensorFlow.js keeps what it has read until the next step, so that reading it again need not wait. */
  async download(): Promise<void> {
    await Promise.all(this.#rows.flatMap((row) => row.tensors.map((tensor) => tensor.data())));
  }

  /** Nothing moves here. */
  refresh(): void {}

  dispose(): void {
    for (const row of this.#rows.splice(0)) row.dispose();
  }
}

class DeviceRow implements Row {
  /** Stands for `variable.gradientTensor`. */
  gradient: Gradient = null;
  readonly #tensors = new Map<string, tf.Tensor>();
  /** Copies that were asked for, and may have been written to since. */
  readonly #copies = new Map<string, Float32Array>();

  constructor(
    readonly request: RowRequest,
    readonly index: number,
  ) {}

  get variable(): TensorVariable {
    return this.request.foreign as TensorVariable;
  }

  /** Its value and its state, as far as there is any. */
  get tensors(): tf.Tensor[] {
    const { tensor } = this.variable;
    return [...(tensor.isDisposed ? [] : [tensor]), ...this.#tensors.values()];
  }

  /** A copy, read from the GPU. What is written to it counts from the next step on, for which a new copy must be asked. */
  array(name: string): Values {
    let copy = this.#copies.get(name);
    if (!copy) {
      const tensor = this.#tensors.get(name);
      copy = tensor ? new Float32Array(tensor.dataSync()) : new Float32Array(this.request.length);
      this.#copies.set(name, copy);
    }
    return copy;
  }

  /** The value of one of the arrays before the step. */
  load(name: string): tf.Tensor {
    const { tensor, gradientTensor } = this.variable;
    if (name === "w") return tensor.isDisposed ? tf.zeros(tensor.shape) : tensor;
    if (name === "g") return (this.gradient && gradientTensor) ?? tf.zeros(tensor.shape);
    const copy = this.#copies.get(name);
    if (copy) this.store(name, tf.tensor(copy, tensor.shape));
    if (!this.#tensors.has(name)) this.store(name, tf.zeros(tensor.shape));
    return this.#tensors.get(name)!;
  }

  store(name: string, value: tf.Tensor): void {
    if (name === "w") this.variable.assign(value);
    else {
      this.#copies.delete(name);
      this.#tensors.get(name)?.dispose();
      this.#tensors.set(name, tf.keep(value));
    }
  }

  dispose(): void {
    tf.dispose([...this.#tensors.values()]);
    this.#tensors.clear();
  }
}

/** The scalars of a step: numbers as far as they are known beforehand; what comes from norms stays on the device. */
class Scalars {
  readonly values: (number | tf.Tensor)[] = [];
  #stage = 0;

  constructor(
    readonly program: Program,
    { learningRateMultiplier, weightDecay }: RowClass,
    { learningRate, step }: StepParameters,
  ) {
    // As the core does, not with a GPU's idea of a power.
    const known = new Float64Array(program.scalars.length);
    evaluateScalars(program, 0, known, { learningRate: learningRate * learningRateMultiplier, weightDecay, step });
    program.scalars.forEach(({ stage }, place) => {
      if (stage === 0) this.values[place] = known[place]!;
    });
  }

  /** Evaluates every scalar known after `stage` passes and not before, once. */
  advance(stage: number, joined: (scope: NormScope, sum: number) => tf.Tensor): void {
    if (stage <= this.#stage) return;
    this.#stage = stage;
    this.program.scalars.forEach((scalar, place) => {
      if (scalar.stage !== stage) return;
      if (scalar.kind === "norm") this.values[place] = tf.sqrt(joined(scalar.scope, scalar.sum));
      else if (scalar.kind === "operation")
        this.values[place] = operate(
          scalar.operation,
          scalar.inputs.map((input) => asTensor(this.values[input]!)),
        );
    });
  }
}

/** One variable in a step. */
class RowStep {
  constructor(
    readonly row: DeviceRow,
    readonly program: Program,
    readonly passes: readonly Evaluate[],
    readonly scalars: Scalars,
  ) {}

  /** Stores what is new; returns the sums of squares that norms are made of. */
  runPass(stage: number): tf.Tensor[] {
    const { buffers, uniforms, passes } = this.program;
    const pass = passes[stage];
    if (!pass) return [];
    const { shape } = this.row.variable.tensor;
    const values = this.passes[stage]!({
      shape,
      load: (buffer) => this.row.load(buffers[buffer]!),
      uniform: (uniform) => this.scalars.values[uniforms[uniform]!]!,
    });
    // A scalar that is stored stands for every element.
    const stores = pass.stores.map(({ buffer, node }) => [buffers[buffer]!, tf.broadcastTo(values.get(node)!, shape)] as const);
    for (const [name, value] of stores) this.row.store(name, value);
    return pass.sums.map((node) => tf.sum(tf.square(values.get(node)!)));
  }
}

/** A pass in TensorFlow.js' own operations, one for each node. */
const inOperations =
  ({ nodes }: Pass): Evaluate =>
  ({ load, uniform }) => {
    const values: tf.Tensor[] = [];
    for (const node of nodes) {
      if (node.kind === "load") values.push(load(node.buffer));
      else if (node.kind === "uniform") values.push(asTensor(uniform(node.uniform)));
      else
        values.push(
          operate(
            node.operation,
            node.inputs.map((input) => values[input]!),
          ),
        );
    }
    return new Map(values.entries());
  };

const asTensor = (value: number | tf.Tensor): tf.Tensor => (typeof value === "number" ? tf.scalar(value) : value);

const operate = (operation: ScalarOperation, [x, y, z]: readonly tf.Tensor[]): tf.Tensor => OPERATIONS[operation](x!, y!, z!);
