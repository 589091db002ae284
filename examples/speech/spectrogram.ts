import FFT from "fft.js";

const windowLength = 256;
export const hop = windowLength / 2;
/** Frequencies from 0 to half the sampling rate. */
export const bins = windowLength / 2 + 1;

/** Short-time spectra, frame after frame, `bins` numbers each. */
export interface Spectrogram {
  readonly frames: number;
  readonly real: Float32Array;
  readonly imaginary: Float32Array;
}

const fft = new FFT(windowLength);
const squareRootHann = Float64Array.from({ length: windowLength }, (_, i) => Math.sin((Math.PI * (i + 0.5)) / windowLength));

/** How many frames cover `samples` samples. One hop of silence is thought before the first. */
export const framesOf = (samples: number): number => Math.ceil(samples / hop) + 1;

/** Frame t sees the samples from (t - 1) * hop to (t + 1) * hop: nothing later than its own end. */
export function analyse(samples: Float32Array): Spectrogram {
  const frames = framesOf(samples.length);
  const real = new Float32Array(frames * bins);
  const imaginary = new Float32Array(frames * bins);
  const windowed = new Float64Array(windowLength);
  const spectrum = new Float64Array(2 * windowLength);
  for (let frame = 0; frame < frames; frame++) {
    const start = (frame - 1) * hop;
    for (let i = 0; i < windowLength; i++) windowed[i] = squareRootHann[i]! * (samples[start + i] ?? 0);
    fft.realTransform(spectrum, windowed);
    for (let bin = 0, at = frame * bins; bin < bins; bin++, at++) {
      real[at] = spectrum[2 * bin]!;
      imaginary[at] = spectrum[2 * bin + 1]!;
    }
  }
  return { frames, real, imaginary };
}

/** Overlap-add. With the same window on both sides, `synthesise(analyse(x), x.length)` is x. */
export function synthesise({ frames, real, imaginary }: Spectrogram, length: number): Float32Array {
  const samples = new Float32Array(length);
  const spectrum = new Float64Array(2 * windowLength);
  const windowed = new Float64Array(2 * windowLength);
  for (let frame = 0; frame < frames; frame++) {
    for (let bin = 0, at = frame * bins; bin < bins; bin++, at++) {
      spectrum[2 * bin] = real[at]!;
      spectrum[2 * bin + 1] = imaginary[at]!;
    }
    fft.completeSpectrum(spectrum);
    fft.inverseTransform(windowed, spectrum);
    const start = (frame - 1) * hop;
    for (let i = Math.max(0, -start); i < windowLength && start + i < length; i++)
      samples[start + i]! += squareRootHann[i]! * windowed[2 * i]!;
  }
  return samples;
}

/** The spectrogram with every bin scaled by a mask of the same shape. */
export function masked({ frames, real, imaginary }: Spectrogram, mask: ArrayLike<number>): Spectrogram {
  return {
    frames,
    real: real.map((value, i) => value * mask[i]!),
    imaginary: imaginary.map((value, i) => value * mask[i]!),
  };
}

/** |X|^2 of every bin. */
export function power({ real, imaginary }: Spectrogram): Float32Array {
  const values = new Float32Array(real.length);
  for (let i = 0; i < values.length; i++) values[i] = real[i]! ** 2 + imaginary[i]! ** 2;
  return values;
}
