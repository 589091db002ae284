/** Writes checkpoints as TensorFlow does, for files that it would not write. */

import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { crc32c } from "../../src/checkpoint/format/crc32.js";

export type Files = Readonly<Record<string, Uint8Array>>;

const [VARINT, BYTES, BITS_32] = [0, 2, 5];
export const masked = (checksum: number): number => (((checksum >>> 15) | (checksum << 17)) + 0xa282ead8) >>> 0;
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
export const joined = (parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
const uint32 = (...values: number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);
const varints = (...values: number[]): Uint8Array => {
  const writer = new BinaryWriter();
  for (const value of values) writer.uint32(value);
  return writer.finish();
};

/** An entry of a block: how much of the key before it repeats, what comes after that, its value. */
export type BlockEntry = readonly [shared: number, key: Uint8Array | string, value: Uint8Array];

export interface TableOptions {
  /** Of every block: 1 is Snappy. */
  readonly type?: number;
  /** How often the index names the block of data. */
  readonly times?: number;
}

/** A table of one block. */
export const encodeTable = (entries: readonly BlockEntry[], { type = 0, times = 1 }: TableOptions = {}): Uint8Array => {
  const block = (list: readonly BlockEntry[]): Uint8Array =>
    joined([
      ...list.flatMap(([shared, key, value]) => {
        const bytes = typeof key === "string" ? utf8(key) : key;
        return [varints(shared, bytes.length, value.length), bytes, value];
      }),
      uint32(0, 1), // one restart, at its beginning
    ]);
  const closed = (bytes: Uint8Array): Uint8Array => {
    const typed = joined([bytes, Uint8Array.of(type)]);
    return joined([typed, uint32(masked(crc32c(typed)))]);
  };
  const data = block(entries);
  const handle = varints(0, data.length);
  const index = block(Array.from({ length: times }, (_, i) => [0, `${i}`.padStart(6, "0"), handle]));
  const none = block([]);
  const places = [data.length + 5, data.length + 5 + none.length + 5] as const;
  const footer = new Uint8Array(48);
  footer.set(varints(places[0], none.length, places[1], index.length));
  footer.set([0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb], 40);
  return joined([closed(data), closed(none), closed(index), footer]);
};

export interface Header {
  readonly shards?: number;
  readonly endianness?: number;
}
export const encodeHeader = ({ shards = 1, endianness = 0 }: Header = {}): Uint8Array =>
  new BinaryWriter().tag(1, VARINT).int32(shards).tag(2, VARINT).int32(endianness).finish();

export interface Entry {
  readonly dtype: number;
  readonly shape: readonly number[];
  readonly shard?: number;
  readonly offset: number;
  readonly size: number;
  readonly checksum: number;
}
export const encodeEntry = ({ dtype, shape, shard = 0, offset, size, checksum }: Entry): Uint8Array => {
  const writer = new BinaryWriter().tag(1, VARINT).int32(dtype).tag(2, BYTES).fork();
  for (const length of shape) writer.tag(2, BYTES).fork().tag(1, VARINT).int64(length).join();
  writer.join().tag(3, VARINT).int32(shard).tag(4, VARINT).int64(offset).tag(5, VARINT).int64(size);
  return writer.tag(6, BITS_32).fixed32(checksum).finish();
};

export interface Node {
  readonly children?: Readonly<Record<string, number>>;
  /** Of a variable. */
  readonly name?: string;
  readonly key?: string;
  readonly slots?: readonly (readonly [of: number, name: string, node: number])[];
}
export const encodeGraph = (nodes: readonly Node[]): Uint8Array => {
  const writer = new BinaryWriter();
  for (const { children = {}, name = "", key, slots = [] } of nodes) {
    writer.tag(1, BYTES).fork();
    for (const [child, id] of Object.entries(children))
      writer.tag(1, BYTES).fork().tag(1, VARINT).int32(id).tag(2, BYTES).string(child).join();
    if (key !== undefined) {
      writer.tag(2, BYTES).fork().tag(1, BYTES).string("VARIABLE_VALUE").tag(2, BYTES).string(name);
      writer.tag(3, BYTES).string(key).join();
    }
    for (const [of, slot, node] of slots)
      writer.tag(3, BYTES).fork().tag(1, VARINT).int32(of).tag(2, BYTES).string(slot).tag(3, VARINT).int32(node).join();
    writer.join();
  }
  return writer.finish();
};

export interface Checkpoint {
  readonly header?: Header;
  readonly table?: TableOptions;
  readonly nodes?: readonly Node[];
  /** float32 unless they say otherwise. */
  readonly arrays?: Readonly<Record<string, Partial<Entry> & { readonly values?: Uint8Array }>>;
  readonly more?: readonly BlockEntry[];
}

export const GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH";

/** The tensor of one text that a graph is, and its checksum. */
export const encodeText = (text: Uint8Array): { bytes: Uint8Array; checksum: number } => {
  const length = uint32(text.length);
  const before = uint32(masked(crc32c(length)));
  return { bytes: joined([varints(text.length), before, text]), checksum: masked(crc32c(text, crc32c(before, crc32c(length)))) };
};

/** "model.index" and its only file of data. */
export const encodeCheckpoint = ({ header, table, nodes = [{}], arrays = {}, more = [] }: Checkpoint): Files => {
  const parts: Uint8Array[] = [];
  let end = 0;
  const place = (bytes: Uint8Array): { offset: number; size: number } => {
    parts.push(bytes);
    end += bytes.length;
    return { offset: end - bytes.length, size: bytes.length };
  };
  const entries = Object.entries(arrays).map(([key, { values = new Uint8Array(4), ...given }]): BlockEntry => {
    const checksum = masked(crc32c(values));
    return [0, key, encodeEntry({ dtype: 1, shape: [values.length / 4], ...place(values), checksum, ...given })];
  });
  const text = encodeText(encodeGraph(nodes));
  const graph = encodeEntry({ dtype: 7, shape: [], ...place(text.bytes), checksum: text.checksum });
  const sorted = [[0, GRAPH, graph] as BlockEntry, ...entries].sort(([, a], [, b]) => (a < b ? -1 : 1));
  return {
    "model.index": encodeTable([[0, "", encodeHeader(header)], ...sorted, ...more], table),
    "model.data-00000-of-00001": joined(parts),
  };
};
