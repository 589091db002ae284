import * as tf from "@tensorflow/tfjs";
import { featureCount, featuresOf, type Scale } from "./features.ts";
import { type Mixture, mixClip } from "./mixture.ts";
import type { Network } from "./network.ts";
import { type NoiseKind, noiseKinds } from "./noise.ts";
import { hash, seeded } from "./random.ts";
import type { Recording } from "./recordings.ts";
import { mean, siSdr } from "./si-sdr.ts";
import { analyse, masked, synthesise } from "./spectrogram.ts";

export interface Clip extends Mixture {
  readonly name: string;
  readonly kind: NoiseKind;
}

/** Every recording under every kind of noise. The name, the kind and the seed decide all. */
export function makeClips(recordings: readonly Recording[], seed: number): Clip[] {
  const voices = recordings.map(({ samples }) => samples);
  return recordings.flatMap(({ name, samples }) =>
    noiseKinds.map((kind) => ({
      name,
      kind,
      ...mixClip(samples, kind, { random: seeded(hash(name, seed)), voices }),
    })),
  );
}

/** The network's answer to a recording, frame by frame from what came before. */
export function denoise(network: Network, noisy: Float32Array, scale: Scale): Float32Array {
  const spectrogram = analyse(noisy);
  const features = featuresOf(spectrogram, scale);
  const mask = tf.tidy(() => network.mask(tf.tensor2d(features, [spectrogram.frames, featureCount])).dataSync());
  return synthesise(masked(spectrogram, mask), noisy.length);
}

/** By how many dB a method raises the SI-SDR, clip by clip. */
export const improvements = (clips: readonly Clip[], method: (noisy: Float32Array) => Float32Array): number[] =>
  clips.map(({ noisy, clean }) => siSdr(method(noisy), clean) - siSdr(noisy, clean));

/** The mean over the clips of each kind of noise. */
export function byKind(clips: readonly Clip[], values: readonly number[]): Record<NoiseKind, number> {
  const ofKind = (kind: NoiseKind) => mean(values.filter((_, i) => clips[i]!.kind === kind));
  return Object.fromEntries(noiseKinds.map((kind) => [kind, ofKind(kind)])) as Record<NoiseKind, number>;
}
