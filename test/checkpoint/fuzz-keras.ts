/** Damages files of Keras and reads them: `npx tsx --expose-gc test/checkpoint/fuzz-keras.ts 100000 [SEED]`, after `npm run build`.
 *
 *  Each must load or fail with a CheckpointError, within 2 s and 256 MiB beyond the file's size, and change nothing else.
 *  - Where a checksum covers the damage (an entry of an archive has one; an HDF5 file has one if this library wrote it), what loads must be what
 *    was written, to the bit.
 *  - Where none does (HDF5 that Keras wrote, the files of TensorFlow.js, an edited entry with its checksum put right), what loads must be what the file
 *    now says: every array has as many numbers as its shape, and restoring it works or is refused.
 *
 *  One worker reads HDF5 file after file, and a new one begins when it was stopped. What was stopped, and one file in 500, is read once more as users
 *  read it: with a worker of its own. */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { strFromU8, strToU8, unzipSync, type Zippable, zipSync } from "fflate";
import { type KerasModel, type KerasOptions, readKeras, writeKeras } from "../../dist/checkpoint/index.js";
import { Hdf5Worker } from "../../dist/checkpoint/keras/hdf5.js";
import { Adamax, CheckpointError } from "../../dist/index.js";
import { crc32 } from "../../src/checkpoint/format/crc32.js";
import {
  below,
  blanked,
  brokenJson,
  editedJson,
  exchanged,
  flipped,
  lengthened,
  pick,
  type Random,
  renumbered,
} from "./damage.js";
import { FOLDER, optionsOf } from "./keras-training.js";
import { random } from "./steps.js";
import { tfjsFiles } from "./tfjs-files.js";

type File = Uint8Array | Readonly<Record<string, Uint8Array>>;

/** A file as it was written. */
interface Seed {
  readonly name: string;
  readonly kind: "hdf5" | "archive" | "tfjs";
  readonly file: File;
  /** The name of the training whose optimizer `restore` is given; null: the file has the configuration. */
  readonly training: string | null;
  /** Whether its HDF5 has a checksum. */
  readonly hasChecksum: boolean;
}

/** A kind of damage. */
interface Damage<Of extends File> {
  readonly name: string;
  /** Whether it is done past the header: the superblock of HDF5, the first entry's of an archive, all but the beginning of JSON. */
  readonly past: boolean;
  /** Whether every checksum is right again afterwards: forgery, which no checksum finds. */
  readonly forged?: boolean;
  readonly make: (file: Of, next: Random) => Of;
}

const SUPERBLOCK = 96;
const HDF5: readonly Damage<Uint8Array>[] = [
  { name: "cut anywhere", past: false, make: (bytes, next) => bytes.subarray(0, below(next, bytes.length)) },
  { name: "bits of the superblock", past: false, make: (bytes, next) => flipped(bytes, 8, SUPERBLOCK, 1 + below(next, 4), next) },
  { name: "numbers of the superblock", past: false, make: (bytes, next) => renumbered(bytes.subarray(), 8, next) },
  {
    name: "cut past the superblock",
    past: true,
    make: (bytes, next) => bytes.subarray(0, SUPERBLOCK + below(next, bytes.length - SUPERBLOCK)),
  },
  { name: "bytes added", past: true, make: (bytes, next) => lengthened(bytes, next) },
  { name: "a bit", past: true, make: (bytes, next) => flipped(bytes, SUPERBLOCK, bytes.length, 1, next) },
  { name: "bits", past: true, make: (bytes, next) => flipped(bytes, SUPERBLOCK, bytes.length, 1 + below(next, 50), next) },
  { name: "a block blanked", past: true, make: (bytes, next) => blanked(bytes, SUPERBLOCK, next) },
  { name: "two blocks exchanged", past: true, make: (bytes, next) => exchanged(bytes, SUPERBLOCK, next) },
  { name: "a length or offset", past: true, make: (bytes, next) => renumbered(bytes, SUPERBLOCK, next, 8) },
  {
    name: "lengths and offsets",
    past: true,
    make: (bytes, next) => renumbered(renumbered(bytes, SUPERBLOCK, next), SUPERBLOCK, next, 2),
  },
];

const LOCAL_HEADER = 60;
const entriesOf = (bytes: Uint8Array): Record<string, Uint8Array> => unzipSync(bytes);
const packed = (entries: Zippable, level: 0 | 6 = 0): Uint8Array => zipSync(entries, { level });
const HOSTILE_NAMES = [
  "../../escape",
  "/etc/escape",
  "..\\escape",
  "C:\\escape",
  "__proto__",
  "constructor",
  "config.json",
  "a/../../b",
];

/** In the directory of an archive. */
const relisted = (bytes: Uint8Array, next: Random): Uint8Array => {
  const out = bytes.slice();
  const begin = out.length - 400 < 0 ? 0 : out.length - 400;
  return next() < 0.5 ? renumbered(out, begin, next) : flipped(out, begin, out.length, 1 + below(next, 8), next);
};
/** One of its entries gets another name, wherever the archive has it. */
const renamed = (bytes: Uint8Array, next: Random): Uint8Array => {
  const entries = Object.entries(entriesOf(bytes));
  const name = strToU8(pick(HOSTILE_NAMES, next));
  const stand = "\u0001".repeat(name.length); // fflate could not write some of them
  entries[below(next, entries.length)]![0] = stand;
  const out = packed(Object.fromEntries(entries));
  for (let at = 0; at < out.length; at++) if (out.subarray(at, at + name.length).every((byte) => byte === 1)) out.set(name, at);
  return out;
};
const inEntry = (bytes: Uint8Array, name: string, change: (entry: Uint8Array) => Uint8Array, next: Random): Uint8Array => {
  const entries = entriesOf(bytes);
  return packed({ ...entries, [name]: change(entries[name]!) }, next() < 0.2 ? 6 : 0);
};
const inConfig = (change: typeof editedJson) => (bytes: Uint8Array, next: Random) =>
  inEntry(bytes, next() < 0.1 ? "metadata.json" : "config.json", (entry) => strToU8(change(strFromU8(entry), next)), next);

const ARCHIVE: readonly Damage<Uint8Array>[] = [
  { name: "cut anywhere", past: false, make: (bytes, next) => bytes.subarray(0, below(next, bytes.length)) },
  {
    name: "bits of the first header",
    past: false,
    make: (bytes, next) => flipped(bytes, 0, LOCAL_HEADER, 1 + below(next, 4), next),
  },
  { name: "bytes added", past: true, make: (bytes, next) => lengthened(bytes, next) },
  { name: "a bit", past: true, make: (bytes, next) => flipped(bytes, LOCAL_HEADER, bytes.length, 1, next) },
  { name: "bits", past: true, make: (bytes, next) => flipped(bytes, LOCAL_HEADER, bytes.length, 1 + below(next, 50), next) },
  { name: "a block blanked", past: true, make: (bytes, next) => blanked(bytes, LOCAL_HEADER, next) },
  { name: "two blocks exchanged", past: true, make: (bytes, next) => exchanged(bytes, LOCAL_HEADER, next) },
  { name: "its directory", past: true, make: relisted },
  { name: "a hostile name", past: true, forged: true, make: renamed },
  { name: "its configuration edited", past: true, forged: true, make: inConfig(editedJson) },
  { name: "its configuration broken", past: true, forged: true, make: inConfig(brokenJson) },
  ...[0, 1, 2].map(
    (i): Damage<Uint8Array> => ({
      name: `its weights damaged, checksum put right (${i})`,
      past: true,
      forged: true,
      make: (bytes, next) => inEntry(bytes, "model.weights.h5", (entry) => pick(HDF5, next).make(entry, next), next),
    }),
  ),
];

type Files = Readonly<Record<string, Uint8Array>>;
const inJson = (change: (text: string, next: Random) => string) => (files: Files, next: Random) => ({
  ...files,
  "model.json": strToU8(change(strFromU8(files["model.json"]!), next)),
});
const inWeights = (change: (bytes: Uint8Array, next: Random) => Uint8Array) => (files: Files, next: Random) => ({
  ...files,
  "weights.bin": change(files["weights.bin"]!, next),
});
const inManifest = (change: (manifest: { paths: unknown[]; weights: Record<string, unknown>[] }, next: Random) => void) =>
  inJson((text, next) => {
    const json = JSON.parse(text);
    change(json.weightsManifest[0], next);
    return JSON.stringify(json);
  });
const HOSTILE_PATHS = [
  "../../etc/passwd",
  "/etc/passwd",
  "file:///etc/passwd",
  "http://localhost/",
  "__proto__",
  "..",
  "",
  5,
  null,
];
const TFJS: readonly Damage<Files>[] = [
  { name: "model.json cut", past: false, make: inJson((text, next) => text.slice(0, below(next, text.length))) },
  {
    name: "bits of model.json",
    past: false,
    make: (files, next) => ({
      ...files,
      "model.json": flipped(files["model.json"]!, 0, files["model.json"]!.length, 1 + below(next, 9), next),
    }),
  },
  { name: "model.json broken", past: false, make: inJson(brokenJson) },
  { name: "model.json edited", past: true, make: inJson(editedJson) },
  {
    name: "a hostile path",
    past: true,
    make: inManifest((manifest, next) => void Object.assign(manifest.paths, [pick(HOSTILE_PATHS, next)])),
  },
  {
    name: "a shape",
    past: true,
    make: inManifest(
      ({ weights }, next) =>
        void Object.assign(pick(weights, next), {
          shape: pick<unknown>([[2 ** 30, 2 ** 30], [-1], [0], [1e9], [], 5, [2 ** 53 - 1, 3]], next),
        }),
    ),
  },
  {
    name: "a dtype",
    past: true,
    make: inManifest(
      ({ weights }, next) =>
        void Object.assign(pick(weights, next), {
          dtype: pick<unknown>(["int32", "complex64", "string", "float16", "bool", "__proto__", 7], next),
        }),
    ),
  },
  {
    name: "a quantization",
    past: true,
    make: inManifest(
      ({ weights }, next) =>
        void Object.assign(pick(weights, next), {
          quantization: pick<unknown>(
            [{ dtype: "uint8", scale: 1e300, min: 0 }, { dtype: "uint16" }, { dtype: "float16" }, 5, { scale: "x" }],
            next,
          ),
        }),
    ),
  },
  { name: "weights cut", past: true, make: inWeights((bytes, next) => bytes.subarray(0, below(next, bytes.length))) },
  {
    name: "bits of weights",
    past: true,
    make: inWeights((bytes, next) => flipped(bytes, 0, bytes.length, 1 + below(next, 50), next)),
  },
  { name: "weights lengthened", past: true, make: inWeights(lengthened) },
];

/** A digest of everything that was read. */
const digestOf = ({ format, dialect, variables, optimizer }: KerasModel): string => {
  const arrays = [...variables, ...(optimizer?.state ?? [])];
  const bytes = arrays.reduce(
    (sum, { value }) => crc32(new Uint8Array(value.buffer as ArrayBuffer, value.byteOffset, value.byteLength), sum),
    0,
  );
  const rest = arrays.map(({ name, shape, dtype, ...more }) => [name, shape, dtype, "trainable" in more ? more.trainable : null]);
  return JSON.stringify([format, dialect, rest, optimizer?.className, optimizer?.config, bytes]);
};

/** What is wrong with what was read, in words; null for nothing. */
const inconsistency = ({ variables, optimizer }: KerasModel): string | null => {
  for (const { name, shape, value, dtype } of [...variables, ...(optimizer?.state ?? [])]) {
    if (typeof name !== "string" || typeof dtype !== "string") return `a name or dtype that is no text: ${name}, ${dtype}`;
    if (shape.reduce((product, size) => product * size, 1) !== value.length)
      return `${name} of shape [${shape}] with ${value.length} numbers`;
  }
  return null;
};

const bytesIn = (file: File): number =>
  file instanceof Uint8Array ? file.length : Object.values(file).reduce((sum, { length }) => sum + length, 0);

/** Every fixture, the same as this library writes it (with checksums), files in compressed chunks, and a model of TensorFlow.js. */
const makeSeeds = async (bombs: readonly Bomb[], worker: Hdf5Worker): Promise<Seed[]> => {
  const seeds: Seed[] = [];
  for (const name of readdirSync(FOLDER).sort()) {
    const file = new Uint8Array(readFileSync(`${FOLDER}/${name}`));
    const kind = name.endsWith(".keras") ? "archive" : "hdf5";
    const training = name.endsWith(".weights.h5") ? name.replace(/\..*/, "") : null;
    seeds.push({ name, kind, file, training, hasChecksum: false });
    const model = await readKeras(file, { worker } as KerasOptions);
    const written = await writeKeras(model, model.format as "h5");
    seeds.push({ name: `${name}, written here`, kind, file: written, training, hasChecksum: true });
  }
  for (const { kind, name, file } of bombs.filter(isSeed))
    seeds.push({ name, kind, file, training: "keras-plain", hasChecksum: false });
  seeds.push({ name: "model.json", kind: "tfjs", file: await tfjsFiles(), training: null, hasChecksum: false });
  return seeds;
};

/** A file that claims more than it holds, or holds too much of something. */
export interface Bomb extends Pick<Seed, "kind" | "name" | "file"> {}
const isSeed = ({ name }: Bomb): boolean => name.startsWith("seed: ");

/** Takes about 10 s. */
export const makeBombs = (): Promise<Bomb[]> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./bombs.mjs", import.meta.url));
    worker.on("error", reject);
    worker.on("message", (bombs) => void worker.terminate().then(() => resolve(bombs)));
  });

export interface KerasFuzzResult {
  readonly files: number;
  /** By format: how many were damaged past the header, loaded as they were written, loaded as the file now says, refused. */
  readonly outcome: Readonly<
    Record<Seed["kind"], { files: number; past: number; asWritten: number; asItSays: number; refused: number }>
  >;
  /** What must never be, in words. */
  readonly broken: string[];
  readonly slowest: { damage: string; milliseconds: number };
  /** Files for which the worker was stopped or broke down: each was read again with a worker of its own. */
  readonly stopped: number;
  /** The most that the whole process has held beyond the file and what it held at the last cleaning (every 1000 files), in MiB: worker and garbage
   *  included. */
  readonly mostMemory: number;
}

/** What a worker that reads file after file may take for one. One that takes longer gets the time that users' files get, alone. */
const SHARED_MILLISECONDS = 500;
/** From so many bytes on, what was left behind by the files before is removed, and the file is measured alone. */
const SUSPICIOUS = 160 * 2 ** 20;

/** The most memory that the process has held since `forgetPeak`, in bytes; where the system does not say, what it holds now. */
const peak = (): number => {
  try {
    return 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))![1]);
  } catch {
    return process.memoryUsage.rss();
  }
};
const forgetPeak = (): void => {
  try {
    writeFileSync("/proc/self/clear_refs", "5");
  } catch {} // not Linux
};

/** Of a hundred files, 40 are HDF5, 40 archives and 20 models of TensorFlow.js. */
const kindOf = (turn: number): Seed["kind"] => (turn < 40 ? "hdf5" : turn < 80 ? "archive" : "tfjs");
const DAMAGES = { hdf5: HDF5, archive: ARCHIVE, tfjs: TFJS } as const;
const AS_IT_IS: Damage<File> = { name: "a bomb", past: true, forged: true, make: (file) => file };

export interface KerasFuzzOptions {
  readonly bombs: readonly Bomb[];
  /** One of so many files is a bomb. */
  readonly bombEvery?: number;
  /** What one file may take, with starting a worker where it gets one of its own. */
  readonly mostMilliseconds?: number;
  /** Told what must never be as soon as it is. */
  readonly report?: (what: string) => void;
}

export const fuzzKeras = async (
  count: number,
  seed: number,
  { bombs: given, bombEvery = 1000, mostMilliseconds = 2000, report = () => {} }: KerasFuzzOptions,
): Promise<KerasFuzzResult> => {
  const next = random(seed);
  const none = () => ({ files: 0, past: 0, asWritten: 0, asItSays: 0, refused: 0 });
  const outcome = { hdf5: none(), archive: none(), tfjs: none() };
  const broken: string[] = [];
  const breaks = (what: string) => {
    broken.push(what);
    report(what);
  };
  const slowest = { damage: "", milliseconds: 0 };
  let [stopped, mostMemory] = [0, 0];
  let worker = new Hdf5Worker();
  const seeds = await makeSeeds(given, worker);

  const read = async (file: File, { training }: Seed, shared: boolean): Promise<KerasModel> => {
    const model = await readKeras(file as Uint8Array, (shared ? { worker, timeLimit: SHARED_MILLISECONDS } : {}) as KerasOptions);
    const options = { backend: "interpreter" } as const;
    const { optimizer } = model.restore(training === null ? options : new Adamax({ ...optionsOf(training), ...options }));
    optimizer.dispose();
    return model;
  };
  const bombs = given
    .filter((bomb) => !isSeed(bomb))
    .map((bomb): Seed => ({ ...bomb, training: bomb.kind === "hdf5" ? "keras-plain" : null, hasChecksum: false }));
  const right = new Map<Seed, string>();
  for (const one of seeds) right.set(one, digestOf(await readKeras(one.file as Uint8Array, { worker } as KerasOptions)));
  const byKind = {
    hdf5: seeds.filter(({ kind }) => kind === "hdf5"),
    archive: seeds.filter(({ kind }) => kind === "archive"),
    tfjs: seeds.filter(({ kind }) => kind === "tfjs"),
  };
  let base = 0;
  /** What files have left behind goes: the worker's memory, and garbage. */
  const clean = () => {
    worker.end();
    worker = new Hdf5Worker();
    globalThis.gc?.();
    forgetPeak();
    base = process.memoryUsage.rss();
  };
  clean();

  for (let i = 0; i < count; i++) {
    const isBomb = bombs.length > 0 && i % bombEvery === bombEvery - 1;
    const one = isBomb ? bombs[(seed + Math.floor(i / bombEvery)) % bombs.length]! : pick(byKind[kindOf(i % 100)], next);
    const { kind } = one;
    const damage = isBomb ? AS_IT_IS : (pick(DAMAGES[kind] as readonly unknown[], next) as Damage<File>);
    const { name, past, forged = false } = damage;
    const file = damage.make(one.file, next);
    const what = `file ${i} (${one.name}, ${name})`;
    const tally = outcome[kind];
    tally.files++;
    if (past) tally.past++;

    /** Returns how long it took, in milliseconds. */
    const attempt = async (shared: boolean): Promise<number> => {
      const began = performance.now();
      try {
        const model = await read(file, one, shared);
        const wrong = inconsistency(model);
        if (wrong) breaks(`${what}: ${wrong}`);
        const same = digestOf(model) === right.get(one);
        const covered = forged ? one.hasChecksum && name.startsWith("its weights") : kind === "archive" || one.hasChecksum;
        if (!same && covered) breaks(`${what}: loaded other contents past a checksum`);
        if (shared) tally[same ? "asWritten" : "asItSays"]++;
      } catch (error) {
        if (shared) tally.refused++;
        if (!(error instanceof CheckpointError)) breaks(`${what}: ${(error as Error).stack}`);
      }
      return performance.now() - began;
    };
    let milliseconds = await attempt(true);
    if (worker.ended) {
      stopped++;
      worker = new Hdf5Worker();
      milliseconds = await attempt(false);
    } else if (i % 500 === 0) await attempt(false);
    // A neighbour on the machine may have taken the time: the fastest of three counts.
    for (let tries = 1; milliseconds > mostMilliseconds && tries < 3; tries++)
      milliseconds = Math.min(milliseconds, await attempt(false));
    if (milliseconds > mostMilliseconds) breaks(`${what}: ${milliseconds} ms`);
    if (milliseconds > slowest.milliseconds) Object.assign(slowest, { damage: what, milliseconds });
    if (({} as { polluted?: boolean }).polluted) breaks(`${what}: Object.prototype was changed`);

    let beyond = peak() - base - bytesIn(file);
    if (beyond > SUSPICIOUS) {
      clean();
      await attempt(false);
      beyond = peak() - base - bytesIn(file);
    }
    if (beyond > 256 * 2 ** 20) breaks(`${what}: ${Math.round(beyond / 2 ** 20)} MiB`);
    mostMemory = Math.max(mostMemory, beyond);
    if (beyond > SUSPICIOUS || i % 1000 === 999) clean();
    if (i % 5000 === 4999) report(`${i + 1} files`);
  }
  worker.end();
  return { files: count, outcome, broken, slowest, stopped, mostMemory: mostMemory / 2 ** 20 };
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , count = 10_000, seed = 1] = process.argv;
  const result = await fuzzKeras(Number(count), Number(seed), { bombs: await makeBombs(), report: console.error });
  console.log(JSON.stringify(result, null, 2));
  if (result.broken.length > 0) process.exitCode = 1;
}
