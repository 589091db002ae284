import * as tf from "@tensorflow/tfjs";
import type { Adamax } from "adamax/tfjs";
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

export interface Training {
  readonly plan: Plan;
  readonly seed: number;
  /** Who frees its state. */
  readonly optimizer: Adamax;
  readonly ranks: Ranks;
  /** The digits, as Epoch takes them. */
  readonly greys: Uint8Array;
  readonly test: Batch;
  /** Hears of each epoch, from 1 on, and of the bound after it. */
  readonly tell: (epoch: number, bound: number) => void;
}

/** Trains on this rank's part of each batch. */
export const train = ({ plan, seed, optimizer, ranks, greys, test, tell }: Training): Trained => {
  const { network: sizes, batchSize, digits, epochs } = plan;
  const [begin, end] = [0, 1].map((next) => Math.floor((batchSize * (ranks.rank + next)) / ranks.size));
  const network = new Autoencoder(sizes, seed);
  const bounds: number[] = [];
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = shuffled(digits, draws(seed, "order", epoch));
    const drawn = new Epoch(greys, sizes.latent, seed, epoch);
    for (let from = 0; from + batchSize <= digits; from += batchSize) {
      const batch = drawn.batch(order.subarray(from + begin!, from + end!));
      trainStep(network, optimizer, batch);
      disposeBatch(batch);
    }
    optimizer.swapAverages();
    bounds.push(boundOf(network, test));
    tell(epoch + 1, bounds.at(-1)!);
    if (epoch + 1 < epochs) optimizer.swapAverages();
  }
  return { network, bounds };
};

const trainStep = (network: Autoencoder, optimizer: Adamax, { images, noise }: Batch): void => {
  const { value, grads } = tf.variableGrads(() => network.loss(images, noise), network.variables);
  const gradients = network.variables.map(({ name }) => ({ name, tensor: grads[name]! }));
  optimizer.applyGradients(gradients, { weight: images.shape[0] }); // parts of a batch need not be equal
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
