/** No two arrays of a file have one name: names that are generated are free, and every writer refuses two that are alike. */

import { Adamax, CheckpointError, Variable } from "adamax";
import { type KerasModel, kerasWeights, loadCheckpoint, readKeras, saveCheckpoint, writeKeras } from "adamax/checkpoint";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { namer, numbered } from "../../src/checkpoint/format/names.js";
import { encodeHeader } from "../../src/checkpoint/format/safetensors.js";
import { rejection } from "./helpers.js";

const variables = (...names: string[]) => names.map((name, i) => new Variable(Float32Array.of(i), { name }));

describe("names that are generated", () => {
  /** Letters of which generated names are made, too. */
  const names = fc.array(fc.stringMatching(/^[w#23]{1,4}$/), { maxLength: 12 });

  test("are all different, and whatever a variable is called, the first that is called so keeps it", () => {
    fc.assert(
      fc.property(names, (given) => {
        const made = numbered(given);
        expect(new Set(made).size).toBe(given.length);
        for (const name of given) expect(made[given.indexOf(name)]).toBe(name);
      }),
    );
  });

  test("are all different where later names are not known yet", () => {
    fc.assert(
      fc.property(names, (given) => {
        expect(new Set(given.map(namer((name, count) => `${name}#${count}`))).size).toBe(given.length);
      }),
    );
  });

  test("20,000 of one name are numbered in linear time: each number is tried once", () => {
    let tried = 0;
    const name = namer((name, count) => {
      tried++;
      return `${name}_${count}`;
    });
    for (let i = 0; i < 20_000; i++) name("w");
    expect(tried).toBe(19_999);
  });

  test("make files that are read again: w, w and w#2", async () => {
    using optimizer = new Adamax();
    optimizer.build(variables("w", "w", "w#2"));
    const bytes: Uint8Array[] = [];
    await saveCheckpoint(new WritableStream({ write: (piece) => void bytes.push(piece) }), { optimizer });
    const loaded = await loadCheckpoint(new Uint8Array(Buffer.concat(bytes)), { optimizer: Adamax });
    expect([...loaded.variables].map(([name, { value }]) => [name, value[0]])).toEqual([
      ["w", 0],
      ["w#3", 1],
      ["w#2", 2],
    ]);
    loaded.optimizer.dispose();
  });
});

describe("two of one name are refused", () => {
  const refusal = async (write: () => unknown): Promise<string> => {
    const error = await rejection((async () => write())());
    expect(error).toBeInstanceOf(CheckpointError);
    return error.message;
  };
  const twice = (name: string) => `No two arrays of a file may have one name. Received: "${name}" twice`;

  test("in safetensors, also a tensor that is called like the metadata", async () => {
    const tensor = (name: string) => ({ name, dtype: "F32", shape: [1] }) as const;
    expect(await refusal(() => encodeHeader([tensor("a"), tensor("b"), tensor("a")], {}))).toContain(twice("a"));
    expect(await refusal(() => encodeHeader([tensor("__metadata__")], {}))).toContain(twice("__metadata__"));
  });

  test("in .weights.h5, also by the places that the names mean", async () => {
    expect(await refusal(() => kerasWeights({ variables: variables("dense/kernel", "dense/kernel") }))).toContain(
      twice("dense/kernel"),
    );
    expect(await refusal(() => kerasWeights({ variables: variables("dense/kernel", "layers/dense/vars/0") }))).toContain(
      "another variable is at its place",
    );
  });

  test("among the variables that a model is written with", async () => {
    const model = kerasWeights({ variables: variables("dense/kernel") });
    expect(await refusal(() => model.with({ variables: variables("dense/kernel", "dense/kernel") }))).toContain(
      twice("dense/kernel"),
    );
  });

  const withState = (...names: string[]): KerasModel => {
    const optimizer = new Adamax();
    const all = variables(...names);
    optimizer.build(all);
    return kerasWeights({ variables: all, optimizer }, "keras");
  };

  test("in .h5, where a/b and a_b have one name", async () => {
    const workerUrl = new URL("../../dist/checkpoint/keras/hdf5-worker.js", import.meta.url);
    const model = await readKeras("fixtures/keras-files/keras-plain.h5", { workerUrl });
    const { state } = withState("a/b", "a_b").optimizer!;
    Object.assign(model, { optimizer: { ...model.optimizer!, state } });
    expect(await refusal(() => writeKeras(model))).toContain(twice("adamax/a_b_momentum"));
  });

  test("in model.json, where a variable is called like another one's state", async () => {
    const weights = ["a", "a/momentum"].map((name) => ({ name, shape: [1], dtype: "float32" }));
    const topology = { model_config: { config: { layers: [] } } };
    const json = { modelTopology: topology, weightsManifest: [{ paths: ["w"], weights }] };
    const model = await readKeras({ "model.json": new TextEncoder().encode(JSON.stringify(json)), w: new Uint8Array(8) });
    const { state } = withState("a").optimizer!;
    Object.assign(model, { optimizer: { className: "Adamax", config: null, state } });
    expect(await refusal(() => writeKeras(model, "tfjs"))).toContain(twice("a/momentum"));
  });
});
