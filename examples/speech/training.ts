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
  /** The batch's mask by the weights before the step. */
  readonly mask: Float32Array;
  /** Time of the optimizer's own part, in ms: from gradients to new weights. */
  readonly time: number;
}

/** One step: gradients by TensorFlow.js, update by the optimizer. */
export function trainStep(network: Network, optimizer: tf.Optimizer, batch: Batch): StepReport {
  let masked: tf.Tensor2D | undefined;
  const { value, grads } = tf.variableGrads(() => {
    masked = tf.keep(network.mask(batch.features));
    return network.loss(masked, batch);
  }, network.variables);
  const [loss, mask] = [value.dataSync()[0]!, masked!.dataSync() as Float32Array];
  const start = performance.now();
  optimizer.applyGradients(network.variables.map(({ name }) => ({ name, tensor: grads[name]! })));
  const time = performance.now() - start;
  tf.dispose([value, grads, masked!]);
  return { loss, mask, time };
}
