/** Checkpoints of TensorFlow that are damaged, or that say what TensorFlow seldom writes. */

import { readFileSync } from "node:fs";
import { Adamax, CheckpointError } from "adamax";
import { readKeras } from "adamax/checkpoint";
import { describe, expect, test } from "vitest";
import { rejection } from "./helpers.js";
import { type Checkpoint, encodeCheckpoint, type Files } from "./tensorflow-files.js";

const FOLDER = "fixtures/keras-folders";
const DATA = "model.data-00000-of-00001";
const plain = (): Files => ({
  "model.index": new Uint8Array(readFileSync(`${FOLDER}/plain-weights/model.index`)),
  [DATA]: new Uint8Array(readFileSync(`${FOLDER}/plain-weights/${DATA}`)),
});

/** A model of one weight, four numbers. */
const small = ({ arrays = {}, ...more }: Checkpoint = {}): Files =>
  encodeCheckpoint({
    nodes: [{ children: { layer: 1 } }, { children: { kernel: 2 } }, { name: "dense/kernel", key: "k" }],
    ...more,
    arrays: { k: { values: new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer) }, ...arrays },
  });

test("a checkpoint written as these tests write it is read", async () => {
  const { variables } = await readKeras(small());
  expect(variables).toMatchObject([{ name: "dense/kernel", shape: [4], dtype: "float32", value: Float32Array.of(1, 2, 3, 4) }]);
});

test("every bit of the data that belongs to a weight, to state or to the graph is covered by a checksum", async () => {
  const files = plain();
  const { variables, optimizer } = await readKeras(files);
  const data = files[DATA]!;
  let found = 0;
  for (let at = 0; at < data.length; at += 7) {
    const flipped = data.slice();
    flipped[at]! ^= 1 << (at % 8);
    const error = await readKeras({ ...files, [DATA]: flipped }).then(
      (model) => expect([model.variables, model.optimizer]).toEqual([variables, optimizer]), // a counter that is not read
      (error: unknown) => error,
    );
    if (!error) continue;
    expect(error).toBeInstanceOf(CheckpointError);
    expect((error as Error).message).toContain("another checksum for");
    found++;
  }
  expect(found).toBe(Math.ceil(data.length / 7));
});

test("every bit of the index is covered by a checksum, but for the footer's padding", async () => {
  const files = plain();
  const { variables, optimizer } = await readKeras(files);
  const index = files["model.index"]!;
  for (let at = 0; at < index.length; at += 3) {
    const flipped = index.slice();
    flipped[at]! ^= 1 << (at % 8);
    await readKeras({ ...files, "model.index": flipped }).then(
      (model) => {
        expect(at).toBeGreaterThanOrEqual(index.length - 48);
        expect([model.variables, model.optimizer]).toEqual([variables, optimizer]);
      },
      (error: unknown) => expect(error).toBeInstanceOf(CheckpointError),
    );
  }
});

describe("what is not read is a CheckpointError that names it", () => {
  test.each<[string, Files, string]>([
    ["a table that Snappy compressed", small({ table: { type: 1 } }), "Snappy"],
    ["one that something else compressed", small({ table: { type: 2 } }), "compression 2"],
    ["numbers of a big-endian machine", small({ header: { endianness: 1 } }), "big-endian"],
    ["complex numbers", small({ arrays: { k: { dtype: 8, shape: [0], size: 0 } } }), "complex64"],
    ["a type that there is not", small({ arrays: { k: { dtype: 99 } } }), "type 99"],
    ["a shape that does not fit", small({ arrays: { k: { shape: [3], size: 16 } } }), "shape [3] of float32"],
    ["a shape of 2 ** 60 numbers", small({ arrays: { k: { shape: [2 ** 30, 2 ** 30] } } }), "shape [1073741824,1073741824]"],
    ["a negative size", small({ arrays: { k: { shape: [-4] } } }), "-4, where a count"],
    ["bytes beyond the file", small({ arrays: { k: { shape: [4], size: 16, offset: 1e6 } } }), "too short"],
    [
      "a file of data that there cannot be",
      small({ arrays: { k: { shape: [4], size: 16, shard: 2 ** 30 } } }),
      "1073741824 of 1",
    ],
    ["a weight without an array", small({ nodes: [{ children: { w: 1 } }, { name: "w", key: "absent" }] }), '"absent"'],
    ["an object that there is not", small({ nodes: [{ children: { w: 9 } }] }), "object 9 of 1"],
    [
      "two weights of one array",
      small({ nodes: [{ children: { a: 1, b: 2 } }, { name: "a", key: "k" }, { name: "b", key: "k" }] }),
      "arrays of",
    ],
    [
      "two weights of one name",
      small({
        nodes: [
          { children: { a: 1, b: 2, c: 3 } },
          { name: "b", key: "k" },
          { name: "Variable", key: "l" },
          { name: "", key: "m" },
        ],
        arrays: { l: {}, m: {} },
      }),
      'two weights of one name. Received: "b"',
    ],
    ["no graph of objects", { ...small(), "model.index": namesOnly() }, "TensorFlow 1"],
  ])("%s", async (_, files, message) => {
    const error = await rejection(readKeras(files));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toContain(message);
  });
});

function namesOnly(): Uint8Array {
  return new Uint8Array(readFileSync(`${FOLDER}/names/model.index`));
}

describe("of two variables of one shape", () => {
  const one = (value: number) => ({ values: new Uint8Array(Float32Array.of(value).buffer) });
  const steps = { dtype: 9, shape: [], values: new Uint8Array(BigInt64Array.of(3n).buffer) };
  const arrays = { a: one(1), b: one(2), "a/m": one(3), "b/m": one(4), "a/u": one(5), "b/u": one(6), steps };
  const weights = [
    { name: "a", key: "a" },
    { name: "b", key: "b" },
  ];
  const wanted = ["momentum/a 3", "norm/a 5", "momentum/b 4", "norm/b 6"];
  const stateIn = async (files: Files): Promise<string[]> => {
    const { optimizer, variables } = (await readKeras(files)).restore(new Adamax({ learningRate: 0.5 }));
    expect(optimizer.iterations).toBe(3);
    expect(variables.map(({ name, value }) => [name, value[0]])).toEqual([
      ["a", 1],
      ["b", 2],
    ]);
    return optimizer.variables.slice(1).map(({ name, value }) => `${name.replace("Adamax/", "")} ${value[0]}`);
  };

  test("each gets its own state, also where the lists of an optimizer have different orders", async () => {
    const nodes = [
      { children: { a: 1, b: 2, optimizer: 3 } },
      ...weights,
      { children: { _iterations: 4, _variables: 5, _m: 6, _u: 7 } },
      { name: "iteration", key: "steps" },
      { children: { 0: 4, 1: 8, 2: 9, 3: 10, 4: 11 } },
      { children: { 0: 8, 1: 9 } },
      { children: { 0: 11, 1: 10 } },
      ...["a/m", "b/m", "a/u", "b/u"].map((key) => ({ name: `Adamax/${key.slice(2)}/${key[0]}`, key })),
    ];
    expect(await stateIn(encodeCheckpoint({ nodes, arrays }))).toEqual(wanted);
  });

  test("each gets its own state from a legacy optimizer, in whatever order it lists slots", async () => {
    const slots = [
      [1, "v", 7],
      [2, "m", 6],
      [1, "m", 5],
      [2, "v", 8],
    ] as const;
    const nodes = [
      { children: { a: 1, b: 2, optimizer: 3 } },
      ...weights,
      { children: { iter: 4 }, slots },
      { name: "Adamax/iter", key: "steps" },
      ...["a/m", "b/m", "a/u", "b/u"].map((key) => ({ name: `Adamax/${key}`, key })),
    ];
    expect(await stateIn(encodeCheckpoint({ nodes, arrays }))).toEqual(wanted);
  });
});

test("objects that hold each other, and chains of them, are followed to the end", async () => {
  const deep = 20_000;
  const chain = Array.from({ length: deep }, (_, i) => ({ children: { next: i + 1, first: 0 } }));
  const { variables } = await readKeras(small({ nodes: [...chain, { name: "w", key: "k" }] }));
  expect(variables.map(({ name }) => name)).toEqual(["w"]);
});
