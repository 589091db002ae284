/** jax-js on its wasm backend, in Node: the rule's own numbers, eager and under jit. */

import { type JsTree, defaultDevice, grad, init, jit, numpy as np, tree } from "@jax-js/jax";
import { Adamax, type AdamaxOptions, type Optimizer, schedules, Variable } from "adamax";
import { adamax, applyUpdates, type State, type Transformation, transformation } from "adamax/jax";
import { beforeAll, describe, expect, test } from "vitest";
import { Adam } from "../../examples/rules/adam.js";
import { Lamb } from "../../examples/rules/lamb.js";
import { Lion } from "../../examples/rules/lion.js";
import { SGD } from "../../examples/rules/sgd-momentum.js";
import { thrown } from "../semantics/helpers.js";

/** All of jax-js' arrays lie here. */
const memories: WebAssembly.Memory[] = [];

beforeAll(async () => {
  const { Memory } = WebAssembly;
  WebAssembly.Memory = class extends Memory {
    constructor(descriptor: WebAssembly.MemoryDescriptor) {
      super(descriptor);
      memories.push(this);
    }
  };
  await init("wasm");
  WebAssembly.Memory = Memory;
  defaultDevice("wasm");
});

const SHAPES = { bias: [5], kernel: [4, 5] };
type Name = keyof typeof SHAPES;
const NAMES = Object.keys(SHAPES) as Name[];
type Params = Record<Name, np.Array>;

/** Numbers that look random; they shrink with the step and stop, as `step` grows. */
const wave = (length: number, step: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => (Math.sin(i * 12.9898 + step * 4.1) * 3) / (1 + step * step));
const valuesOf = (name: Name, step: number) => wave(SHAPES[name].reduce((a, b) => a * b), step + name.length);
const treeOf = (step: number): Params =>
  Object.fromEntries(NAMES.map((name) => [name, np.array(valuesOf(name, step)).reshape(SHAPES[name])])) as Params;

test("smoke", () => {
  const optimizer = adamax({ learningRate: 0.01 });
  let params = treeOf(0);
  let state = optimizer.init(tree.ref(params));
  const core = new Adamax({ learningRate: 0.01 });
  const variables = NAMES.map((name) => new Variable(valuesOf(name, 0), { shape: SHAPES[name], name }));
  const step = jit((p: Params, g: Params, s: State) => optimizer.step(p, g, s));
  for (let i = 1; i < 8; i++) {
    core.applyGradients(NAMES.map((name, k) => [valuesOf(name, i), variables[k]!]));
    [params, state] = step(params, treeOf(i), state) as [Params, State];
    console.log(params.bias.refCount, state.arrays.norm, NAMES.map((name, k) => {
      const out = params[name].ref.dataSync();
      return Math.max(...variables[k]!.value.map((v, e) => Math.abs(v - out[e]!) / 2 ** -24));
    }));
  }
});
