/** The step alone of TensorFlow.js' Adamax and of ours, with ready gradients, on the backend that TensorFlow.js uses when it is made. Runs in Node, in a
 *  page and in a worker of one. */

import * as tf from "@tensorflow/tfjs";
import { Adamax } from "adamax/tfjs";
import { BETA1, BETA2, EPSILON, initialGradient, initialValue, LEARNING_RATE, type Model } from "./model.js";

export const OPTIMIZERS = {
  "adamax/tfjs": () => new Adamax({ learningRate: LEARNING_RATE, beta1: BETA1, beta2: BETA2, epsilon: EPSILON }),
  "adamax/tfjs, everything on": () =>
    new Adamax({
      ...{ learningRate: LEARNING_RATE, beta1: BETA1, beta2: BETA2, epsilon: EPSILON },
      ...{ globalClipnorm: 1, weightDecay: 0.004, useEma: true },
    }),
  "tf.train.adamax": () => tf.train.adamax(LEARNING_RATE, BETA1, BETA2, EPSILON),
};
export type OptimizerName = keyof typeof OPTIMIZERS;
export const OURS: OptimizerName = "adamax/tfjs";
export const OURS_WITH_ALL: OptimizerName = "adamax/tfjs, everything on";
export const THEIRS: OptimizerName = "tf.train.adamax";

export interface Work {
  run(): void | Promise<unknown>;
  /** When everything is done that was begun. */
  done(): Promise<unknown>;
  dispose(): void;
}

let made = 0;

/** The step alone, with ready gradients. */
export const steps = ({ tensors, size }: Model, name: OptimizerName): Work => {
  const optimizer = OPTIMIZERS[name]();
  // By a product with 1, which leaves them where the gradients of a layer are: on a GPU, if there is one.
  const inPlace = (values: Float32Array): tf.Tensor =>
    tf.tidy(() => tf.matMul(tf.tensor2d(values, [size, 1]), tf.ones([1, 1])).reshape([size]));
  const variables = Array.from({ length: tensors }, (_, t) => {
    const value = inPlace(initialValue(t, size));
    const variable = tf.variable(value, true, `bench${made++}`);
    value.dispose();
    return variable;
  });
  const gradients = variables.map(({ name }, t) => ({ name, tensor: inPlace(initialGradient(t, size)) }));
  return {
    run: () => optimizer.applyGradients(gradients),
    done: async () => {
      const first = variables[0]!.slice([0], [1]);
      await first.data(); // a GPU works in order: this comes last
      first.dispose();
    },
    dispose: () => {
      optimizer.dispose();
      tf.dispose([...variables, ...gradients.map(({ tensor }) => tensor)]);
    },
  };
};
