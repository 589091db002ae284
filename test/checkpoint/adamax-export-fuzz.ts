/** Damages exports of PyTorch and Optax and reads them: `npx tsx test/checkpoint/adamax-export-fuzz.ts 100000 [SEED]`.
 *
 *  Each must be read and restored, or fail with a CheckpointError, within 2 s and 256 MiB beyond the file's size. A safetensors file of Python
 *  has no checksums, so that a flipped bit among its numbers is read as it is. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { CheckpointError } from "adamax";
import { readAdamaxExport } from "adamax/checkpoint";
import { edited, npyHeader, rezipped } from "./adamax-export-edits.js";
import { FOLDER } from "./adamax-export-training.js";
import { random } from "./steps.js";

type Random = () => number;
const below = (next: Random, limit: number): number => Math.floor(next() * limit);
const pick = <T>(list: readonly T[], next: Random): T => list[below(next, list.length)]!;

const FILES = ["torch.safetensors", "torch-float64.safetensors", "torch.npz", "optax.npz", "optax-decay-schedule.npz"].map(
  (file) => new Uint8Array(readFileSync(`${FOLDER}/${file}`)),
);
const NUMBERS = [-1, 0, 1, 3, 2 ** 31, 2 ** 53, 1e300, 0.5, "1", null, [], {}, true];
const NAMES = ["__proto__", "constructor", "param/", "param/__proto__", "../../escape", "exp_avg/toString", ""];

/** Puts something else at a random place of a value. */
const spoiled = (value: unknown, next: Random): unknown => {
  if (typeof value !== "object" || value === null || next() < 0.2) return pick(NUMBERS, next);
  const keys = Object.keys(value);
  if (keys.length === 0) return pick(NUMBERS, next);
  const key = pick(keys, next);
  return Object.assign(Array.isArray(value) ? [...value] : { ...value }, { [key]: spoiled((value as never)[key], next) });
};

const inText = (text: string, next: Random): string => {
  const at = below(next, text.length + 1);
  const put = pick(["(", ")", ",", "'", "-", "9", "9".repeat(17), "0, ".repeat(3000), "True", "{", "\n", "\u0000"], next);
  return next() < 0.3 ? text.slice(0, at) + text.slice(at + 1) : text.slice(0, at) + put + text.slice(at);
};

const DAMAGES: Readonly<Record<string, (next: Random) => Uint8Array>> = {
  "cut anywhere": (next) => {
    const bytes = pick(FILES, next);
    return bytes.subarray(0, below(next, bytes.length));
  },
  "bits flipped": (next) => {
    const out = pick(FILES, next).slice();
    for (let i = below(next, 30); i >= 0; i--) out[below(next, out.length)]! ^= 1 << below(next, 8);
    return out;
  },
  "a word replaced": (next) => {
    const out = pick(FILES, next).slice();
    new DataView(out.buffer).setUint32(
      below(next, out.length - 4),
      pick([0, 1, 0xffffffff, 0x7fffffff, out.length, 0x04034b50, 0x02014b50], next),
      true,
    );
    return out;
  },
  "two blocks exchanged": (next) => {
    const out = pick(FILES, next).slice();
    const size = 1 + below(next, 60);
    const [a, b] = [below(next, out.length - size), below(next, out.length - size)];
    const kept = out.slice(a, a + size);
    out.copyWithin(a, b, b + size);
    out.set(kept, b);
    return out;
  },
  "a tensor's entry spoiled": (next) =>
    edited((header) => {
      const name = pick(Object.keys(header), next);
      header[name] = spoiled(header[name], next) as never;
    }),
  "a tensor renamed": (next) =>
    edited((header) => {
      const name = pick(Object.keys(header), next);
      Object.defineProperty(header, pick(NAMES, next), { value: header[name], enumerable: true, configurable: true });
      delete header[name];
    }),
  "what it says about the optimizer spoiled": (next) => edited((_, about) => Object.assign(about, spoiled(about, next))),
  "an array's header spoiled": (next) => npyHeader((header) => inText(header, next)),
  "an array renamed": (next) =>
    rezipped((files) => {
      const name = pick(Object.keys(files), next);
      const bytes = files[name]!;
      delete files[name];
      files[`${pick(NAMES, next)}.npy`] = bytes;
    }),
  "an array cut": (next) =>
    rezipped((files) => {
      const name = pick(Object.keys(files), next);
      files[name] = files[name]!.subarray(0, below(next, files[name]!.length));
    }),
};

export interface ExportFuzzResult {
  readonly files: number;
  readonly read: number;
  readonly refused: number;
  /** What must never be, in words. */
  readonly broken: string[];
  readonly slowest: { readonly damage: string; readonly milliseconds: number };
  /** The most that the process has grown over all files, in MiB. */
  readonly mostMemory: number;
}

export const fuzzExports = async (count: number, seed: number): Promise<ExportFuzzResult> => {
  const next = random(seed);
  const names = Object.keys(DAMAGES);
  const broken: string[] = [];
  const slowest = { damage: "", milliseconds: 0 };
  let [read, refused, mostMemory] = [0, 0, 0];
  const before = process.memoryUsage.rss();
  for (let i = 0; i < count; i++) {
    const damage = names[i % names.length]!;
    const bytes = DAMAGES[damage]!(next);
    const start = performance.now();
    try {
      const saved = await readAdamaxExport(bytes);
      const { optimizer } = saved.restore({ learningRate: 0.1, backend: "interpreter" });
      if (optimizer.iterations !== saved.steps) broken.push(`file ${i} (${damage}): ${optimizer.iterations} steps`);
      optimizer.dispose();
      read++;
    } catch (error) {
      refused++;
      if (!(error instanceof CheckpointError)) broken.push(`file ${i} (${damage}): ${(error as Error).stack}`);
    }
    const milliseconds = performance.now() - start;
    if (milliseconds > slowest.milliseconds) Object.assign(slowest, { damage, milliseconds });
    if (milliseconds > 2000) broken.push(`file ${i} (${damage}): ${milliseconds} ms`);
    if (i % 50 === 0) mostMemory = Math.max(mostMemory, (process.memoryUsage.rss() - before) / 2 ** 20);
    if (({} as { polluted?: boolean }).polluted || "0" in {}) broken.push(`file ${i} (${damage}): Object.prototype was changed`);
  }
  if (mostMemory > 256) broken.push(`${mostMemory} MiB of memory`);
  return { files: count, read, refused, broken, slowest, mostMemory };
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const result = await fuzzExports(Number(process.argv[2] ?? 10_000), Number(process.argv[3] ?? 1));
  console.log(JSON.stringify(result, null, 2));
  if (result.broken.length > 0) process.exitCode = 1;
}
