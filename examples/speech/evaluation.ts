import * as tf from "@tensorflow/tfjs";
import { featureCount, featuresOf, type Scale } from "./features.ts";
import { type Mixture, mixClip } from "./mixture.ts";
import type { Network } from "./network.ts";
import { type NoiseKind, noiseKinds } from "./noise.ts";
import { hash, seeded } from "./random.ts";
import type { Recording } from "./recording.ts";
import { mean, siSdr } from "./si-sdr.ts";
import { analyse, masked, type Spectrogram, synthesise } from "./spectrogram.ts";

/** A sound as the network takes it. */
export interface Heard {
  readonly spectrogram: Spectrogram;
  readonly features: Float32Array;
}

/** One recording under one kind of noise, ready to be cleaned again and again. */
export interface Clip extends Mixture, Heard {
  readonly name: string;
  readonly kind: NoiseKind;
  /** SI-SDR before anything is done, in dB. */
  readonly noisySdr: number;
}

export function hear(noisy: Float32Array, scale: Scale): Heard {
  const spectrogram = analyse(noisy);
  return { spectrogram, features: featuresOf(spectrogram, scale) };
}

/** Every recording under every kind of noise. The recording's name, the kind and the seed decide all. */
export function makeClips(recordings: readonly Recording[], scale: Scale, seed: number): Clip[] {
  const voices = recordings.map(({ samples }) => samples);
  return recordings.flatMap(({ name, samples }) =>
    noiseKinds.map((kind) => {
      const mixture = mixClip(samples, kind, { random: seeded(hash(name, seed)), voices });
      return { name, kind, ...mixture, ...hear(mixture.noisy, scale), noisySdr: siSdr(mixture.noisy, mixture.clean) };
    }),
  );
}

/** The network's answer, frame by frame from what came before: `length` samples. */
export function denoise(network: Network, { spectrogram, features }: Heard, length: number): Float32Array {
  const mask = tf.tidy(() => network.mask(tf.tensor2d(features, [spectrogram.frames, featureCount])).dataSync());
  return synthesise(masked(spectrogram, mask), length);
}

/** By how many dB a method raises the SI-SDR, clip by clip. */
export const improvements = (clips: readonly Clip[], method: (clip: Clip) => Float32Array): number[] =>
  clips.map((clip) => siSdr(method(clip), clip.clean) - clip.noisySdr);

export const networkImprovements = (network: Network, clips: readonly Clip[]): number[] =>
  improvements(clips, (clip) => denoise(network, clip, clip.clean.length));

/** The mean over the clips of each kind of noise. */
export function byKind(clips: readonly Clip[], values: readonly number[]): Record<NoiseKind, number> {
  const ofKind = (kind: NoiseKind) => mean(values.filter((_, i) => clips[i]!.kind === kind));
  return Object.fromEntries(noiseKinds.map((kind) => [kind, ofKind(kind)])) as Record<NoiseKind, number>;
}
