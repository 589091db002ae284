/** A voice that says nothing: syllables of vowels and hisses, for those who have no recordings. */

import { between, pick, type Random, seeded } from "./random.ts";
import { type Recording, type Split, sampleRate, speechLevel } from "./recording.ts";
import type { Voice } from "./recordings.ts";

/** Where a vowel resonates, in Hz: Peterson and Barney's means of men and women. */
const vowels = [
  [300, 2500, 3100], // heed
  [480, 2200, 2800], // head
  [760, 1350, 2600], // hot
  [520, 1000, 2600], // law
  [340, 900, 2450], // who'd
  [700, 1400, 2600], // hut
] as const;
const bandwidths = [80, 110, 160];

const counts: Record<Split, number> = { train: 40, validation: 0, test: 10 };

/** The same sounds for every call. */
export function synthesisedVoice(): Voice {
  const random = seeded(7);
  const part = (split: Split): Recording[] =>
    Array.from({ length: counts[split] }, (_, i) => {
      const samples = phrase(random);
      const gain = 0.1 / speechLevel(samples);
      return { name: `${split} ${i + 1}`, samples: samples.map((sample) => sample * gain) };
    });
  return {
    recordings: { train: part("train"), validation: part("validation"), test: part("test") },
    papers: [],
    credit: "Voice: nobody's. It is synthesised: vowels and hisses that say nothing.",
  };
}

/** Three to eight syllables in one breath: pitch falls, and wavers. */
function phrase(random: Random): Float32Array {
  const syllables = Array.from({ length: Math.floor(between(random, 3, 9)) }, () => between(random, 0.14, 0.36));
  const samples = new Float32Array(Math.ceil(syllables.reduce((a, b) => a + b, 0.2) * sampleRate));
  let pitch = between(random, 130, 230);
  let at = Math.floor(0.05 * sampleRate);
  for (const seconds of syllables) {
    const hiss = random() < 0.4 ? Math.floor(between(random, 0.04, 0.09) * sampleRate) : 0;
    addHiss(samples, at, hiss, random);
    const length = Math.floor(seconds * sampleRate) - hiss;
    const next = pitch * between(random, 0.85, 1.1);
    addVowel(samples, at + hiss, length, [pitch, next], [pick(random, vowels), pick(random, vowels)]);
    pitch = Math.max(90, next * 0.97);
    at += hiss + length;
  }
  return samples;
}

/** Harmonics of a gliding pitch, each as loud as two gliding sets of resonances let it. */
function addVowel(
  into: Float32Array,
  begin: number,
  length: number,
  [from, to]: readonly [number, number],
  [first, second]: readonly [readonly number[], readonly number[]],
): void {
  const block = 40; // 5 ms, in which nothing glides
  let phase = 0;
  for (let start = 0; start < length; start += block) {
    const way = start / length;
    const pitch = from + (to - from) * way;
    const loudness = Math.min(1, way * 8, (1 - way) * 4);
    const amplitudes: number[] = [];
    for (let frequency = pitch; frequency < 3900; frequency += pitch) {
      const resonance = first.reduce((sum, low, i) => {
        const centre = low + (second[i]! - low) * Math.min(1, way * 2);
        return sum + 0.5 ** i / (1 + ((frequency - centre) / bandwidths[i]!) ** 2);
      }, 0.02);
      amplitudes.push((loudness * resonance) / Math.sqrt(frequency / pitch));
    }
    for (let i = start; i < Math.min(length, start + block); i++) {
      phase += (2 * Math.PI * pitch) / sampleRate;
      let sample = 0;
      for (const [k, amplitude] of amplitudes.entries()) sample += amplitude * Math.sin(phase * (k + 1));
      into[begin + i]! += sample;
    }
  }
}

/** Noise without its lower half, fading in and out. */
function addHiss(into: Float32Array, begin: number, length: number, random: Random): void {
  let before = 0;
  for (let i = 0; i < length; i++) {
    const white = random() - 0.5;
    into[begin + i]! += 0.5 * (white - before) * Math.sin((Math.PI * i) / length);
    before = white;
  }
}
