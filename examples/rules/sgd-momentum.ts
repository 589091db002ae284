/** Gradient descent with momentum, as Keras' SGD computes it: the learning rate is inside the velocity, which its equations call so. (Its
 *  variables it calls "momentum", like the number; here names differ.) */

import { decayRate, defineRule, Optimizer } from "adamax";

export class SGD extends Optimizer<"momentum"> {
  static override readonly rule = defineRule({
    name: "SGD",
    slots: ["velocity"],
    hyperparameters: { momentum: decayRate(0.9) },
    leastDecay: ({ momentum }) => momentum,
    update({ w, g, velocity: v }, { learningRate }, { momentum }) {
      v = v.mul(momentum).sub(g.mul(learningRate));
      return { w: w.add(v), velocity: v };
    },
  });
}
