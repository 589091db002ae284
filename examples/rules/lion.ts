/** Lion (Chen et al., 2023) as Keras computes it: every element moves by the learning rate, in the direction of a sign. */

import { constant, decayRate, defineRule, Optimizer, sign } from "adamax";

export class Lion extends Optimizer<"beta1" | "beta2"> {
  static override readonly rule = defineRule({
    name: "Lion",
    slots: ["momentum"],
    hyperparameters: { beta1: decayRate(0.9), beta2: decayRate(0.99) },
    leastDecay: ({ beta2 }) => beta2,
    update({ w, g, momentum: m }, { learningRate }, { beta1, beta2 }) {
      const rest1 = constant(1).sub(beta1); // unlike 1 - beta1, from a beta1 already rounded to the variable's dtype
      const rest2 = constant(1).sub(beta2);
      w = w.sub(learningRate.mul(sign(m.mul(beta1).add(g.mul(rest1)))));
      m = m.mul(beta2).add(g.mul(rest2));
      return { w, momentum: m };
    },
  });
}
