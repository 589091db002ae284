import * as tf from "@tensorflow/tfjs";
import { schedules } from "adamax";
import { Adamax } from "adamax/tfjs";
import { type Batch, disposeBatch, Epoch } from "./data.ts";
import { draws, shuffled } from "./draws.ts";
import { Autoencoder } from "./network.ts";
import type { Plan } from "./plan.ts";

/** This process among those that train together. */
export interface Ranks {
  readonly rank: number;
  readonly size: number;
}

export interface Trained {
  /** Whose weights are the averages. Whoever asked for it, disposes it. */
  readonly network: Autoencoder;
  /** Nats for one digit, on the digits for testing, by the averages: after each epoch. */
  readonly bounds: readonly number[];
}

/** Trains on this rank's part of each batch. `greys`: the digits, as Epoch takes them. */
export const train = (plan: Plan, seed: number, greys: Uint8Array, test: Batch, mesh: Ranks, tell: Tell): Trained => {
  const { network: sizes, optimizer: numbers, batchSize, digits, epochs, warmupSteps, emaMomentum } = plan;
  const stepsEach = Math.floor(digits / batchSize);
  const network = new Autoencoder(sizes, seed);
  const optimizer = new Adamax({
    learningRate: new schedules.CosineDecay({
      initialLearningRate: 0,
      warmupTarget: numbers.learningRate,
      warmupSteps,
      decaySteps: epochs * stepsEach - warmupSteps,
      alpha: numbers.lastShare,
    }),
    weightDecay: numbers.weightDecay,
    globalClipnorm: numbers.globalClipnorm,
    useEma: true,
    emaMomentum,
  });
  optimizer.excludeFromWeightDecay({ names: ["bias"] });

  const bounds: number[] = [];
  const [begin, end] = [0, 1].map((next) => Math.floor((batchSize * (mesh.rank + next)) / mesh.size));
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = shuffled(digits, draws(seed, "order", epoch));
    const drawn = new Epoch(greys, sizes.latent, seed, epoch);
    for (let step = 0; step < stepsEach; step++) {
      const batch = drawn.batch(order.subarray(step * batchSize + begin!, step * batchSize + end!));
      trainStep(network, optimizer, batch);
      disposeBatch(batch);
    }
    optimizer.swapAverages();
    bounds.push(boundOf(network, test));
    tell(epoch + 1, bounds.at(-1)!);
    if (epoch + 1 < epochs) optimizer.swapAverages();
  }
  optimizer.dispose();
  return { network, bounds };
};

/** Hears of each epoch, from 1 on, and of the bound after it. */
export type Tell = (epoch: number, bound: number) => void;

const trainStep = (network: Autoencoder, optimizer: tf.Optimizer, { images, noise }: Batch): void => {
  const { value, grads } = tf.variableGrads(() => network.loss(images, noise), network.variables);
  optimizer.applyGradients(network.variables.map(({ name }) => ({ name, tensor: grads[name]! })));
  tf.dispose([value, grads]);
};

/** Of all digits of a batch, a thousand at a time: memory for as many is enough. */
const boundOf = (network: Autoencoder, { images, noise }: Batch): number => {
  const [count, atOnce] = [images.shape[0], 1000];
  let sum = 0;
  for (let from = 0; from < count; from += atOnce) {
    const rows = Math.min(atOnce, count - from);
    const loss = tf.tidy(() => network.loss(images.slice([from, 0], [rows, -1]), noise.slice([from, 0], [rows, -1])));
    sum += loss.dataSync()[0]! * rows;
    loss.dispose();
  }
  return sum / count;
};
