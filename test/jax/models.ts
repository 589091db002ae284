/** What the tests of the adapter to jax-js share: its wasm backend in Node, and one small tree of parameters. */

import { defaultDevice, init, numpy as np } from "@jax-js/jax";
import type { DType } from "adamax";

export const start = async (): Promise<void> => {
  // jax-js makes float64 arrays only where JavaScript has a Float16Array; Node 20 has none.
  if (!("Float16Array" in globalThis)) Object.assign(globalThis, { Float16Array: class {} });
  await init("wasm");
  defaultDevice("wasm");
};

const SHAPES = { bias: [5], kernel: [4, 5] };
export type Name = keyof typeof SHAPES;
export type Params = Record<Name, np.Array>;
export const NAMES = Object.keys(SHAPES) as Name[];

export const shapeOf = (name: Name): number[] => SHAPES[name];

/** Numbers that look random, smaller from step to step. */
export const valuesOf = (name: Name, step: number): number[] =>
  Array.from({ length: SHAPES[name].reduce((a, b) => a * b) }, (_, i) =>
    Math.fround((Math.sin(i * 12.9898 + step * 4.1 + name.length) * 3) / (1 + step * step)),
  );

export const treeOf = (step: number, dtype: DType = "float32"): Params => {
  const array = (name: Name) => np.array(valuesOf(name, step), { dtype: np[dtype] }).reshape(SHAPES[name]);
  return { bias: array("bias"), kernel: array("kernel") };
};

/** The elements of an array, which stays. */
export const elements = (array: np.Array): number[] => [...(array.ref.dataSync() as Float32Array)];
