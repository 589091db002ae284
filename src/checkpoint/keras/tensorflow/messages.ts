/** What TensorFlow writes as protocol buffers, of it what we need: the index of a checkpoint, its graph of objects, and Keras' metadata. */

import type { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { CheckpointError } from "../../../errors.js";

/** Bytes as the fields of messages. */
export type OpenReader = (bytes: Uint8Array) => BinaryReader;

/** @throws CheckpointError where the library is not installed. */
export const loadReader = async (): Promise<OpenReader> => {
  try {
    const { BinaryReader } = await import("@bufbuild/protobuf/wire");
    return (bytes) => new BinaryReader(bytes);
  } catch (error) {
    throw new CheckpointError(
      "TensorFlow's checkpoints need the package @bufbuild/protobuf",
      String((error as Error).message).split("\n")[0]!,
      "Install it: npm install @bufbuild/protobuf",
    );
  }
};

const [VARINT, BYTES, BITS_32] = [0, 2, 5] as const satisfies WireType[];

/** A field: its type on the wire, and what to do with its value. */
type Field = readonly [type: WireType, take: () => void];

/** Reads the fields of a message that ends at byte `end`, and passes over those that are not named.
 *  @throws Error for what is no such message. */
const readFields = (reader: BinaryReader, end: number, fields: Readonly<Record<number, Field>>): void => {
  while (reader.pos < end) {
    const [number, type] = reader.tag();
    const [wanted, take] = fields[number] ?? [];
    if (take && type !== wanted) throw new Error(`field ${number} of type ${type}, where ${wanted} was expected`);
    if (take) take();
    else reader.skip(type, number);
  }
  if (reader.pos !== end) throw new Error(`a message that ends at byte ${reader.pos}, where ${end} was expected`);
};

/** Where the message that begins here ends. */
const endOf = (reader: BinaryReader): number => {
  const length = reader.uint32();
  if (reader.pos + length > reader.len) throw new Error("a message that is cut off");
  return reader.pos + length;
};

/** @throws Error for what is no count. */
const count = (reader: BinaryReader): number => {
  const value = Number(reader.int64());
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`${value}, where a count was expected`);
};

/** BundleHeaderProto. */
export interface BundleHeader {
  /** How many files of data there are. */
  readonly shards: number;
  readonly isBigEndian: boolean;
}

export const readHeader = (reader: BinaryReader): BundleHeader => {
  const header = { shards: 0, isBigEndian: false };
  readFields(reader, reader.len, {
    1: [VARINT, () => (header.shards = count(reader))],
    2: [VARINT, () => (header.isBigEndian = count(reader) !== 0)],
  });
  return header;
};

/** BundleEntryProto: where a tensor is. */
export interface BundleEntry {
  /** TensorFlow's number of it. */
  readonly dtype: number;
  readonly shape: readonly number[];
  readonly shard: number;
  readonly offset: number;
  /** In bytes. */
  readonly size: number;
  /** Of its bytes, masked. */
  readonly checksum: number;
  /** Whether it was saved in slices, which stand elsewhere. */
  readonly isSliced: boolean;
}

export const readEntry = (reader: BinaryReader): BundleEntry => {
  const shape: number[] = [];
  const entry = { dtype: 0, shape, shard: 0, offset: 0, size: 0, checksum: 0, isSliced: false };
  const dimension = () => {
    let size = 0;
    readFields(reader, endOf(reader), { 1: [VARINT, () => (size = count(reader))] });
    shape.push(size);
  };
  readFields(reader, reader.len, {
    1: [VARINT, () => (entry.dtype = count(reader))],
    2: [BYTES, () => readFields(reader, endOf(reader), { 2: [BYTES, dimension] })],
    3: [VARINT, () => (entry.shard = count(reader))],
    4: [VARINT, () => (entry.offset = count(reader))],
    5: [VARINT, () => (entry.size = count(reader))],
    6: [BITS_32, () => (entry.checksum = reader.fixed32())],
    7: [
      BYTES,
      () => {
        entry.isSliced = true;
        reader.bytes();
      },
    ],
  });
  return entry;
};

/** An object that was saved: a model, a layer, a list, a variable. TrackableObject. */
export interface GraphNode {
  /** The objects that it holds by their names, in order. */
  readonly children: ReadonlyMap<string, number>;
  /** Of a variable: its name, and the key of its tensor. */
  readonly variable: { readonly name: string; readonly key: string } | null;
  /** Of a legacy optimizer: what it keeps for a variable. */
  readonly slots: readonly Slot[];
}

export interface Slot {
  readonly name: string;
  /** Nodes: the variable that it is kept for, and its own. */
  readonly of: number;
  readonly node: number;
}

/** Nodes, and what they hold. The SavedModel of a ResNet50 has 10,000. */
const MOST_OBJECTS = 300_000;
const VARIABLE = "VARIABLE_VALUE";

/** The objects of a TrackableObjectGraph; the first is the one that was saved. */
export const readGraph = (reader: BinaryReader): GraphNode[] => {
  const nodes: GraphNode[] = [];
  let objects = 0;
  const claim = () => {
    if (++objects > MOST_OBJECTS) throw new Error(`more than ${MOST_OBJECTS} objects`);
  };
  const node = () => {
    claim();
    nodes.push(readNode(reader, claim));
  };
  readFields(reader, reader.len, { 1: [BYTES, node] });
  return nodes;
};

/** `claim` is told of each thing that the object holds. */
const readNode = (reader: BinaryReader, claim: () => void): GraphNode => {
  const children = new Map<string, number>();
  const slots: Slot[] = [];
  let variable: GraphNode["variable"] = null;
  const child = () => {
    claim();
    let [name, id] = ["", 0];
    readFields(reader, endOf(reader), {
      1: [VARINT, () => (id = count(reader))],
      2: [BYTES, () => (name = reader.string())],
    });
    children.set(name, id);
  };
  const attribute = () => {
    let [kind, name, key] = ["", "", ""];
    readFields(reader, endOf(reader), {
      1: [BYTES, () => (kind = reader.string())],
      2: [BYTES, () => (name = reader.string())],
      3: [BYTES, () => (key = reader.string())],
    });
    if (kind === VARIABLE) variable = { name, key };
  };
  const slot = () => {
    claim();
    const read = { name: "", of: 0, node: 0 };
    readFields(reader, endOf(reader), {
      1: [VARINT, () => (read.of = count(reader))],
      2: [BYTES, () => (read.name = reader.string())],
      3: [VARINT, () => (read.node = count(reader))],
    });
    slots.push(read);
  };
  readFields(reader, endOf(reader), { 1: [BYTES, child], 2: [BYTES, attribute], 3: [BYTES, slot] });
  return { children, variable, slots };
};

/** Keras' SavedMetadata: the JSON of each object by its path, "root" and "root.layer-0". */
export const readMetadata = (reader: BinaryReader): Map<string, string> => {
  const found = new Map<string, string>();
  const object = () => {
    let [path, json] = ["", ""];
    readFields(reader, endOf(reader), {
      3: [BYTES, () => (path = reader.string())],
      5: [BYTES, () => (json = reader.string())],
    });
    found.set(path, json);
  };
  readFields(reader, reader.len, { 1: [BYTES, object] });
  return found;
};
