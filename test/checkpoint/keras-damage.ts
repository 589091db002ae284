/** What happens to files of Keras: general damage, and damage that knows the format. */

import { strFromU8, strToU8, unzipSync, type Zippable, zipSync } from "fflate";
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
import { inFile, without } from "./tensorflow-damage.js";
import type { Files } from "./tensorflow-files.js";

export type File = Uint8Array | Files;

/** A kind of damage. */
export interface Damage<Of extends File> {
  readonly name: string;
  /** Whether it is done past the header: the superblock of HDF5, the first entry's of an archive, all but the beginning of JSON. */
  readonly past: boolean;
  /** Whether every checksum is right again afterwards: forgery, which no checksum finds. */
  readonly forged?: boolean;
  readonly make: (file: Of, next: Random) => Of;
}

const SUPERBLOCK = 96;
export const HDF5: readonly Damage<Uint8Array>[] = [
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

export const ARCHIVE: readonly Damage<Uint8Array>[] = [
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
export const TFJS: readonly Damage<Files>[] = [
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

const inShardList = (change: (text: string, next: Random) => string) =>
  inFile(/\.json$/, (bytes, next) => strToU8(change(strFromU8(bytes), next)));
const inAnyShard = (files: Files, next: Random): Files => {
  const name = pick(
    Object.keys(files).filter((file) => file.endsWith(".h5")),
    next,
  );
  return { ...files, [name]: pick(HDF5, next).make(files[name]!, next) };
};
const exchangedShards = (files: Files, next: Random): Files => {
  const names = Object.keys(files).filter((file) => file.endsWith(".h5"));
  return { ...files, [pick(names, next)]: files[pick(names, next)]! };
};
export const SHARDS: readonly Damage<Files>[] = [
  { name: "the list broken", past: false, make: inShardList(brokenJson) },
  { name: "a file lost", past: false, make: without },
  { name: "the list edited", past: true, make: inShardList(editedJson) },
  { name: "a shard in the place of another", past: true, make: exchangedShards },
  { name: "a shard damaged", past: true, make: inAnyShard },
  { name: "a shard damaged, again", past: true, make: inAnyShard },
];
