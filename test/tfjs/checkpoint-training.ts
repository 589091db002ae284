/** A training of TensorFlow.js that saves after each epoch and goes on from what is there. As a program: `checkpoint-training.ts FOLDER EPOCHS`
 *  prints every bit of the model and its optimizer at the end. */

import { fileURLToPath } from "node:url";
import { schedules } from "adamax";
import { CheckpointManager } from "adamax/checkpoint";
import { Adamax, type AdamaxOptions, checkpoints, resume } from "adamax/tfjs";
import { tf, use } from "./backends.js";
import { data, wave } from "./models.js";

/** With weights that no optimizer trains, and a constraint. */
export const makeModel = (options: AdamaxOptions = {}): tf.Sequential => {
  const model = tf.sequential({
    layers: [
      tf.layers.dense({ units: 6, inputShape: [4], activation: "tanh", kernelConstraint: "unitNorm" }),
      tf.layers.batchNormalization({ momentum: 0.5 }),
      tf.layers.dense({ units: 5, trainable: false }),
      tf.layers.dense({ units: 1, name: "head" }),
    ],
  });
  tf.tidy(() =>
    model.setWeights(model.getWeights().map((weight, i) => tf.tensor(wave(weight.size, i).map(Math.abs), weight.shape))),
  );
  const learningRate = new schedules.CosineDecay({ initialLearningRate: 0.1, decaySteps: 40, alpha: 0.1 });
  model.compile({
    loss: "meanSquaredError",
    optimizer: new Adamax({
      learningRate,
      globalClipnorm: 1,
      useEma: true,
      weightDecay: 0.01,
      groups: [{ names: ["bias"], learningRateMultiplier: 0.5 }],
      ...options,
    }),
  });
  return model;
};

/** `epochs` in all, of 4 batches, as many of them as the folder does not have yet. */
export const trainTo = async (
  model: tf.LayersModel,
  manager: CheckpointManager,
  epochs: number,
  more: tf.ModelFitArgs = {},
): Promise<void> => {
  const { xs, ys } = data();
  const place = await resume(model, manager);
  const initialEpoch = place?.epoch ?? 0;
  const args = { epochs, initialEpoch, batchSize: 8, shuffle: false, verbose: 0 as const, callbacks: checkpoints(manager) };
  await model.fit(xs, ys, { ...args, ...more });
  tf.dispose([xs, ys]);
};

/** Weights of the model, then the optimizer's state. */
export const bitsOf = async (model: tf.LayersModel): Promise<number[][]> => {
  const state = await model.optimizer.getWeights();
  return [...model.getWeights(), ...state.map(({ tensor }) => tensor)].map((tensor) => [
    ...new Uint32Array(tensor.dataSync().slice().buffer),
  ]);
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder = "", epochs] = process.argv.slice(2);
  await use("cpu");
  const model = makeModel();
  await trainTo(model, new CheckpointManager(folder), Number(epochs));
  console.log(JSON.stringify(await bitsOf(model)));
}
