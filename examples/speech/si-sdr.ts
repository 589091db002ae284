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

export const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Standard deviation of a sample (n - 1). */
export function spread(values: readonly number[]): number {
  const middle = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1));
}
