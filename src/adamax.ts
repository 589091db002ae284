/** Adamax (Kingma and Ba, "Adam", section 7.1), as Keras defines it. */

import type { Values } from "./backend.js";
import { Optimizer } from "./optimizer/optimizer.js";
import type { OptimizerOptions } from "./optimizer/options.js";
import { abs, constant, max } from "./rule/expression.js";
import { decayRate, fraction, nonNegative, type UpdateRule } from "./rule/update-rule.js";

/** Every operation rounds once, in Keras' order. 1 - beta1 is taken in float64 and then rounded; 1 - beta1^t is rounded at each
 *  of its operations. In float32 the two differ by about 3 ulps at t = 1, as they do in Keras. (A rule of your own goes through
 *  `defineRule`, which checks it; this one is tested, and a page that needs no other should not load the checks.) */
export const adamax: UpdateRule<"momentum" | "norm", "beta1" | "beta2" | "epsilon"> = {
  name: "Adamax",
  slots: ["momentum", "norm"],
  hyperparameters: { beta1: decayRate(0.9), beta2: fraction(0.999), epsilon: nonNegative(1e-7) },
  leastDecay: ({ beta1, beta2 }) => Math.min(beta1, beta2),
  update({ w, g, momentum: m, norm: u }, { learningRate, step }, { beta1, beta2, epsilon }) {
    const biasCorrection = constant(1).sub(constant(beta1).pow(step));
    m = m.add(g.sub(m).mul(1 - beta1)); //                                     first moment
    u = max(u.mul(beta2), abs(g)); //                                          infinity norm; a NaN in g stays NaN
    w = w.sub(learningRate.mul(m).div(biasCorrection.mul(u.add(epsilon)))); // every backend is compiled from these lines
    return { w, momentum: m, norm: u };
  },
};

export interface AdamaxOptions extends OptimizerOptions {
  /** Decay of the first moment. A number (or a typed array with one element) in [0, 1), default 0.9. */
  beta1?: number | Values;
  /** Decay of the infinity norm. A number (or a typed array with one element) in [0, 1], default 0.999. */
  beta2?: number | Values;
  /** Added to the infinity norm in the denominator. 0 or more, default 1e-7. */
  epsilon?: number | Values;
}

/** The optimizer that `tf.keras.optimizers.Adamax` documents.
 *  @throws OptionError for an unknown option, a value out of range, or options that exclude each other. */
export class Adamax extends Optimizer<"beta1" | "beta2" | "epsilon"> {
  static override readonly rule = Object.freeze(adamax); // as defineRule leaves those that it has checked

  constructor(options: AdamaxOptions = {}, ...more: never[]) {
    super(options, ...more);
  }
}
