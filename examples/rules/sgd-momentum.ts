/** Gradient descent with momentum, as Keras' SGD computes it: the learning rate is inside the momentum. */

import { decayRate, defineRule, Optimizer } from "adamax";

export class SGD extends Optimizer<"momentum"> {
  static override readonly rule = defineRule({
    name: "SGD",
    slots: ["momentum"],
    hyperparameters: { momentum: decayRate(0.9) },
    leastDecay: ({ momentum }) => momentum,
    update({ w, g, momentum: m }, { learningRate }, { momentum }) {
      m = m.mul(momentum).sub(g.mul(learningRate));
      return { w: w.add(m), momentum: m };
    },
  });
}
