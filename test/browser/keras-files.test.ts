/** Files of Keras in a page: HDF5 in a Web Worker, from bytes and from a File; models of several files by their names. */

import { Adamax, CheckpointError } from "adamax";
import { readKeras, writeKeras } from "adamax/checkpoint";
import { expect, test } from "vitest";

const bytesOf = async (name: string) => new Uint8Array(await (await fetch(`/fixtures/keras-files/${name}`)).arrayBuffer());
const workerUrl = new URL("../../dist/checkpoint/keras/hdf5-worker.js", import.meta.url);

test.each(["keras-plain.keras", "tf_keras-average.h5", "keras-plain.weights.h5"])(
  "%s is read, restored and written",
  async (name) => {
    const given = () => (name.endsWith(".weights.h5") ? new Adamax({ learningRate: 0.01 }) : {}); // it holds no configuration
    const model = await readKeras(new File([await bytesOf(name)], name), { workerUrl });
    const { optimizer, variables } = model.restore(given());
    expect(optimizer.iterations).toBe(7);
    const again = await readKeras((await writeKeras(model.with({ optimizer, variables }))) as Uint8Array, { workerUrl });
    expect(again.restore(given()).optimizer.saveOwnVariables()).toEqual(optimizer.saveOwnVariables());
  },
);

test("a model.json with its file of weights, as the user picked them, is read, restored and written", async () => {
  const array = (name: string) => ({ name, shape: [2], dtype: "float32", group: "optimizer" });
  const weights = [
    { name: "dense/kernel", shape: [2], dtype: "float32" },
    { name: "iter", shape: [], dtype: "int32", group: "optimizer" },
    array("dense/kernel/momentum"),
    array("dense/kernel/norm"),
  ];
  const json = {
    weightsManifest: [{ paths: ["weights.bin"], weights }],
    trainingConfig: { optimizer_config: { class_name: "Adamax", config: { learning_rate: 0.5 } } },
  };
  const numbers = [Float32Array.of(1, 2), Int32Array.of(7), Float32Array.of(3, 4), Float32Array.of(5, 6)];
  const model = await readKeras({
    "model.json": new File([JSON.stringify(json)], "model.json"),
    "weights.bin": new File(numbers, "weights.bin"),
  });
  const { optimizer, variables } = model.restore();
  expect(optimizer.iterations).toBe(7);
  expect(optimizer.learningRate).toBe(0.5);
  expect(variables[0]!.value).toEqual(Float32Array.of(1, 2));
  const files = await writeKeras(model.with({ optimizer, variables }), "tfjs");
  const again = await readKeras(Object.fromEntries(files));
  expect(again.restore().optimizer.saveOwnVariables()).toEqual(optimizer.saveOwnVariables());
});

/** Files of fixtures/keras-folders/`folder`, as `<input webkitdirectory>` names them. */
const picked = async (folder: string, ...names: string[]): Promise<Record<string, File>> =>
  Object.fromEntries(
    await Promise.all(
      names.map(async (name) => {
        const path = `${folder}/${name}`;
        const bytes = await (await fetch(`/fixtures/keras-folders/${path}`)).arrayBuffer();
        return [path, new File([bytes], name)] as const;
      }),
    ),
  );

test.each([
  ["a TensorFlow checkpoint", () => picked("plain-weights", "model.index", "model.data-00000-of-00001"), true],
  [
    "a SavedModel",
    () => picked("plain-saved", "keras_metadata.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"),
    false,
  ],
  [
    "sharded weights",
    () => picked("keras-shards", "model.weights.json", ...[0, 1, 2, 3].map((i) => `model_0000${i}.weights.h5`)),
    true,
  ],
] as const)("%s, as the user picked its files, is read and restored", async (_, files, isWithoutConfiguration) => {
  const model = await readKeras(await files(), { workerUrl });
  const { optimizer, variables } = model.restore(isWithoutConfiguration ? new Adamax({ learningRate: 0.01 }) : {});
  expect(optimizer.iterations).toBe(7);
  expect(optimizer.learningRate).toBeCloseTo(0.01, 8);
  expect(variables).toHaveLength(9);
});

test("a file that is cut off is a CheckpointError", async () => {
  const bytes = await bytesOf("keras-plain.h5");
  await expect(readKeras(bytes.subarray(0, 20_000), { workerUrl })).rejects.toThrow(CheckpointError);
});
