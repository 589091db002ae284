/** A training that is the same each time: in tests, in the processes that they start, and in the benchmark. */

import { type Adamax, type Values, Variable } from "adamax";

/** Reproducible numbers (mulberry32), uniform in [0, 1). */
export const random = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};

export type Shapes = Readonly<Record<string, { shape: readonly number[]; dtype?: "float32" | "float64" }>>;
export const SHAPES: Shapes = {
  "dense/kernel": { shape: [3, 5] },
  "dense/bias": { shape: [5] },
  scale: { shape: [], dtype: "float64" },
};

export const makeVariables = (shapes: Shapes = SHAPES, seed = 1): Variable[] => {
  const next = random(seed);
  return Object.entries(shapes).map(([name, { shape, dtype }]) => {
    const length = shape.reduce((product, size) => product * size, 1);
    const values = Array.from({ length }, () => next() - 0.5);
    return new Variable(dtype === "float64" ? Float64Array.from(values) : Float32Array.from(values), { shape, name });
  });
};

/** A gradient for each variable, or null now and then: those of call `k` are always the same. */
export const gradientsOf = (variables: readonly Variable[], k: number) => {
  const next = random(1000 + k);
  return variables.map((variable, i) => {
    const values = Array.from({ length: variable.length }, () => (next() - 0.5) * 10 ** (2 * next() - 2));
    const gradient = variable.dtype === "float64" ? Float64Array.from(values) : Float32Array.from(values);
    return [i > 0 && next() < 0.3 ? null : gradient, variable] as const;
  });
};

export const train = (optimizer: Adamax, variables: readonly Variable[], from: number, to: number): void => {
  for (let k = from; k < to; k++) optimizer.applyGradients(gradientsOf(variables, k));
};

/** Everything that makes the next steps what they are. */
export const everything = (optimizer: Adamax, variables: readonly Variable[]): Record<string, readonly bigint[]> => ({
  calls: [optimizer.variables[0]!.value[0] as bigint],
  ...Object.fromEntries(variables.map((one, i) => [`${i} ${one.name}`, bitsOf(one.value)])),
  ...Object.fromEntries(optimizer.variables.slice(1).map(({ name, value }, i) => [`${i} ${name}`, bitsOf(value as Values)])),
});

export const bitsOf = (values: Values): bigint[] =>
  values instanceof Float32Array
    ? Array.from(new Uint32Array(values.slice().buffer), BigInt)
    : [...new BigUint64Array(values.slice().buffer)];
