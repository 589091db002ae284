/** What a recording is to this example. Nothing here reads files, so that a page can use it. */

import { hash } from "./random.ts";
import type { Sound } from "./wav.ts";

/** Samples per second of every recording of this example. */
export const sampleRate = 8000;

export interface Recording {
  readonly name: string;
  /** One voice, at an RMS of 0.1 over its loud parts. */
  readonly samples: Float32Array;
}

export const splits = ["train", "validation", "test"] as const;
export type Split = (typeof splits)[number];

/** Which part a recording belongs to: only its name decides, so adding one moves no other. 65 : 15 : 20. */
export function splitOf(name: string): Split {
  const share = hash(name, 1) % 100;
  return share < 65 ? "train" : share < 80 ? "validation" : "test";
}

/** RMS over the blocks of 20 ms that are at most 30 dB below the loudest one: the pauses do not count. */
export function speechLevel(samples: Float32Array): number {
  const block = sampleRate / 50;
  const powers: number[] = [];
  for (let start = 0; start + block <= samples.length; start += block)
    powers.push(samples.subarray(start, start + block).reduce((sum, sample) => sum + sample * sample, 0) / block);
  const loudest = powers.reduce((most, power) => Math.max(most, power), 0);
  const loud = powers.filter((power) => power > loudest / 1000);
  return Math.sqrt(loud.reduce((sum, power) => sum + power, 0) / loud.length);
}

/** At the level of all others.
 *  @throws Error for another number of samples per second. */
export function recordingOf(name: string, { rate, samples }: Sound): Recording {
  if (rate !== sampleRate) throw new Error(`${name}: expected ${sampleRate} samples per second, found ${rate}.`);
  const gain = 0.1 / speechLevel(samples);
  return { name, samples: samples.map((sample) => sample * gain) };
}
