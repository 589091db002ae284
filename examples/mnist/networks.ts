/** The networks of the programs here: 784 inputs, 10 outputs, and initial weights that depend on the seed alone. */

import * as tf from "@tensorflow/tfjs";

/** 50,890 parameters. */
export const dense = (seed: number): tf.Sequential => {
  const initializer = (layer: number) => tf.initializers.glorotUniform({ seed: 10 * seed + layer });
  const hidden = tf.layers.dense({ units: 64, activation: "relu", inputShape: [784], kernelInitializer: initializer(1) });
  return tf.sequential({
    layers: [hidden, tf.layers.dense({ units: 10, activation: "softmax", kernelInitializer: initializer(2) })],
  });
};

/** 9,098 parameters; small enough for a GPU that is a program. */
export const convolutional = (seed: number): tf.Sequential => {
  const initializer = (layer: number) => tf.initializers.heNormal({ seed: 10 * seed + layer });
  const convolution = (layer: number, filters: number) =>
    tf.layers.conv2d({
      filters,
      kernelSize: 3,
      strides: 2,
      padding: "same",
      activation: "relu",
      kernelInitializer: initializer(layer),
    });
  return tf.sequential({
    layers: [
      tf.layers.reshape({ inputShape: [784], targetShape: [28, 28, 1] }),
      convolution(1, 8),
      convolution(2, 16),
      tf.layers.flatten(),
      tf.layers.dense({ units: 10, activation: "softmax", kernelInitializer: initializer(3) }),
    ],
  });
};
