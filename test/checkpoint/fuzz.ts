/** Damages checkpoints and reads them: `npx tsx --expose-gc test/checkpoint/fuzz.ts 100000 [SEED]`.
 *
 *  Each must load as it was written or fail with a CheckpointError, within 2 s and 256 MiB beyond the file's size, and what it would have
 *  been loaded into must be as before when it fails. Where a header was edited and its checksum put right, which is forgery and not damage,
 *  the file may also load as the header now says. */

import { fileURLToPath } from "node:url";
import { Adamax, CheckpointError, type Values, Variable } from "adamax";
import { checkpointBlob, inspectCheckpoint, loadCheckpoint } from "adamax/checkpoint";
import { crc32 } from "../../src/checkpoint/format/crc32.js";
import { below, flipped, pick, type Random } from "./damage.js";
import { random } from "./steps.js";

/** A damaged copy of `bytes`, whose tensors begin at `data`. */
type Damage = (bytes: Uint8Array, data: number, next: Random) => Uint8Array;

const headerText = (bytes: Uint8Array, data: number): string => new TextDecoder().decode(bytes.subarray(8, data));
/** Another header before the same tensors; its own checksum is put right where `fixes`, so that the damage gets further. */
const withHeader = (bytes: Uint8Array, data: number, text: string, fixes = false): Uint8Array => {
  const header = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8));
  const out = new Uint8Array(8 + header.length + bytes.length - data);
  new DataView(out.buffer).setBigUint64(0, BigInt(header.length), true);
  out.set(header, 8);
  out.set(bytes.subarray(data), 8 + header.length);
  if (fixes) {
    const { shape } = JSON.parse(headerText(bytes, data))["checkpoint/crc32"];
    new DataView(out.buffer).setUint32(out.length - 4 * shape[0], crc32(out.subarray(0, 8 + header.length)), true);
  }
  return out;
};
const edited = (
  bytes: Uint8Array,
  data: number,
  next: Random,
  edit: (header: Record<string, Record<string, unknown>>, names: string[]) => void,
): Uint8Array => {
  const header = JSON.parse(headerText(bytes, data));
  edit(
    header,
    Object.keys(header).filter((name) => name !== "__metadata__"),
  );
  return withHeader(bytes, data, JSON.stringify(header), next() < 0.5);
};
const NUMBERS = [-1, 0, 1, 3, 4, 8, 2 ** 31, 2 ** 32, 2 ** 53, 1e300, 0.5, "1", null, [], {}];

const DAMAGES: Readonly<Record<string, Damage>> = {
  "cut anywhere": (bytes, _, next) => bytes.subarray(0, below(next, bytes.length)),
  "cut in the tensors": (bytes, data, next) => bytes.subarray(0, data + below(next, bytes.length - data)),
  "bytes added": (bytes, _, next) =>
    new Uint8Array([...bytes, ...Array.from({ length: 1 + below(next, 20) }, () => below(next, 256))]),
  "a bit of a tensor": (bytes, data, next) => flipped(bytes, data, bytes.length, 1, next),
  "bits of tensors": (bytes, data, next) => flipped(bytes, data, bytes.length, 1 + below(next, 50), next),
  "a bit of the header": (bytes, data, next) => flipped(bytes, 0, data, 1, next),
  "bits of the header": (bytes, data, next) => flipped(bytes, 8, data, 1 + below(next, 20), next),
  "a block of a tensor zeroed": (bytes, data, next) => {
    const out = bytes.slice();
    const begin = data + below(next, bytes.length - data);
    return out.fill(0, begin, begin + 1 + below(next, 200));
  },
  "two blocks exchanged": (bytes, data, next) => {
    const out = bytes.slice();
    const size = 4 * (1 + below(next, 10));
    const [a, b] = [data + below(next, bytes.length - data - size), data + below(next, bytes.length - data - size)];
    out.set(bytes.subarray(a, a + size), b);
    out.set(bytes.subarray(b, b + size), a);
    return out;
  },
  "another header length": (bytes, _, next) => {
    const out = bytes.slice();
    new DataView(out.buffer).setBigUint64(
      0,
      pick([0n, 1n, 7n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 24n, BigInt(below(next, 2 * bytes.length))], next),
      true,
    );
    return out;
  },
  "offsets edited": (bytes, data, next) =>
    edited(bytes, data, next, (header, names) => {
      const offsets = header[pick(names, next)]!.data_offsets as unknown[];
      offsets[below(next, 3)] = pick(NUMBERS, next);
    }),
  "a shape edited": (bytes, data, next) =>
    edited(bytes, data, next, (header, names) => {
      const tensor = header[pick(names, next)]!;
      tensor.shape = pick(
        [
          [...(tensor.shape as number[])].reverse(),
          [...(tensor.shape as number[]), 1],
          [2 ** 30, 2 ** 30, 0],
          pick(NUMBERS, next),
          [pick(NUMBERS, next)],
        ],
        next,
      );
    }),
  "a dtype edited": (bytes, data, next) =>
    edited(bytes, data, next, (header, names) => {
      const dtypes = ["F64", "F32", "I32", "U32", "BF16", "F128", "toString", "__proto__", 5, null];
      header[pick(names, next)]!.dtype = pick(dtypes, next);
    }),
  "tensors renamed or exchanged": (bytes, data, next) =>
    edited(bytes, data, next, (header, names) => {
      const [a, b] = [pick(names, next), pick([...names, "__proto__", "constructor", "../../escape", "variables/"], next)];
      const entry = header[a]!;
      delete header[a];
      if (header[b] && Object.hasOwn(header, b)) Object.defineProperty(header, a, { value: header[b], enumerable: true });
      Object.defineProperty(header, b, { value: entry, enumerable: true, configurable: true, writable: true });
    }),
  "metadata edited": (bytes, data, next) =>
    edited(bytes, data, next, (header) => {
      const metadata = header.__metadata__!;
      const key = pick(Object.keys(metadata), next);
      const text = metadata[key] as string;
      const at = below(next, text.length + 1);
      metadata[key] = pick<unknown>(
        [
          text.slice(0, at),
          text.slice(0, at) + pick(["{", "]", '"', "1", ",", "null", "\u0000"], next) + text.slice(at),
          "null",
          "[]",
          '{"__proto__":{"a":1}}',
          7,
          undefined,
        ],
        next,
      );
    }),
  "__proto__ put into it": (bytes, data, next) => {
    const text = headerText(bytes, data);
    const places = [...text.matchAll(/\{/g)].map(({ index }) => index + 1);
    const at = pick(places, next);
    const key = text[at] === "\\" ? '\\"__proto__\\":{\\"polluted\\":true},' : '"__proto__":{"polluted":true},';
    return withHeader(bytes, data, text.slice(0, at) + key + text.slice(at), next() < 0.5);
  },
  "nested deep": (bytes, data, next) => {
    const depth = pick([10, 1000, 10_000, 100_000], next);
    const deep = pick(["[".repeat(depth), "[".repeat(depth) + "]".repeat(depth), '{"a":'.repeat(depth)], next);
    const text = headerText(bytes, data).trimEnd();
    return withHeader(
      bytes,
      data,
      pick([deep, `${text.slice(0, -1)},"x":${deep}}`, text.replace(/"user":"/, `"user":"${deep.replaceAll('"', '\\"')}`)], next),
      next() < 0.5,
    );
  },
};

const PAST_THE_HEADER = [
  "cut in the tensors",
  "bytes added",
  "a bit of a tensor",
  "bits of tensors",
  "a block of a tensor zeroed",
  "two blocks exchanged",
];

const isSameHeader = (a: Uint8Array, b: Uint8Array, end: number): boolean => b.subarray(0, end).every((byte, i) => a[i] === byte);

export interface FuzzResult {
  readonly files: number;
  readonly loaded: number;
  /** Of those, how many a forged header made load other values. */
  readonly forged: number;
  readonly refused: number;
  /** What must never be, in words. */
  readonly broken: string[];
  readonly slowest: { readonly damage: string; readonly milliseconds: number };
  /** The most that the process has grown over the file's size, in MiB; of those files that are measured. */
  readonly mostMemory: number;
}

export const fuzz = async (count: number, seed: number): Promise<FuzzResult> => {
  const make = () => [
    new Variable(
      Float32Array.from({ length: 60 }, (_, i) => i / 7),
      { name: "dense/kernel", shape: [6, 10] },
    ),
    new Variable(Float64Array.of(1, 2), { name: "b" }),
  ];
  const optimizer = new Adamax({ threads: 1, useEma: true });
  const variables = make();
  optimizer.build(variables);
  for (let k = 0; k < 3; k++) optimizer.applyGradients(variables.map((one) => [one.gradient.fill(k + 1) as Values, one]));
  const bytes = new Uint8Array(
    await (await checkpointBlob({ optimizer, user: { epoch: 3, list: [1, { a: "b" }] }, metrics: { loss: 1 } })).arrayBuffer(),
  );
  const data = (await inspectCheckpoint(bytes)).tensors[0]!.begin;
  const target = new Adamax({ threads: 1, useEma: true });
  const targets = make();
  target.build(targets);
  const bits = () =>
    [...targets.map(({ value }) => value), ...target.variables.map(({ value }) => value)]
      .map((value) => crc32(new Uint8Array(value.buffer, value.byteOffset, value.byteLength)))
      .join();
  await loadCheckpoint(bytes, { optimizer: target });
  const right = bits();

  const next = random(seed);
  // Those past the header twice, so that they are more than half.
  const names = [...PAST_THE_HEADER, ...Object.keys(DAMAGES)];
  const broken: string[] = [];
  const slowest = { damage: "", milliseconds: 0 };
  let [loaded, forged, refused, mostMemory] = [0, 0, 0, 0];
  for (let i = 0; i < count; i++) {
    const damage = names[i % names.length]!;
    const damaged = DAMAGES[damage]!(bytes, data, next);
    // A huge one now and then is measured; the heap of the others is too small to see.
    const measures = damaged.length > 100_000 || i % 1000 < names.length;
    if (measures) globalThis.gc?.();
    const before = process.memoryUsage.rss();
    const start = performance.now();
    try {
      await loadCheckpoint(damaged, { optimizer: target });
      loaded++;
      if (bits() !== right) {
        if (isSameHeader(damaged, bytes, data)) broken.push(`file ${i} (${damage}): loaded other values`);
        else forged++;
        await loadCheckpoint(bytes, { optimizer: target });
      }
    } catch (error) {
      refused++;
      if (!(error instanceof CheckpointError)) broken.push(`file ${i} (${damage}): ${error}`);
      if (bits() !== right) broken.push(`file ${i} (${damage}): refused, but changed something`);
    }
    const milliseconds = performance.now() - start;
    if (milliseconds > slowest.milliseconds) Object.assign(slowest, { damage, milliseconds });
    if (milliseconds > 2000) broken.push(`file ${i} (${damage}): ${milliseconds} ms`);
    if (measures) mostMemory = Math.max(mostMemory, (process.memoryUsage.rss() - before - damaged.length) / 2 ** 20);
    if (({} as { polluted?: boolean }).polluted) broken.push(`file ${i} (${damage}): Object.prototype was changed`);
  }
  if (mostMemory > 256) broken.push(`${mostMemory} MiB of memory`);
  optimizer.dispose();
  target.dispose();
  return { files: count, loaded, forged, refused, broken, slowest, mostMemory };
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const result = await fuzz(Number(process.argv[2] ?? 10_000), Number(process.argv[3] ?? 1));
  console.log(JSON.stringify(result, null, 2));
  if (result.broken.length > 0) process.exitCode = 1;
}
