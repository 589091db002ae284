/**
 * Makes `recordings/` from an installed Debian package; nobody needs it to run the example.
 *   apt-get install asterisk-core-sounds-en-wav
 *   npx tsx examples/speech/select-recordings.ts
 * Takes sentences of 1.5 to 6 s in an order that only their names decide, trims the silence at both ends to 0.1 s,
 * and stops before the folder passes its size limit.
 */
import { mkdirSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { hash } from "./random.ts";
import { readWav, writeWav } from "./wav-files.ts";

const source = process.argv[2] ?? "/usr/share/asterisk/sounds/en_US_f_Allison";
const target = join(dirname(fileURLToPath(import.meta.url)), "recordings");
const limitBytes = 6e6;
const notSpeech = /^(silence\/|tt-)/;

function trimmed(samples: Float32Array, rate: number): Float32Array {
  const threshold = 0.02 * samples.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0);
  const firstLoud = (from: Float32Array) => from.findIndex((sample) => Math.abs(sample) > threshold);
  const margin = Math.round(0.1 * rate);
  const start = Math.max(0, firstLoud(samples) - margin);
  const end = samples.length - firstLoud(samples.slice().reverse()) + margin;
  return samples.slice(start, end);
}

const names = readdirSync(source, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".wav") && !notSpeech.test(name))
  .sort((a, b) => hash(a) - hash(b));

mkdirSync(target, { recursive: true });
const taken = new Set<string>();
let bytes = 0;
for (const name of names) {
  const { rate, samples } = readWav(join(source, name));
  const speech = trimmed(samples, rate);
  const seconds = speech.length / rate;
  if (seconds < 1.5 || seconds > 6 || taken.has(basename(name))) continue;
  if (bytes + 2 * speech.length > limitBytes) break;
  writeWav(join(target, basename(name)), { rate, samples: speech });
  taken.add(basename(name));
  bytes += 44 + 2 * speech.length;
}
console.log(`${taken.size} recordings, ${(bytes / 1e6).toFixed(1)} MB, ${(bytes / 16000).toFixed(0)} s in ${target}`);
