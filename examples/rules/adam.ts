/** Adam (Kingma and Ba, 2014) as Keras computes it, from the same parts as Adamax: two slots and three equations. */

import { constant, decayRate, defineRule, nonNegative, Optimizer } from "adamax";

export class Adam extends Optimizer<"beta1" | "beta2" | "epsilon"> {
  static override readonly rule = defineRule({
    name: "Adam",
    slots: ["momentum", "velocity"],
    hyperparameters: { beta1: decayRate(0.9), beta2: decayRate(0.999), epsilon: nonNegative(1e-7) },
    leastDecay: ({ beta1, beta2 }) => Math.min(beta1, beta2),
    update({ w, g, momentum: m, velocity: v }, { learningRate, step }, { beta1, beta2, epsilon }) {
      const correction1 = constant(1).sub(constant(beta1).pow(step));
      const correction2 = constant(1).sub(constant(beta2).pow(step));
      const rate = learningRate.mul(correction2.sqrt()).div(correction1);
      m = m.add(g.sub(m).mul(1 - beta1));
      v = v.add(
        g
          .square()
          .sub(v)
          .mul(1 - beta2),
      );
      w = w.sub(m.mul(rate).div(v.sqrt().add(epsilon)));
      return { w, momentum: m, velocity: v };
    },
  });
}
