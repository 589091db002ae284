/** Models for the property tests: options in every combination, variables of awkward lengths, numbers that make trouble. A model is
 *  described by a few small numbers, so that a failing one can be read, and made again. */

import { Adamax, type AdamaxOptions, type DType, type Gradient, IndexedSlices, type Values, Variable } from "adamax";
import fc from "fast-check";
import { DTYPES, isDevice, isFar, random, variablesOf } from "./helpers.js";

/** Every option that changes what is computed. */
export const anyOptions: fc.Arbitrary<AdamaxOptions> = fc
  .tuple(
    fc.record({
      learningRate: fc.constantFrom(1e-3, 0.5, 1e-9),
      beta1: fc.constantFrom(0.9, 0, 0.5),
      beta2: fc.constantFrom(0.999, 0, 0.9, 1),
      epsilon: fc.constantFrom(1e-7, 0, 0.1),
      weightDecay: fc.constantFrom(null, 0.1),
      useEma: fc.boolean(),
      emaMomentum: fc.constantFrom(0.99, 0.5),
      emaOverwriteFrequency: fc.constantFrom(null, 1, 2),
      emaStart: fc.constantFrom("variable", "firstStep"),
      lossScaleFactor: fc.constantFrom(null, 1024, 3),
      gradientAccumulationSteps: fc.constantFrom(null, 2),
      groups: fc.constantFrom([], [{ names: ["1"], learningRateMultiplier: 0.5, weightDecay: 0.3 }]),
    }),
    fc.constantFrom({}, { clipnorm: 0.7 }, { clipvalue: 0.2 }, { globalClipnorm: 0.7 }),
  )
  .map(([options, clipping]) => ({ ...options, ...clipping }) as AdamaxOptions);

/** Around the edges of vectors (4), unrolled iterations (16), blocks (4096) and staged chunks (16384). */
export const anyLength = fc.oneof(
  { weight: 4, arbitrary: fc.nat(70) },
  { weight: 2, arbitrary: fc.nat(4099) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(4096, 8192, 16384, 32768), fc.integer({ min: -2, max: 2 }))
      .map(([edge, step]) => edge + step),
  },
);

export interface VariableKind {
  length: number;
  dtype: DType;
  /** Kept in an array of the caller's, which begins in the middle of a vector. */
  foreign: boolean;
  /** Where its gradients are: in the variable's own array, in one that begins in the middle of a vector, in listed rows, or nowhere. */
  gradient: "own" | "misaligned" | "rows" | "sometimes null";
}
export const anyVariable: fc.Arbitrary<VariableKind> = fc.record({
  length: anyLength,
  dtype: fc.constantFrom(...DTYPES),
  foreign: isFar ? fc.constant(false) : fc.boolean(),
  gradient: fc.constantFrom("own", "misaligned", "rows", "sometimes null"),
});

/** Not where below 2^-126 everything may count as zero: a divisor, or the factor that clips the huge one. */
const EXTREME = isDevice ? [-1e35] : [1e-40, -1e-45, 5e-324, -3e38];
const TROUBLE = [Number.NaN, 1 / 0, -1 / 0, -0, 0, 2 ** -90, -(2 ** -91), 2 ** -91, 1e20, ...EXTREME];

/** Reproducible numbers of many magnitudes. "wild": one in eight makes trouble. */
export const numbers = (dtype: DType, length: number, seed: number, kind: "tame" | "wild" = "tame"): Values => {
  const next = random(seed);
  const trouble = kind === "wild" ? 1 / 8 : 0;
  const number = () => {
    if (next() < trouble) return TROUBLE[Math.floor(next() * TROUBLE.length)]!;
    return (next() - 0.5) * 10 ** (4 - 8 * next());
  };
  return dtype === "float32" ? Float32Array.from({ length }, number) : Float64Array.from({ length }, number);
};

/** The same numbers in an array that begins at an odd multiple of its element's size. */
export const misaligned = (values: Values): Values => {
  const Values = values instanceof Float32Array ? Float32Array : Float64Array;
  const view = new Values(
    new ArrayBuffer((values.length + 3) * values.BYTES_PER_ELEMENT),
    3 * values.BYTES_PER_ELEMENT,
    values.length,
  );
  view.set(values);
  return view;
};

/** Rows of 1 to 5 elements or all in one; unsorted, some listed twice, some not at all. */
export const rows = (variable: Variable, seed: number, kind: "tame" | "wild"): IndexedSlices => {
  const next = random(seed);
  const count = variable.shape[0]!;
  const indices = Int32Array.from({ length: Math.ceil(next() * count) }, () => Math.floor(next() * count));
  return new IndexedSlices(numbers(variable.dtype, (indices.length * variable.length) / (count || 1), seed + 1, kind), indices);
};

export interface Model {
  options: AdamaxOptions;
  variables: VariableKind[];
  seed: number;
  kind: "tame" | "wild";
  /** Calls made before, so that steps which clear tiny numbers are among those made. */
  start: number;
  steps: number;
}
export const anyModel: fc.Arbitrary<Model> = fc.record({
  options: anyOptions,
  variables: fc.array(anyVariable, { minLength: 1, maxLength: 3 }),
  seed: fc.nat(),
  kind: fc.constantFrom("tame", "wild"),
  start: fc.constantFrom(0, 14, 30),
  steps: fc.integer({ min: 1, max: 5 }),
});

const rowSizeOf = (length: number) => [5, 3, 2].find((size) => length % size === 0) ?? 1;

/** Trains the model, and returns all of its variables and of the optimizer's state. */
export const train = async ({ options, variables, seed, kind, start, steps }: Model, more: AdamaxOptions): Promise<Values[]> => {
  using optimizer = new Adamax({ ...options, ...more });
  const trained = variables.map(({ length, dtype, foreign }, i) => {
    const rowSize = rowSizeOf(length);
    const values = numbers(dtype, length, seed + i);
    return new Variable(foreign ? misaligned(values) : values, {
      name: `${i}`,
      adopt: !foreign,
      shape: [length / rowSize, rowSize],
    });
  });
  optimizer.build(trained);
  if (start > 0) {
    const state = optimizer.variables.map(({ shape }, i) => {
      const length = shape.reduce((product, size) => product * size, 1);
      return i === 0 ? [start] : Array.from(numbers("float32", length, seed + i, kind), Math.abs);
    });
    optimizer.setWeights(state);
  }
  const gradient = (variable: Variable, i: number, step: number): Gradient => {
    const at = seed + 100 * step + 10 * i;
    const values = () => numbers(variable.dtype, variable.length, at, kind);
    switch (variables[i]!.gradient) {
      case "own":
        variable.gradient.set(values());
        return variable.gradient;
      case "misaligned":
        return misaligned(values());
      case "rows":
        return rows(variable, at, kind);
      case "sometimes null":
        return step % 2 === 1 && i > 0 ? null : values();
    }
  };
  for (let step = 0; step < steps; step++)
    optimizer.applyGradients(trained.map((variable, i) => [gradient(variable, i, step), variable]));
  const values = await Promise.all(trained.map((variable) => variable.read()));
  return [...values, ...(await variablesOf(optimizer)).slice(1).map(({ value }) => (value as Values).slice())];
};
