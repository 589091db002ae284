import * as tf from "@tensorflow/tfjs";
import { type Frames, framesFrom, gather, measureScale, type Scale } from "./features.ts";
import { mixStream } from "./mixture.ts";
import type { Batch, Network } from "./network.ts";
import { seeded, shuffle } from "./random.ts";
import { analyse } from "./spectrogram.ts";

/** The scale of the features, from one minute that no run trains on. */
export const scaleFrom = (voices: readonly Float32Array[]): Scale =>
  measureScale(analyse(mixStream(60, { random: seeded(0), voices }).noisy));

const rounds = 2; // mixing a frame costs about as much as learning from it, so each is used twice

/** Batches drawn from noisy speech without end, shuffled within two minutes of it. */
export function* shuffledBatches(size: number, voices: readonly Float32Array[], scale: Scale, seed: number): Generator<Frames> {
  const random = seeded(seed);
  for (;;) {
    const frames = framesFrom(mixStream(120, { random, voices }), scale);
    const order = Uint32Array.from({ length: frames.count }, (_, i) => i);
    for (let round = 0; round < rounds; round++) {
      shuffle(random, order);
      for (let begin = 0; begin + size <= frames.count; begin += size) yield gather(frames, order.subarray(begin, begin + size));
    }
  }
}

export interface StepReport {
  readonly loss: number;
  /** Time for the gradients and for the optimizer's own step, in ms. */
  readonly gradientTime: number;
  readonly stepTime: number;
}

/** One step: gradients by TensorFlow.js, update by the optimizer. */
export function trainStep(network: Network, optimizer: tf.Optimizer, batch: Batch): StepReport {
  const start = performance.now();
  const { value, grads } = tf.variableGrads(() => network.loss(batch), network.variables);
  const loss = value.dataSync()[0]!;
  const gradientsReady = performance.now();
  optimizer.applyGradients(network.variables.map(({ name }) => ({ name, tensor: grads[name]! })));
  const end = performance.now();
  tf.dispose([value, grads]);
  return { loss, gradientTime: gradientsReady - start, stepTime: end - gradientsReady };
}
