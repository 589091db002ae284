/** Small models and data, the same in every run. */

import { tf } from "./backends.js";

/** Numbers that look random. */
export const wave = (length: number, phase = 0): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898 + phase) * 2);

export const twoLayers = (settings: { trainable?: boolean; constraint?: boolean } = {}): tf.Sequential => {
  const { trainable = true, constraint = false } = settings;
  const model = tf.sequential({
    layers: [
      tf.layers.dense({
        units: 6,
        inputShape: [4],
        activation: "tanh",
        trainable,
        ...(constraint ? { kernelConstraint: "unitNorm" as const } : {}),
      }),
      tf.layers.dense({ units: 1 }),
    ],
  });
  tf.tidy(() => model.setWeights(model.getWeights().map((weight, i) => tf.tensor(wave(weight.size, i), weight.shape))));
  return model;
};

export const data = (): { xs: tf.Tensor; ys: tf.Tensor } =>
  tf.tidy(() => {
    const xs = tf.tensor2d(wave(32 * 4, 7), [32, 4]);
    return { xs, ys: xs.sum(1, true).sin() };
  });

export const weightsOf = (model: tf.LayersModel): number[][] => model.getWeights().map((weight) => [...weight.dataSync()]);

/** Loss after each of `steps` steps on all the data. */
export const train = async (model: tf.LayersModel, steps: number): Promise<number[]> => {
  const { xs, ys } = data();
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) losses.push((await model.trainOnBatch(xs, ys)) as number);
  tf.dispose([xs, ys]);
  return losses;
};

export const compile = (model: tf.LayersModel, optimizer: tf.Optimizer): tf.LayersModel => {
  model.compile({ optimizer, loss: "meanSquaredError" });
  return model;
};
