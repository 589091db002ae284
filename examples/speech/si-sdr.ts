/** Scale-invariant signal-to-distortion ratio in dB: the estimate's part along the reference over the rest.
 *  Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019. NaN when the reference is silent. */
export function siSdr(estimate: ArrayLike<number>, reference: ArrayLike<number>): number {
  let cross = 0;
  let energy = 0;
  for (let i = 0; i < reference.length; i++) {
    cross += estimate[i]! * reference[i]!;
    energy += reference[i]! ** 2;
  }
  const scale = cross / energy;
  let target = 0;
  let rest = 0;
  for (let i = 0; i < reference.length; i++) {
    const wanted = scale * reference[i]!;
    target += wanted ** 2;
    rest += (estimate[i]! - wanted) ** 2;
  }
  return 10 * Math.log10(target / rest);
}

/** The SI-SDR in windows of `length` samples, one after the other. NaN where the reference is 30 dB below its mean power or
 *  lower: nobody speaks. */
export function siSdrOverTime(estimate: Float32Array, reference: Float32Array, length: number): number[] {
  const power = (samples: Float32Array) => samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  const silence = power(reference) / 1000;
  return Array.from({ length: Math.floor(reference.length / length) }, (_, i) => {
    const window = reference.subarray(i * length, (i + 1) * length);
    return power(window) < silence ? Number.NaN : siSdr(estimate.subarray(i * length, (i + 1) * length), window);
  });
}

/** By how much `estimate` is better than `noisy`: the mean over such windows, in dB. */
export function meanGain(estimate: Float32Array, noisy: Float32Array, reference: Float32Array, length: number): number {
  const before = siSdrOverTime(noisy, reference, length);
  const gains = siSdrOverTime(estimate, reference, length).map((value, i) => value - before[i]!);
  return mean(gains.filter((gain) => !Number.isNaN(gain)));
}

/** Means over `width` values around each, the NaNs left out. */
export function smoothed(values: readonly number[], width: number): number[] {
  return values.map((_, i) =>
    mean(values.slice(Math.max(0, i - Math.floor(width / 2)), i + Math.ceil(width / 2)).filter((value) => !Number.isNaN(value))),
  );
}

export const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Standard deviation of a sample (n - 1). */
export function spread(values: readonly number[]): number {
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}
