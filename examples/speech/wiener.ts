import { analyse, bins, masked, power, synthesise } from "./spectrogram.ts";

const framesToStart = 6; // about 0.1 s: the noise is first taken to be what these hold on average
const activeSnr = 10 ** 1.5; // speech, where there is any, is expected 15 dB above the noise
const noiseSmoothing = 0.93;
const presenceSmoothing = 0.9;
const decisionSmoothing = 0.9;
const lowestPriorSnr = 10 ** -2.5;
const lowestGain = 0.05;

/**
 * The classical way, with nothing learned: a Wiener filter whose a-priori SNR is decision-directed (Ephraim & Malah 1984)
 * over a running noise estimate driven by the probability that speech is present (Gerkmann & Hendriks 2012). Its smoothing and
 * its lowest gain were chosen on the validation recordings, for the highest SI-SDR.
 */
export function wienerFilter(samples: Float32Array): Float32Array {
  const noisy = analyse(samples);
  return synthesise(masked(noisy, wienerMask(power(noisy), noisy.frames)), samples.length);
}

function wienerMask(powers: Float32Array, frames: number): Float32Array {
  const mask = new Float32Array(powers.length);
  for (let bin = 0; bin < bins; bin++) {
    const first = Math.min(frames, framesToStart);
    let noise = 1e-12;
    for (let t = 0; t < first; t++) noise += powers[t * bins + bin]! / first;
    let presence = 0.5; // running mean of the probability that this bin holds speech
    let cleanBefore = 0;
    for (let t = 0; t < frames; t++) {
      const observed = powers[t * bins + bin]!;
      let present = 1 / (1 + (1 + activeSnr) * Math.exp((-observed / noise) * (activeSnr / (1 + activeSnr))));
      presence = presenceSmoothing * presence + (1 - presenceSmoothing) * present;
      if (presence > 0.99) present = Math.min(present, 0.99); // a jump of the noise must not pass for speech for ever
      const expectedNoise = present * noise + (1 - present) * observed;
      noise = noiseSmoothing * noise + (1 - noiseSmoothing) * expectedNoise;

      const instantaneous = Math.max(0, observed / noise - 1);
      const prior = Math.max(lowestPriorSnr, decisionSmoothing * (cleanBefore / noise) + (1 - decisionSmoothing) * instantaneous);
      const gain = Math.max(lowestGain, prior / (1 + prior));
      cleanBefore = gain * gain * observed;
      mask[t * bins + bin] = gain;
    }
  }
  return mask;
}
