/** Checkpoints that claim more than they hold, or hold too much of something. */

import { crc32c } from "../../src/checkpoint/format/crc32.js";
import { type Checkpoint, encodeCheckpoint, type Files, masked, type Node } from "./tensorflow-files.js";

const many = <Item>(count: number, item: (i: number) => Item): Item[] => Array.from({ length: count }, (_, i) => item(i));
const listed = (count: number, id: (i: number) => number): Record<string, number> =>
  Object.fromEntries(many(count, (i) => [`${i}`, id(i)]));
const nothing = { shape: [0], values: new Uint8Array(0) };

/** An optimizer whose lists `_m` and `_u` hold the variable of node 4 so many times. */
const crowded = (count: number): Node[] => [
  { children: { optimizer: 1, kernel: 5 } },
  { children: { _iterations: 4, _variables: 2, _m: 2, _u: 3 } },
  { children: listed(count, () => 4) },
  { children: listed(count, () => 4) },
  { name: "Adamax/m/kernel", key: "m" },
  { name: "kernel", key: "k" },
];

/** So many weights in one layer, with arrays of nothing. */
const wide = (count: number, name: (i: number) => string): Checkpoint => ({
  nodes: [{ children: listed(count, (i) => i + 1) }, ...many(count, (i) => ({ name: name(i), key: `k${i}` }))],
  arrays: Object.fromEntries(many(count, (i) => [`k${i}`, nothing])),
});

const weights = new Uint8Array(3e6);
const checksum = masked(crc32c(weights));
const BOMBS: Readonly<Record<string, Checkpoint>> = {
  "an array of 3 MB under 5000 keys": {
    nodes: [{ children: listed(5000, (i) => i + 1) }, ...many(5000, (i) => ({ name: `w${i}`, key: `k${i}` }))],
    arrays: {
      a: { values: weights },
      ...Object.fromEntries(
        many(5000, (i) => [`k${i}`, { shape: [750_000], offset: 0, size: 3e6, checksum, values: new Uint8Array(0) }]),
      ),
    },
  },
  "an array of 3 MB as 5000 weights": {
    nodes: [{ children: listed(5000, (i) => i + 1) }, ...many(5000, (i) => ({ name: `w${i}`, key: "a" }))],
    arrays: { a: { values: weights } },
  },
  "100000 keys that repeat 60000 bytes": {
    more: [[0, "z".repeat(60_000), new Uint8Array(0)], ...many(100_000, () => [60_000, "z", new Uint8Array(0)] as const)],
  },
  "a key that grows by every entry": { more: many(150_000, (i) => [i, "z", new Uint8Array(0)] as const) },
  "a block that the index names 100000 times": { table: { times: 100_000 } },
  "300000 entries": { more: many(300_000, () => [0, "z", new Uint8Array(0)] as const) },
  "files of data without end": { header: { shards: 2 ** 31 - 1 }, ...wide(1, () => "w") },
  "140000 objects in a chain": { nodes: many(140_000, (i) => ({ children: { next: (i + 1) % 140_000 } })) },
  "1.2 million objects": { nodes: many(1_200_000, () => ({})) },
  "290000 names of one object": { nodes: [{ children: listed(290_000, () => 0) }] },
  "2000 objects that hold each other": { nodes: many(400, () => ({ children: listed(400, (i) => i) })) },
  "an optimizer at the end of 140000 objects": {
    nodes: [...many(140_000, (i) => ({ children: { next: i + 1 } })), { children: { _iterations: 0, _variables: 0 } }],
  },
  "an optimizer that 90000 models share": {
    nodes: [
      { children: listed(90_000, (i) => i + 2) },
      { children: { _iterations: 0, _variables: 0 } },
      ...many(90_000, () => ({ children: { optimizer: 1 } })),
    ],
  },
  "70000 optimizers": {
    nodes: [{ children: listed(70_000, (i) => i + 1) }, ...many(70_000, () => ({ children: { _iterations: 0, _variables: 0 } }))],
  },
  "lists of an optimizer with 140000 times one array": { nodes: crowded(140_000), arrays: { m: nothing, k: nothing } },
  "lists of an optimizer with 5000 times one array": { nodes: crowded(5000), arrays: { m: nothing, k: nothing } },
  "100000 slots of one variable": {
    nodes: [
      { children: { optimizer: 1, kernel: 2 } },
      { children: { iter: 2 }, slots: many(100_000, () => [2, "m", 2] as const) },
      { name: "kernel", key: "k" },
    ],
    arrays: { k: nothing },
  },
  "20000 weights": wide(20_000, (i) => `w${i}`),
  "9000 weights of one name": wide(9000, () => "w"),
  "9000 weights at the end of long names": {
    nodes: [
      { children: { ["x".repeat(900)]: 1 } },
      { children: listed(9000, (i) => i + 2) },
      ...many(9000, (i) => ({ name: "w", key: `k${i}` })),
    ],
    arrays: Object.fromEntries(many(9000, (i) => [`k${i}`, nothing])),
  },
};

export const tensorflowBombs = (): { name: string; file: Files }[] =>
  Object.entries(BOMBS).map(([name, checkpoint]) => ({ name, file: encodeCheckpoint(checkpoint) }));
