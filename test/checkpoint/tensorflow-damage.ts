/** What happens to checkpoints of TensorFlow: general damage, and damage that knows the format, with every checksum put right again. */

import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";
import { crc32c } from "../../src/checkpoint/format/crc32.js";
import {
  type BundleEntry,
  type GraphNode,
  readEntry,
  readGraph,
  readMetadata,
} from "../../src/checkpoint/keras/tensorflow/messages.js";
import { readTable } from "../../src/checkpoint/keras/tensorflow/table.js";
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
import { encodeEntry, encodeGraph, encodeTable, encodeText, type Files, GRAPH, joined, masked } from "./tensorflow-files.js";

const open = (bytes: Uint8Array): BinaryReader => new BinaryReader(bytes);
const nameOf = (files: Files, end: RegExp): string => Object.keys(files).find((name) => end.test(name))!;
const INDEX = /\.index$/;
const DATA = /\.data-00000-of-\d+$/;
const METADATA = /keras_metadata\.pb$/;

type Change = (bytes: Uint8Array, next: Random) => Uint8Array;
export const inFile =
  (which: RegExp, change: Change) =>
  (files: Files, next: Random): Files => {
    const name = nameOf(files, which);
    return name === undefined ? files : { ...files, [name]: change(files[name]!, next) };
  };
const anyBits: Change = (bytes, next) => flipped(bytes, 0, bytes.length, 1 + below(next, 20), next);
const cut: Change = (bytes, next) => bytes.subarray(0, below(next, bytes.length));

export const without = (files: Files, next: Random): Files => {
  const lost = pick(Object.keys(files), next);
  return Object.fromEntries(Object.entries(files).filter(([name]) => name !== lost));
};

/** The index with other entries. */
const reindexed = (files: Files, change: (entries: Map<string, Uint8Array>) => void): Files => {
  const name = nameOf(files, INDEX);
  const entries = readTable(files[name]!, name, open);
  change(entries);
  const sorted = [...entries].sort(([a], [b]) => (a < b ? -1 : 1));
  return { ...files, [name]: encodeTable(sorted.map(([key, value]) => [0, key, value])) };
};

/** One entry says something else; its checksum is that of the bytes that it now names. */
const withOtherEntry = (files: Files, next: Random): Files =>
  reindexed(files, (entries) => {
    const key = pick([...entries.keys()].filter(Boolean), next);
    const entry: BundleEntry = readEntry(open(entries.get(key)!));
    const { size, offset, shape } = entry;
    const numbers = [0, 1, size - 1, size + 1, 2 * size, offset + 4, 2 ** 31, 2 ** 32, 2 ** 52, -1];
    const edited = pick<Partial<BundleEntry>>(
      [
        { shape: pick([[], [0], [...shape, 1], shape.slice(1), [-1], [2 ** 30, 2 ** 30], Array(64).fill(1), [1e9]], next) },
        { dtype: pick([0, 2, 3, 4, 7, 8, 9, 14, 19, 20, 21, 99, 2 ** 31 - 1], next) },
        { offset: pick(numbers, next) },
        { size: pick(numbers, next) },
        { shard: pick([1, 2, 2 ** 20, 2 ** 31 - 1, -1], next) },
      ],
      next,
    );
    const now = { ...entry, ...edited };
    const data = files[nameOf(files, DATA)]!;
    const bytes = data.subarray(Math.max(0, now.offset), Math.max(0, now.offset) + Math.max(0, now.size));
    entries.set(key, encodeEntry({ ...now, checksum: masked(crc32c(bytes)) }));
  });

/** The graph is another text. It stands at the end of the data then. */
const withOtherGraph = (files: Files, change: (graph: Uint8Array) => Uint8Array): Files => {
  const entry = readEntry(open(readTable(files[nameOf(files, INDEX)]!, "", open).get(GRAPH)!));
  const name = Object.keys(files).find((file) => file.includes(`.data-0000${entry.shard}-of-`))!;
  const data = files[name]!;
  const before = open(data.subarray(entry.offset, entry.offset + entry.size));
  const length = before.uint32();
  const graph = data.subarray(entry.offset + before.pos + 4, entry.offset + before.pos + 4 + length);
  const { bytes, checksum } = encodeText(change(graph));
  const moved = encodeEntry({ ...entry, offset: data.length, size: bytes.length, checksum });
  return { ...reindexed(files, (entries) => entries.set(GRAPH, moved)), [name]: joined([data, bytes]) };
};

/** Some objects hold others, under other names, or are other variables. */
const withOtherObjects = (files: Files, next: Random): Files =>
  withOtherGraph(files, (graph) => {
    const nodes = readGraph(open(graph)).map(({ children, variable, slots }: GraphNode) => ({
      children: Object.fromEntries(children),
      ...(variable ?? {}),
      slots: slots.map(({ of, name, node }) => [of, name, node] as const),
    }));
    for (let times = 1 + below(next, 4); times > 0; times--) {
      const node = pick(nodes, next);
      const other = pick(nodes, next);
      const names = Object.keys(node.children);
      const id = pick([0, below(next, nodes.length), nodes.length, 2 ** 31 - 1], next);
      const name = pick(
        ["optimizer", "_iterations", "_variables", "_m", "_u", "iter", "0", "1", "kernel", "__proto__", ""],
        next,
      );
      pick<() => void>(
        [
          () => Object.assign(node.children, { [names.length > 0 ? pick(names, next) : name]: id }),
          () => Object.assign(node.children, { [name]: id }),
          () => names.length > 0 && delete node.children[pick(names, next)],
          () => Object.assign(node, { children: other.children }),
          () => Object.assign(node, { key: (other as { key?: string }).key ?? "absent" }),
          () => Object.assign(node, { name: (other as { name?: string }).name ?? "" }),
          () => Object.assign(node, { slots: [...other.slots].reverse() }),
          () => Object.assign(node, { slots: [[id, pick(["m", "v", "x"], next), below(next, nodes.length)]] }),
        ],
        next,
      )();
    }
    return encodeGraph(nodes);
  });

const withOtherMetadata = (change: typeof editedJson) =>
  inFile(METADATA, (bytes, next) => {
    const writer = new BinaryWriter();
    for (const [path, json] of readMetadata(open(bytes))) {
      const text = path === "root" ? change(json, next) : json;
      writer.tag(1, 2).fork().tag(3, 2).string(path).tag(5, 2).string(text).join();
    }
    return writer.finish();
  });

/** `past`: the footer, where the index begins, is left alone. `forged`: nothing that a checksum could find. */
export const TENSORFLOW = [
  { name: "the index cut", past: false, make: inFile(INDEX, cut) },
  {
    name: "bits of the footer",
    past: false,
    make: inFile(INDEX, (bytes, next) => flipped(bytes, bytes.length - 48, bytes.length, 1 + below(next, 4), next)),
  },
  { name: "a file lost", past: false, forged: true, make: without },
  { name: "bits of the index", past: true, make: inFile(INDEX, anyBits) },
  { name: "numbers of the index", past: true, make: inFile(INDEX, (bytes, next) => renumbered(bytes, 0, next)) },
  { name: "blocks of the index exchanged", past: true, make: inFile(INDEX, (bytes, next) => exchanged(bytes, 0, next)) },
  { name: "the data cut", past: true, make: inFile(DATA, cut) },
  { name: "bits of the data", past: true, make: inFile(DATA, anyBits) },
  { name: "a block of the data blanked", past: true, make: inFile(DATA, (bytes, next) => blanked(bytes, 0, next)) },
  { name: "blocks of the data exchanged", past: true, make: inFile(DATA, (bytes, next) => exchanged(bytes, 0, next)) },
  { name: "bytes added to the data", past: true, make: inFile(DATA, lengthened) },
  { name: "an entry edited", past: true, forged: true, make: withOtherEntry },
  { name: "an entry edited, again", past: true, forged: true, make: withOtherEntry },
  { name: "objects edited", past: true, forged: true, make: withOtherObjects },
  { name: "objects edited, again", past: true, forged: true, make: withOtherObjects },
  {
    name: "bits of the graph",
    past: true,
    forged: true,
    make: (files: Files, next: Random) => withOtherGraph(files, (graph) => anyBits(graph, next)),
  },
  {
    name: "numbers of the graph",
    past: true,
    forged: true,
    make: (files: Files, next: Random) => withOtherGraph(files, (graph) => renumbered(graph, 0, next)),
  },
  { name: "bits of the metadata", past: true, forged: true, make: inFile(METADATA, anyBits) },
  { name: "the metadata edited", past: true, forged: true, make: withOtherMetadata(editedJson) },
  { name: "the metadata broken", past: true, forged: true, make: withOtherMetadata(brokenJson) },
] as const;
