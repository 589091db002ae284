/** Three spirals, and the training of a network that learns which one a point is on. Nothing here knows whether it runs in a page or in Node. */

import { Adamax, fit, type History, inBatches, schedules } from "adamax";
import { Network, type Sample } from "./network.js";

/** What there is to show after an epoch. */
export interface Progress {
  readonly epoch: number;
  /** Of the training, in this epoch. */
  readonly loss: number;
  /** Of points that were not trained on, with the averaged weights. */
  readonly valLoss: number;
  readonly steps: number;
  readonly stepsPerSecond: number;
}

export interface Training {
  readonly epochs: number;
  readonly points: readonly Sample[];
  readonly network: Network;
  /** Where the steps are computed, and why there. */
  readonly backend: { readonly name: string; readonly why: string };
  /** Trains once. A signal ends it early; the averages are in the network then, too. */
  run(onEpoch: (progress: Progress) => void, signal?: AbortSignal): Promise<History>;
  /** The share of points that are recognized. */
  accuracy(points: readonly Sample[]): number;
  /** New points. */
  sample(count: number): Sample[];
}

const BATCH = 30;

export const createTraining = (seed = 1, epochs = 200): Training => {
  const random = generator(seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const sample = (count: number) => Array.from({ length: count }, (_, i) => spiralPoint(i % 3, random(), normal()));
  const points = sample(300);
  const unseen = sample(150);
  const network = new Network([2, 16, 16, 3], normal);
  const optimizer = new Adamax({
    learningRate: new schedules.CosineDecay({ initialLearningRate: 0.02, decaySteps: (epochs * points.length) / BATCH }),
    globalClipnorm: 1,
    useEma: true,
    emaMomentum: 0.98,
  });

  const run = async (onEpoch: (progress: Progress) => void, signal?: AbortSignal) => {
    const begin = performance.now();
    try {
      return await fit({
        optimizer,
        data: (epoch) => inBatches(points, epoch, { batchSize: BATCH, seed }),
        loss: (batch) => network.lossAndGradients(batch),
        epochs,
        validation: { data: [unseen], loss: (batch) => network.loss(batch) },
        progress: "none",
        ...(signal ? { signal } : {}),
        callbacks: [
          {
            onEpochEnd({ epoch, loss, valLoss = Number.NaN }) {
              const steps = optimizer.iterations;
              const stepsPerSecond = (1000 * steps) / (performance.now() - begin);
              onEpoch({ epoch, loss, valLoss, steps, stepsPerSecond });
            },
          },
        ],
      });
    } finally {
      optimizer.dispose(); // the network keeps its values
    }
  };
  const accuracy = (points: readonly Sample[]) =>
    points.filter(({ input, label }) => network.predict(input)[label]! > 0.5).length / points.length;
  return { epochs, points, network, backend: optimizer.backend, run, accuracy, sample };
};

/** A point of one of the spirals, `along` of the way from the middle, a little beside it. */
const spiralPoint = (spiral: number, along: number, beside: number): Sample => {
  const radius = 0.08 + 0.87 * along;
  const angle = 5.2 * radius + (2 * Math.PI * spiral) / 3 + 0.16 * beside;
  return { input: [radius * Math.cos(angle), radius * Math.sin(angle)], label: spiral };
};

/** Numbers in [0, 1), the same for the same seed in every engine. */
const generator = (seed: number) => {
  let state = seed;
  return () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
};
