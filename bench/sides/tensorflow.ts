/** A tf.Optimizer: the step alone, with ready gradient tensors. */

import * as tf from "@tensorflow/tfjs";
import "@tensorflow/tfjs-backend-wasm";
import type { Side } from "../measure.js";
import { inProcess } from "../measure.js";
import { BETA1, BETA2, EPSILON, initialGradient, initialValue, LEARNING_RATE, type Model } from "../model.js";

export type TensorFlowBackend = "cpu" | "wasm";
export const tensorFlowVersion: string = tf.version.tfjs;
let made = 0;

const theirAdamax = (): tf.Optimizer => tf.train.adamax(LEARNING_RATE, BETA1, BETA2, EPSILON);

/** Both backends compute when called, not later, so a step that has returned is a step that is done. */
export const tensorFlow = async (
  name: string,
  backend: TensorFlowBackend,
  { tensors, size }: Model,
  make = theirAdamax,
): Promise<Side> => {
  await tf.setBackend(backend);
  const optimizer = make();
  const variables = Array.from({ length: tensors }, (_, t) =>
    tf.variable(tf.tensor1d(initialValue(t, size)), true, `bench${made++}`),
  );
  const gradients = variables.map(({ name }, t) => ({ name, tensor: tf.tensor1d(initialGradient(t, size)) }));
  const side = inProcess(name, () => optimizer.applyGradients(gradients));
  return {
    ...side,
    run: async (repeats) => {
      await tf.setBackend(backend);
      return side.run(repeats);
    },
    dispose: () => {
      optimizer.dispose();
      tf.dispose([...variables, ...gradients.map(({ tensor }) => tensor)]);
    },
  };
};
