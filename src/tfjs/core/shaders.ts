/** Passes as fragment shaders, for TensorFlow.js' webgl backend: one for each array that is written. What lies between the arrays it reads and
 *  its value stays in registers, where TensorFlow.js' own operations would write a texture for every one of them. */

import * as tf from "@tensorflow/tfjs-core";
import type { Operation } from "../../rule/expression.js";
import type { Program } from "../../rule/program.js";
import type { ShaderProgram, WebglKernels } from "./private-members.js";

/** What a pass over one variable reads. */
export interface Operands {
  readonly shape: number[];
  /** The array with this number, before the step. */
  load(buffer: number): tf.Tensor;
  /** A number where it was known before the step; else a tensor without axes. */
  uniform(uniform: number): number | tf.Tensor;
}

/** Computes the nodes of a pass that are stored or summed. */
export type Evaluate = (operands: Operands) => ReadonlyMap<number, tf.Tensor>;

/** What each operation does to elements x, y and z. GLSL's own max and min may lose a NaN. */
const OPERATIONS: Readonly<Record<Operation, string>> = {
  add: "x + y",
  sub: "x - y",
  mul: "x * y",
  div: "x / y",
  max: "isnan(x) ? x : isnan(y) ? y : max(x, y)",
  min: "isnan(x) ? x : isnan(y) ? y : min(x, y)",
  abs: "abs(x)",
  neg: "-x",
  sqrt: "sqrt(x)",
  flush: "abs(x) < y ? 0.0 : x",
  ifPositive: "x > 0.0 ? y : z",
};

/** As functions of elements, and of texels: those hold four. */
const definitionOf = (operation: Operation): string => {
  const value = OPERATIONS[operation];
  const names = ["x", "y", "z"].filter((name) => new RegExp(`\\b${name}\\b`).test(value));
  const declared = (type: string): string => names.map((name) => `${type} ${name}`).join(", ");
  const elements = ["r", "g", "b", "a"].map(
    (channel) => `${operation}_(${names.map((name) => `${name}.${channel}`).join(", ")})`,
  );
  return `float ${operation}_(${declared("float")}) { return ${value}; }
    vec4 ${operation}_(${declared("vec4")}) { return vec4(${elements.join(", ")}); }`;
};

/** The pass of this number, in shaders. */
export const inShaders = ({ passes, scalars, uniforms }: Program, pass: number): Evaluate => {
  const { nodes, stores, sums } = passes[pass]!;
  // Nodes come after what they are made of, so what a shader has written can be read by those that follow.
  const wanted = [...new Set([...stores.map(({ node }) => node), ...sums])].sort((a, b) => a - b);
  const shaders = wanted.map((root) => {
    const shader = new Shader(root);
    const need = (place: number): void => {
      if (shader.has(place)) return;
      const node = nodes[place]!;
      if (node.kind === "uniform") {
        const isKnown = scalars[uniforms[node.uniform]!]!.stage === 0;
        if (isKnown) shader.number(place, node.uniform);
        else shader.read(place, ({ uniform }) => uniform(node.uniform) as tf.Tensor);
      } else if (place < root && wanted.includes(place)) shader.read(place, (_, written) => written.get(place)!);
      else if (node.kind === "load") shader.read(place, ({ load }) => load(node.buffer));
      else {
        node.inputs.forEach(need);
        shader.operation(place, node.operation, node.inputs);
      }
    };
    need(root);
    return shader;
  });
  return (operands) => {
    const written = new Map<number, tf.Tensor>();
    for (const shader of shaders) written.set(shader.root, shader.run(operands, written));
    return written;
  };
};

type Source = (operands: Operands, written: ReadonlyMap<number, tf.Tensor>) => tf.Tensor;

/** Grows node by node; then runs, over variables of any shape. */
class Shader {
  readonly #lines = new Map<number, string>();
  readonly #sources = new Map<number, Source>();
  readonly #numbers = new Map<number, number>();
  readonly #operations = new Set<Operation>();
  readonly #programs = new Map<string, ShaderProgram>();

  constructor(readonly root: number) {}

  has(node: number): boolean {
    return this.#lines.has(node);
  }

  number(node: number, uniform: number): void {
    this.#numbers.set(node, uniform);
    this.#lines.set(node, `vec4(scalar${node})`);
  }

  read(node: number, source: Source): void {
    this.#sources.set(node, source);
    this.#lines.set(node, `getArray${node}AtOutCoords()`); // TensorFlow.js defines it; a tensor without axes stands for every element
  }

  operation(node: number, operation: Operation, inputs: readonly number[]): void {
    this.#operations.add(operation);
    this.#lines.set(node, `${operation}_(${inputs.map((input) => `n${input}`).join(", ")})`);
  }

  run(operands: Operands, written: ReadonlyMap<number, tf.Tensor>): tf.Tensor {
    const backend = tf.findBackend("webgl") as WebglKernels; // even when TensorFlow.js has been told to use another one since
    const inputs = [...this.#sources.values()].map((source) => source(operands, written));
    const uniforms = [...this.#numbers.values()].map((uniform) => [operands.uniform(uniform) as number]);
    const output = backend.compileAndRun(this.#program(operands.shape), inputs, "float32", uniforms);
    return tf.engine().makeTensorFromTensorInfo(output, backend);
  }

  #program(outputShape: number[]): ShaderProgram {
    const key = outputShape.join();
    let program = this.#programs.get(key);
    if (!program) {
      program = {
        variableNames: [...this.#sources.keys()].map((node) => `array${node}`),
        customUniforms: [...this.#numbers.keys()].map((node) => ({ name: `scalar${node}`, type: "float" })),
        outputShape,
        packedInputs: true,
        packedOutput: true,
        userCode: `
    ${[...this.#operations].map(definitionOf).join("\n    ")}
    void main() {
      ${[...this.#lines].map(([node, value]) => `vec4 n${node} = ${value};`).join("\n      ")}
      vec4 result = n${this.root};
      ${withoutMargin(outputShape)}
      setOutput(result);
    }`,
      };
      this.#programs.set(key, program);
    }
    return program;
  }
}

/** A texel holds 2 x 2 elements of the last two axes. Where those end, the other operations expect zeros. */
const withoutMargin = (shape: readonly number[]): string => {
  const { length: rank } = shape;
  const [rows, columns] = [shape[rank - 2] ?? 1, shape[rank - 1] ?? 1];
  // A margin can only be in the last texel of an axis, so where it begins is its last element.
  const isLast = (axis: number, size: number): string => `${place(axis, rank)} == ${size - 1}`;
  return [
    columns % 2 === 1 ? `if (${isLast(rank - 1, columns)}) result.ga = vec2(0.0);` : "",
    rows % 2 === 1 ? `if (${isLast(rank - 2, rows)}) result.ba = vec2(0.0);` : "",
  ].join("\n      ");
};

/** The place of a texel's first element along an axis. Vectors and scalars have one row. */
const place = (axis: number, rank: number): string => {
  if (axis < 0) return "0";
  return rank === 1 ? "getOutputCoords()" : `getOutputCoords().${"xyzwuv"[axis]}`;
};
