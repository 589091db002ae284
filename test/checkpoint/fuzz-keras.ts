/** Damages files of Keras and reads them: `npx tsx --expose-gc test/checkpoint/fuzz-keras.ts 100000 [SEED [KIND]]`, after `npm run build`.
 *
 *  Each must load or fail with a CheckpointError, within 2 s and 256 MiB beyond the file's size, and change nothing else.
 *  - Where a checksum covers the damage (an entry of an archive has one, as does all of a TensorFlow checkpoint; an HDF5 file has one if this
 *    library wrote it), what loads must be what was written, to the bit.
 *  - Where none does (HDF5 that Keras wrote, the files of TensorFlow.js, an edit with its checksums put right), what loads must be what the file
 *    now says: every array has as many numbers as its shape, and restoring it works or is refused.
 *
 *  One worker reads HDF5 file after file, and a new one begins when it was stopped. What was stopped, and one file in 500, is read once more as users
 *  read it: with a worker of its own. */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { type KerasModel, type KerasOptions, readKeras, writeKeras } from "../../dist/checkpoint/index.js";
import { Hdf5Worker } from "../../dist/checkpoint/keras/hdf5.js";
import { Adamax, type AdamaxOptions, CheckpointError } from "../../dist/index.js";
import { crc32 } from "../../src/checkpoint/format/crc32.js";
import { pick } from "./damage.js";
import { ARCHIVE, type Damage, type File, HDF5, SHARDS, TFJS } from "./keras-damage.js";
import { FOLDER, FOLDERS, givenForFolder, optionsOf } from "./keras-training.js";
import { random } from "./steps.js";
import { tensorflowBombs } from "./tensorflow-bombs.js";
import { TENSORFLOW } from "./tensorflow-damage.js";
import type { Files } from "./tensorflow-files.js";
import { tfjsFiles } from "./tfjs-files.js";

/** A file as it was written. */
interface Seed {
  readonly name: string;
  readonly kind: "hdf5" | "archive" | "tfjs" | "tensorflow" | "shards";
  readonly file: File;
  /** What `restore` is given. */
  readonly given: (options: AdamaxOptions) => Adamax | AdamaxOptions;
  /** Whether its HDF5 has a checksum. */
  readonly hasChecksum: boolean;
}

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

/** Models of several files. */
const SEVERAL = [
  "plain-weights",
  "average-weights",
  "average-saved",
  "scaled-saved",
  "blocks-checkpoint",
  "legacy-saved",
  "legacy-checkpoint",
  "keras-checkpoint",
  "keras-shards",
];
const filesOf = (name: string): Files =>
  Object.fromEntries(
    readdirSync(`${FOLDERS}/${name}`, { recursive: true, encoding: "utf8" })
      .filter((path) => path.includes("."))
      .map((path) => [path, new Uint8Array(readFileSync(`${FOLDERS}/${name}/${path}`))]),
  );

/** Every fixture, the same as this library writes it (with checksums), files in compressed chunks, a model of TensorFlow.js, and models of several files. */
const makeSeeds = async (bombs: readonly Bomb[], worker: Hdf5Worker): Promise<Seed[]> => {
  const seeds: Seed[] = [];
  for (const name of readdirSync(FOLDER).sort()) {
    const file = new Uint8Array(readFileSync(`${FOLDER}/${name}`));
    const kind = name.endsWith(".keras") ? "archive" : "hdf5";
    const training = name.replace(/\..*/, "");
    const given = name.endsWith(".weights.h5") ? madeLike(training) : itself;
    seeds.push({ name, kind, file, given, hasChecksum: false });
    const model = await readKeras(file, { worker } as KerasOptions);
    const written = await writeKeras(model, model.format as "h5");
    seeds.push({ name: `${name}, written here`, kind, file: written, given, hasChecksum: true });
  }
  for (const { kind, name, file } of bombs.filter(isSeed))
    seeds.push({ name, kind, file, given: madeLike("keras-plain"), hasChecksum: false });
  seeds.push({ name: "model.json", kind: "tfjs", file: await tfjsFiles(), given: itself, hasChecksum: false });
  for (const name of SEVERAL) {
    const kind = name.endsWith("-shards") ? "shards" : "tensorflow";
    const given = (options: AdamaxOptions) => givenForFolder(name, options);
    seeds.push({ name, kind, file: filesOf(name), given, hasChecksum: kind === "tensorflow" });
  }
  return seeds;
};

const madeLike = (training: string) => (options: AdamaxOptions) => new Adamax({ ...optionsOf(training), ...options });
/** The file has the configuration. */
const itself = (options: AdamaxOptions) => options;

/** A file that claims more than it holds, or holds too much of something. */
export interface Bomb extends Pick<Seed, "kind" | "name" | "file"> {}
const isSeed = ({ name }: Bomb): boolean => name.startsWith("seed: ");

/** Takes about 10 s. */
export const makeBombs = (): Promise<Bomb[]> =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./bombs.mjs", import.meta.url));
    worker.on("error", reject);
    const more = tensorflowBombs().map((bomb) => ({ kind: "tensorflow", ...bomb }) as const);
    worker.on("message", (bombs) => void worker.terminate().then(() => resolve([...bombs, ...more])));
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

/** Of a hundred files, 30 are HDF5, 30 archives, 15 models of TensorFlow.js, 20 checkpoints of TensorFlow and 5 sharded weights. */
const kindOf = (turn: number): Seed["kind"] =>
  turn < 30 ? "hdf5" : turn < 60 ? "archive" : turn < 75 ? "tfjs" : turn < 95 ? "tensorflow" : "shards";
const DAMAGES = { hdf5: HDF5, archive: ARCHIVE, tfjs: TFJS, tensorflow: TENSORFLOW, shards: SHARDS } as const;
const AS_IT_IS: Damage<File> = { name: "a bomb", past: true, forged: true, make: (file) => file };

export interface KerasFuzzOptions {
  readonly bombs: readonly Bomb[];
  /** One of so many files is a bomb. */
  readonly bombEvery?: number;
  /** What one file may take, with starting a worker where it gets one of its own. */
  readonly mostMilliseconds?: number;
  /** Files of this kind alone, besides bombs. */
  readonly only?: Seed["kind"];
  /** Told what must never be as soon as it is. */
  readonly report?: (what: string) => void;
}

export const fuzzKeras = async (
  count: number,
  seed: number,
  { bombs: given, bombEvery = 1000, mostMilliseconds = 2000, only, report = () => {} }: KerasFuzzOptions,
): Promise<KerasFuzzResult> => {
  const next = random(seed);
  const none = () => ({ files: 0, past: 0, asWritten: 0, asItSays: 0, refused: 0 });
  const outcome = { hdf5: none(), archive: none(), tfjs: none(), tensorflow: none(), shards: none() };
  const broken: string[] = [];
  const breaks = (what: string) => {
    broken.push(what);
    report(what);
  };
  const slowest = { damage: "", milliseconds: 0 };
  let [stopped, mostMemory] = [0, 0];
  let worker = new Hdf5Worker();
  const seeds = await makeSeeds(given, worker);

  const read = async (file: File, { given }: Seed, shared: boolean): Promise<KerasModel> => {
    const model = await readKeras(file as Uint8Array, (shared ? { worker, timeLimit: SHARED_MILLISECONDS } : {}) as KerasOptions);
    model.restore(given({ backend: "interpreter" })).optimizer.dispose();
    return model;
  };
  const bombs = given
    .filter((bomb) => !isSeed(bomb))
    .map(
      (bomb): Seed => ({
        ...bomb,
        given: bomb.kind === "hdf5" || bomb.kind === "tensorflow" ? madeLike("keras-plain") : itself,
        hasChecksum: false,
      }),
    );
  const right = new Map<Seed, string>();
  for (const one of seeds) right.set(one, digestOf(await readKeras(one.file as Uint8Array, { worker } as KerasOptions)));
  const ofKind = (kind: Seed["kind"]) => seeds.filter((one) => one.kind === kind);
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
    const one = isBomb ? bombs[(seed + Math.floor(i / bombEvery)) % bombs.length]! : pick(ofKind(only ?? kindOf(i % 100)), next);
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
        const covered = forged
          ? kind === "archive" && one.hasChecksum && name.startsWith("its weights")
          : kind === "archive" || one.hasChecksum;
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
  const [, , count = 10_000, seed = 1, only] = process.argv;
  const result = await fuzzKeras(Number(count), Number(seed), {
    bombs: await makeBombs(),
    ...(only ? { only: only as Seed["kind"] } : {}),
    report: console.error,
  });
  console.log(JSON.stringify(result, null, 2));
  if (result.broken.length > 0) process.exitCode = 1;
}
