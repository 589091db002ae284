/** The step for backends of TensorFlow.js whose tensors lie on a GPU: values, gradients and state stay there. On webgl it runs in shaders
 *  (shaders.ts), on webgpu in TensorFlow.js' own operations. */

import * as tf from "@tensorflow/tfjs-core";
import type {
  Backend,
  CompiledStep,
  Described,
  Gradient,
  Row,
  RowClass,
  RowRequest,
  StepParameters,
  Values,
} from "../../backend.js";
import { evaluateScalars } from "../../backends/cpu/scalars.js";
import { BackendError, ShapeError, show } from "../../errors.js";
import type { NormScope, ScalarOperation } from "../../rule/expression.js";
import type { Pass, Program } from "../../rule/program.js";
import { assertFits } from "./gradients.js";
import { type Evaluate, inShaders } from "./shaders.js";
import { TensorVariable } from "./variable.js";

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
  constructor(readonly name: string) {}

  get why(): string {
    const how = this.name === "webgl" ? "shaders" : "TensorFlow.js' operations";
    return `${how} on ${this.name}, where the tensors are: nothing is read back`;
  }

  /** Resolves when steps can be made as fast as they will be. */
  async ready(): Promise<void> {}

  place(requests: readonly RowRequest[], _programs: readonly Program[], firstIndex: number): Row[] {
    return requests.map((request, i) => new DeviceRow(request, firstIndex + i));
  }

  checkGradient(gradient: Exclude<Gradient, null>, variable: Described): void {
    const tensor = tensorOf(gradient);
    if (!tensor)
      throw new ShapeError(`The gradient of ${variable} is a tensor here`, show(gradient), "Pass what tf.grads gives.");
    assertFits(variable, tensor);
  }

  compile(programs: readonly Program[], classes: readonly RowClass[]): CompiledStep {
    return new DeviceStep(this.name, programs, classes);
  }

  /** TensorFlow.js runs what there is to run. */
  dispose(): void {}
}

/** Made of tensors that live from its beginning to its end. */
class DeviceStep implements CompiledStep {
  readonly passes: number;
  readonly #programs: readonly Program[];
  readonly #classes: readonly RowClass[];
  readonly #evaluations: readonly (readonly Evaluate[])[];
  /** By class: whether its scalars depend on a variable's own norm. */
  readonly #isOwn: readonly boolean[];
  #steps: RowStep[] = [];
  #sums: tf.Tensor[][] = [];

  constructor(name: string, programs: readonly Program[], classes: readonly RowClass[]) {
    this.passes = Math.max(...programs.map(({ passes }) => passes.length));
    this.#programs = programs;
    this.#classes = classes;
    this.#evaluations = programs.map((program) =>
      program.passes.map((pass, i) => (name === "webgl" ? inShaders(program, i) : inOperations(pass))),
    );
    this.#isOwn = programs.map(({ scalars }) => scalars.some((scalar) => scalar.kind === "norm" && scalar.scope === "variable"));
  }

  begin(rows: readonly DeviceRow[], count: number, parameters: StepParameters): void {
    tf.engine().startScope();
    // One for all variables of a class, unless they depend on a variable's own norm.
    const ofClass: (Scalars | undefined)[] = [];
    this.#steps = rows.slice(0, count).map((row) => {
      const { class: place } = row.request;
      const program = this.#programs[place]!;
      const make = () => new Scalars(program, this.#classes[place]!, parameters);
      ofClass[place] ??= make();
      return new RowStep(row, program, this.#evaluations[place]!, this.#isOwn[place] ? make() : ofClass[place]);
    });
  }

  runPass(pass: number): void {
    this.#sums = this.#steps.map((step) => step.runPass(pass));
  }

  joinSums(pass: number): void {
    const all = this.#sums;
    this.#steps.forEach(({ scalars }, i) => {
      scalars.advance(pass + 1, (scope, place) => sumOf((scope === "variable" ? [all[i]!] : all).map((own) => own[place]!)));
    });
  }

  end(): void {
    this.#steps = [];
    this.#sums = [];
    tf.engine().endScope();
  }
}

const tensorOf = (gradient: Gradient): tf.Tensor | null => {
  const buffer = gradient && "buffer" in gradient ? gradient.buffer : null;
  return buffer instanceof tf.Tensor ? buffer : null;
};

class DeviceRow implements Row {
  gradient: Gradient = null;
  readonly variable: TensorVariable;
  readonly #tensors = new Map<string, tf.Tensor>();
  /** What was written since the last step, and is not on the GPU yet. */
  readonly #written = new Map<string, Float32Array>();

  constructor(
    readonly request: RowRequest,
    readonly index: number,
  ) {
    const { foreign } = request;
    if (!(foreign instanceof TensorVariable))
      throw new BackendError("TensorFlow.js' GPU trains tf.Variables", `${request.variable}`, "Pass tf.Variables.");
    this.variable = foreign;
  }

  async read(name: string, begin: number, into: Values): Promise<void> {
    if (name === "w") return this.variable.readInto(begin, into);
    const values = this.#written.get(name) ?? (await this.#tensors.get(name)?.data());
    if (values) into.set(values.subarray(begin, begin + into.length));
    else into.fill(0);
  }

  async write(name: string, begin: number, values: Values): Promise<void> {
    if (name === "w") return this.variable.writeFrom(begin, values);
    const { length } = this.variable;
    const whole = values.length === length ? undefined : (this.#written.get(name) ?? this.#tensors.get(name)?.dataSync());
    const written = whole ? new Float32Array(whole) : new Float32Array(length);
    written.set(values, begin);
    this.#written.set(name, written);
  }

  /** The value of one of the arrays before the step. */
  load(name: string): tf.Tensor {
    const { tensor } = this.variable;
    if (name === "w") return this.variable.isGone ? tf.zeros(tensor.shape) : tensor;
    if (name === "g") return tensorOf(this.gradient) ?? tf.zeros(tensor.shape);
    const written = this.#written.get(name);
    if (written) this.store(name, tf.tensor(written, tensor.shape));
    if (!this.#tensors.has(name)) this.store(name, tf.zeros(tensor.shape));
    return this.#tensors.get(name)!;
  }

  store(name: string, value: tf.Tensor): void {
    if (name === "w") this.variable.assign(value);
    else {
      this.#written.delete(name);
      this.#tensors.get(name)?.dispose();
      this.#tensors.set(name, tf.keep(value));
    }
  }

  free(): void {
    tf.dispose([...this.#tensors.values()]);
    this.#tensors.clear();
    this.#written.clear();
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
    return pass.sums.map((node) => squaresOf(values.get(node)!));
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

/** TensorFlow.js' webgpu fails where there is nothing to add up. */
const squaresOf = (tensor: tf.Tensor): tf.Tensor => (tensor.size > 0 ? tf.sum(tf.square(tensor)) : tf.scalar(0));

/** Its webgpu binds a buffer for each of these and one for their sum, and a shader has eight: more, and the device refuses all that is submitted. */
const AT_ONCE = 7;

const sumOf = (tensors: readonly tf.Tensor[]): tf.Tensor => {
  if (tensors.length <= AT_ONCE) return tf.addN([...tensors]);
  const groups = Array.from({ length: Math.ceil(tensors.length / AT_ONCE) }, (_, i) =>
    tf.addN(tensors.slice(i * AT_ONCE, (i + 1) * AT_ONCE)),
  );
  return sumOf(groups);
};

const asTensor = (value: number | tf.Tensor): tf.Tensor => (typeof value === "number" ? tf.scalar(value) : value);

const operate = (operation: ScalarOperation, [x, y, z]: readonly tf.Tensor[]): tf.Tensor => OPERATIONS[operation](x!, y!, z!);
