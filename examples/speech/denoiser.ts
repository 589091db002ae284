import type { Scale } from "./features.ts";
import { disposeBatch, Network, toBatch } from "./network.ts";
import { denoiserOptimizer } from "./optimizers.ts";
import { shuffledBatches, trainStep } from "./training.ts";

const batchSize = 128;

export interface TrainedDenoiser {
  readonly network: Network;
  /** Loss of each step's batch. */
  readonly losses: readonly number[];
  readonly seconds: number;
}

/** Trains a network on shuffled batches and leaves the averaged weights in it. */
export function trainDenoiser(
  steps: number,
  voices: readonly Float32Array[],
  scale: Scale,
  seed: number,
  onStep: (done: number, loss: number) => void,
): TrainedDenoiser {
  const start = performance.now();
  const network = new Network(seed);
  const optimizer = denoiserOptimizer(steps);
  const batches = shuffledBatches(batchSize, voices, scale, seed);
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const batch = toBatch(batches.next().value);
    losses.push(trainStep(network, optimizer, batch).loss);
    disposeBatch(batch);
    onStep(step + 1, losses[step]!);
  }
  optimizer.finalizeVariableValues(); // the averages become the weights
  optimizer.dispose();
  return { network, losses, seconds: (performance.now() - start) / 1000 };
}
