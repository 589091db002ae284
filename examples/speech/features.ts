import type { Mixture } from "./mixture.ts";
import { sampleRate } from "./recording.ts";
import { analyse, bins, hop, power, type Spectrogram } from "./spectrogram.ts";

/** What the network sees of frame t: log power of t, t - 1 and t - 2, and two running means. All causal. */
export const featureCount = 5 * bins;

/** Mean and deviation of the log power of each bin, measured once on training material. */
export interface Scale {
  readonly mean: Float32Array;
  readonly deviation: Float32Array;
}

/** Frames to learn from, one row each. */
export interface Frames {
  readonly count: number;
  /** `featureCount` numbers per frame. */
  readonly features: Float32Array;
  /** The mask to find, clip(Re(S / Y), 0, 1): `bins` numbers per frame. */
  readonly targets: Float32Array;
  /** |Y|: how much an error in that bin is heard. `bins` numbers per frame. */
  readonly weights: Float32Array;
}

const floor = 1e-4; // about the power of a 16 bit recording's last digit in one bin
const framesPerSecond = sampleRate / hop;
const timeConstants = [0.2, 1]; // s

function logPower(spectrogram: Spectrogram): Float32Array {
  const values = power(spectrogram);
  for (let i = 0; i < values.length; i++) values[i] = Math.log(values[i]! + floor);
  return values;
}

export function measureScale(noisy: Spectrogram): Scale {
  const logs = logPower(noisy);
  const mean = new Float32Array(bins);
  const deviation = new Float32Array(bins);
  logs.forEach((value, i) => {
    mean[i % bins]! += value / noisy.frames;
  });
  logs.forEach((value, i) => {
    deviation[i % bins]! += (value - mean[i % bins]!) ** 2 / noisy.frames;
  });
  return { mean, deviation: deviation.map(Math.sqrt) };
}

/** The network's input for every frame of a stream. The running means start at the first frame. */
export function featuresOf(noisy: Spectrogram, scale: Scale): Float32Array {
  const logs = logPower(noisy);
  for (let i = 0; i < logs.length; i++) logs[i] = (logs[i]! - scale.mean[i % bins]!) / scale.deviation[i % bins]!;
  const frame = (t: number) => logs.subarray(Math.max(0, t) * bins, (Math.max(0, t) + 1) * bins);
  const means = timeConstants.map((seconds) => ({ keep: Math.exp(-1 / (seconds * framesPerSecond)), value: frame(0).slice() }));
  const features = new Float32Array(noisy.frames * featureCount);
  for (let t = 0; t < noisy.frames; t++) {
    const now = frame(t);
    for (const { keep, value } of means)
      for (let bin = 0; bin < bins; bin++) value[bin] = keep * value[bin]! + (1 - keep) * now[bin]!;
    [now, frame(t - 1), frame(t - 2), ...means.map(({ value }) => value)].forEach((part, i) => {
      features.set(part, t * featureCount + i * bins);
    });
  }
  return features;
}

/** Everything to learn from a mixture. */
export function framesFrom(mixture: Mixture, scale: Scale): Frames {
  const noisy = analyse(mixture.noisy);
  const clean = analyse(mixture.clean);
  const powers = power(noisy);
  const targets = new Float32Array(powers.length);
  const weights = new Float32Array(powers.length);
  for (let i = 0; i < powers.length; i++) {
    const alignment = clean.real[i]! * noisy.real[i]! + clean.imaginary[i]! * noisy.imaginary[i]!; // Re(S conj(Y))
    targets[i] = Math.min(1, Math.max(0, alignment / (powers[i]! + 1e-12)));
    weights[i] = Math.sqrt(powers[i]!);
  }
  return { count: noisy.frames, features: featuresOf(noisy, scale), targets, weights };
}

/** The frames from `begin` to before `end`, as views. */
export const slice = ({ features, targets, weights }: Frames, begin: number, end: number): Frames => ({
  count: end - begin,
  features: features.subarray(begin * featureCount, end * featureCount),
  targets: targets.subarray(begin * bins, end * bins),
  weights: weights.subarray(begin * bins, end * bins),
});

/** The given rows, in that order. */
export function gather({ features, targets, weights }: Frames, rows: ArrayLike<number>): Frames {
  const rowsOf = (from: Float32Array, width: number) => {
    const to = new Float32Array(rows.length * width);
    for (let i = 0; i < rows.length; i++) to.set(from.subarray(rows[i]! * width, (rows[i]! + 1) * width), i * width);
    return to;
  };
  return {
    count: rows.length,
    features: rowsOf(features, featureCount),
    targets: rowsOf(targets, bins),
    weights: rowsOf(weights, bins),
  };
}
