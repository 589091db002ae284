/** LAMB (You et al., 2019) as Keras computes it: Adam's direction, as long as the variable itself times the learning rate. */

import { constant, decayRate, defineRule, ifPositive, nonNegative, norm, Optimizer } from "adamax";

export class Lamb extends Optimizer<"beta1" | "beta2" | "epsilon"> {
  static override readonly rule = defineRule({
    name: "Lamb",
    slots: ["momentum", "velocity"],
    hyperparameters: { beta1: decayRate(0.9), beta2: decayRate(0.999), epsilon: nonNegative(1e-7) },
    leastDecay: ({ beta1, beta2 }) => Math.min(beta1, beta2),
    update({ w, g, momentum: m, velocity: v }, { learningRate, step }, { beta1, beta2, epsilon }) {
      const correction1 = constant(1).sub(constant(beta1).pow(step));
      const correction2 = constant(1).sub(constant(beta2).pow(step));
      m = m.add(g.sub(m).mul(1 - beta1));
      v = v.add(
        g
          .square()
          .sub(v)
          .mul(1 - beta2),
      );
      const direction = m.div(correction1).div(v.div(correction2).sqrt().add(epsilon));
      const ratio = norm(w).div(norm(direction)); // where both norms are positive
      const trust = ifPositive(norm(w), ifPositive(norm(direction), ratio, 1), 1);
      return { w: w.sub(direction.mul(trust.mul(learningRate))), momentum: m, velocity: v };
    },
  });
}
