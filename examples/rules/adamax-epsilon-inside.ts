/** Adamax as PyTorch and Optax compute it: epsilon inside the maximum, so that a training from there goes on by the same equations. */

import { abs, constant, decayRate, defineRule, fraction, max, nonNegative, Optimizer } from "adamax";

export class EpsilonInsideAdamax extends Optimizer<"beta1" | "beta2" | "epsilon"> {
  static override readonly rule = defineRule({
    name: "EpsilonInsideAdamax",
    slots: ["momentum", "norm"],
    hyperparameters: { beta1: decayRate(0.9), beta2: fraction(0.999), epsilon: nonNegative(1e-8) },
    leastDecay: ({ beta1, beta2 }) => Math.min(beta1, beta2),
    update({ w, g, momentum: m, norm: v }, { learningRate, step }, { beta1, beta2, epsilon }) {
      const rate = learningRate.div(constant(1).sub(constant(beta1).pow(step)));
      m = m.add(g.sub(m).mul(1 - beta1));
      v = max(v.mul(beta2), abs(g).add(epsilon));
      w = w.sub(rate.mul(m).div(v));
      return { w, momentum: m, norm: v };
    },
  });
}
