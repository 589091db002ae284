/** Keras' constraints, as functions for `new Variable(value, { constraint: constraints.maxNorm() })`. Norms are summed in float64. */

import { ShapeError } from "./errors.js";
import { type Checked, checkKinds, either, type Kind, nonNegative, optional, upToOne } from "./kinds.js";
import type { Constraint } from "./variable.js";

/** Axes of the variable's shape. */
type Axes = number | readonly number[];

/** What `unitNorm` takes. */
export interface NormOptions {
  /** Over which axes a norm is taken; one, or a list. Default 0: of a dense kernel [inputs, units], a norm for each unit. A negative one counts from the
   *  last. */
  axis?: Axes;
}

/** What `maxNorm` takes. */
export interface MaxNormOptions extends NormOptions {
  /** 0 or more, default 2. */
  maxValue?: number;
}

/** What `minMaxNorm` takes. */
export interface MinMaxNormOptions extends NormOptions {
  /** 0 or more, default 0. */
  minValue?: number;
  /** 0 or more, default 1. */
  maxValue?: number;
  /** How far a norm is brought into the range: in [0, 1], default 1, all the way. */
  rate?: number;
}

/** Keras: so that a norm of zero divides nothing by zero. */
const EPSILON = 1e-7;

const integer: Kind<number> = { wanted: "an integer", holds: (value) => Number.isInteger(value) };
const axes = optional(
  either(integer, {
    wanted: "an array of them",
    holds: (value) => Array.isArray(value) && value.length > 0 && value.every(Number.isInteger),
  } as Kind<readonly number[]>),
  0,
);

/** Negative values become 0. */
export const nonNeg = (): Constraint => (value) => {
  for (let i = 0; i < value.length; i++) if (value[i]! < 0) value[i] = 0;
};

/** Norms above `maxValue` are brought down to it. */
export const maxNorm = (options: MaxNormOptions = {}): Constraint => {
  const { maxValue, axis } = checkKinds<MaxNormOptions>("maxNorm", options, { maxValue: optional(nonNegative, 2), axis: axes });
  return withNorms(axis, (norm) => Math.min(norm, maxValue) / (EPSILON + norm));
};

/** Every norm becomes 1. */
export const unitNorm = (options: NormOptions = {}): Constraint => {
  const { axis } = checkKinds<NormOptions>("unitNorm", options, { axis: axes });
  return withNorms(axis, (norm) => 1 / (EPSILON + norm));
};

/** Norms are brought into [minValue, maxValue]. */
export const minMaxNorm = (options: MinMaxNormOptions = {}): Constraint => {
  const { minValue, maxValue, rate, axis }: Checked<MinMaxNormOptions> = checkKinds("minMaxNorm", options, {
    minValue: optional(nonNegative, 0),
    maxValue: optional(nonNegative, 1),
    rate: optional(upToOne, 1),
    axis: axes,
  });
  return withNorms(axis, (norm) => (rate * Math.max(minValue, Math.min(norm, maxValue)) + (1 - rate) * norm) / (EPSILON + norm));
};

/** Multiplies each element by the factor that belongs to the norm over its axes. */
const withNorms =
  (axis: Axes, factorOf: (norm: number) => number): Constraint =>
  (value, { shape, ...variable }) => {
    const over = new Set([axis].flat().map((one) => (one < 0 ? one + shape.length : one)));
    for (const one of over)
      if (one < 0 || one >= shape.length)
        throw new ShapeError(
          "A constraint's norm is taken over axes that the variable has",
          `axis ${one} of ${variable.name}, of shape [${shape}]`,
          "Pass an axis of its shape.",
        );
    const { places, count } = groupsOf(shape, over);
    const squares = new Float64Array(count);
    for (let i = 0; i < value.length; i++) squares[places[i]!]! += value[i]! * value[i]!;
    const factors = squares.map((square) => factorOf(Math.sqrt(square)));
    for (let i = 0; i < value.length; i++) value[i]! *= factors[places[i]!]!;
  };

/** Which norm each element belongs to, and how many norms there are. */
const groupsOf = (shape: readonly number[], over: ReadonlySet<number>): { places: Int32Array; count: number } => {
  const places = new Int32Array(shape.reduce((product, size) => product * size, 1));
  let [count, stride] = [1, 1];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis]!;
    if (!over.has(axis)) {
      for (let i = 0; i < places.length; i++) places[i]! += count * (Math.floor(i / stride) % size);
      count *= size;
    }
    stride *= size;
  }
  return { places, count };
};
