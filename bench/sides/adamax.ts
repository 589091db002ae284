/** Our own sides. */

import { Adamax, type AdamaxOptions, type GradientAndVariable, Variable } from "adamax";
import { inProcess, type Side } from "../measure.js";
import { fill, initialValue, type Model } from "../model.js";

export interface Kind {
  readonly dtype?: "float32" | "float64";
  /** Whether the optimizer takes the variables into its memory, and whether gradients are written there. Default: both. */
  readonly adopt?: boolean;
  readonly ownGradients?: boolean;
  /** Sets the gradients once before measuring; default: the model's. */
  readonly gradients?: (gradient: Float32Array | Float64Array, tensor: number) => void;
  /** Steps made before measuring, with the model's gradients. */
  readonly stepsBefore?: number;
}

/** An optimizer that trains `model`, ready to step. */
export const build = ({ tensors, size }: Model, options: AdamaxOptions = {}, kind: Kind = {}) => {
  const { dtype = "float32", adopt = true, ownGradients = true, gradients, stepsBefore = 0 } = kind;
  const Values = dtype === "float32" ? Float32Array : Float64Array;
  const variables = Array.from(
    { length: tensors },
    (_, t) => new Variable(Values.from(initialValue(t, size)), { adopt, name: `v${t}` }),
  );
  const optimizer = new Adamax({ threads: 1, ...options }); // threads have a question of their own
  optimizer.build(variables);
  const pairs = variables.map((variable, t): GradientAndVariable => {
    const gradient = ownGradients ? variable.gradient : new Values(size);
    return [fill(gradient, 2 * t + 2), variable];
  });
  const step = () => optimizer.applyGradients(pairs);
  for (let k = 0; k < stepsBefore; k++) step();
  if (gradients) for (const [t, [gradient]] of pairs.entries()) gradients(gradient as Float32Array, t);
  return { optimizer, variables, pairs, step };
};

export const adamax = (name: string, model: Model, options?: AdamaxOptions, kind?: Kind): Side => {
  const { optimizer, step } = build(model, options, kind);
  return inProcess(name, step, () => optimizer.dispose());
};
