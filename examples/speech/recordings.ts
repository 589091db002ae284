import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { hash } from "./random.ts";
import { readWav } from "./wav.ts";

/** Samples per second of every recording of this example. */
export const sampleRate = 8000;

export interface Recording {
  readonly name: string;
  /** One voice, at an RMS of 0.1 over its loud parts. */
  readonly samples: Float32Array;
}

export const splits = ["train", "validation", "test"] as const;
export type Split = (typeof splits)[number];

/** What is said, by whom, and what goes along with the sounds. */
export interface Voice {
  readonly recordings: Record<Split, Recording[]>;
  /** Files that go wherever the sounds go: whose voice it is, and under which licence. */
  readonly papers: readonly string[];
  /** The same as a sentence. */
  readonly credit: string;
}

const folder = fileURLToPath(new URL("recordings", import.meta.url));

/** Those of the repository; the package does not hold them. */
export const recordedVoice = (): Voice => ({
  recordings: loadRecordings(),
  papers: ["ATTRIBUTION.md", "LICENSE"].map((name) => join(folder, name)),
  credit:
    "Voice: Allison Smith (theivrvoice.com), recorded for Asterisk with contributions by Digium, Inc.; from asterisk-core-sounds, trimmed, and mixed with " +
    "noise here. The recordings and the sounds on this page are licensed CC-BY-SA-3.0 (creativecommons.org/licenses/by-sa/3.0/).",
});

/** Those of a folder of yours: WAV files, mono, 16 bit.
 *  @throws Error unless there are enough to train on and to test on. */
export const voiceOf = (from: string): Voice => {
  const recordings = loadRecordings(from);
  const { train, test } = recordings;
  if (train.length < 5 || test.length < 2)
    throw new Error(
      `${from}: too few recordings, or too short a list to divide. Received: ${train.length} to train on and ${test.length} to test on (which is which is decided by ` +
        "their names), where 5 and 2 are needed. Use thirty or more WAV files of a few seconds each.",
    );
  return { recordings, papers: [], credit: `Voice: the recordings in ${from}.` };
};

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

/** The shipped recordings in three parts, by name, each scaled to the same speech level. */
export function loadRecordings(from: string = folder): Record<Split, Recording[]> {
  const parts: Record<Split, Recording[]> = { train: [], validation: [], test: [] };
  for (const name of readdirSync(from)
    .filter((file) => file.endsWith(".wav"))
    .sort()) {
    const { rate, samples } = readWav(join(from, name));
    if (rate !== sampleRate) throw new Error(`${name}: expected ${sampleRate} samples per second, found ${rate}.`);
    const gain = 0.1 / speechLevel(samples);
    parts[splitOf(name)].push({ name, samples: samples.map((sample) => sample * gain) });
  }
  return parts;
}
