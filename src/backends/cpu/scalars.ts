/** Evaluates the scalars of a step: the part of a program that is the same for all elements. */

import type { ScalarOperation } from "../../rule/expression.js";
import type { Program } from "../../rule/program.js";

export interface ScalarParameters {
  learningRate: number;
  step: number;
  weightDecay: number;
}

/** Fills `values` with every scalar known after `stage` passes and not before. Norms of that stage must already stand there.
 *  Each operation rounds once to the program's dtype; what comes from a norm stays float64. */
export const evaluateScalars = (program: Program, stage: number, values: Float64Array, parameters: ScalarParameters): void => {
  const { scalars } = program;
  const isFloat32 = program.dtype === "float32";
  for (let place = 0; place < scalars.length; place++) {
    const scalar = scalars[place]!;
    if (scalar.stage !== stage || scalar.kind === "norm") continue;
    let value: number;
    if (scalar.kind === "constant") value = scalar.value;
    else if (scalar.kind === "parameter") value = parameters[scalar.name as keyof ScalarParameters];
    else value = apply(scalar.operation, values, scalar.inputs);
    values[place] = isFloat32 && !scalar.wide ? Math.fround(value) : value;
  }
};

const apply = (operation: ScalarOperation, values: Float64Array, inputs: readonly number[]): number => {
  const x = values[inputs[0]!]!;
  const y = inputs.length > 1 ? values[inputs[1]!]! : 0;
  switch (operation) {
    case "add":
      return x + y;
    case "sub":
      return x - y;
    case "mul":
      return x * y;
    case "div":
      return x / y;
    case "max":
      return Math.max(x, y);
    case "min":
      return Math.min(x, y);
    case "abs":
      return Math.abs(x);
    case "neg":
      return -x;
    case "sqrt":
      return Math.sqrt(x);
    case "pow":
      return x ** y;
    case "flush":
      return Math.abs(x) < y ? 0 : x;
    case "ifPositive":
      return x > 0 ? y : values[inputs[2]!]!;
  }
};
