/** Files of Keras in a page: HDF5 in a Web Worker, from bytes and from a File. */

import { CheckpointError } from "adamax";
import { readKeras, writeKeras } from "adamax/checkpoint";
import { expect, test } from "vitest";

const bytesOf = async (name: string) => new Uint8Array(await (await fetch(`/fixtures/keras-files/${name}`)).arrayBuffer());
const workerUrl = new URL("../../dist/checkpoint/hdf5-worker.js", import.meta.url);

test.each(["keras-plain.keras", "tf_keras-average.h5"])("%s is read, restored and written", async (name) => {
  const model = await readKeras(new File([await bytesOf(name)], name), { workerUrl });
  const { optimizer, variables } = model.restore();
  expect(optimizer.iterations).toBe(7);
  const again = await readKeras((await writeKeras(model.with({ optimizer, variables }))) as Uint8Array, { workerUrl });
  expect(again.restore().optimizer.saveOwnVariables()).toEqual(optimizer.saveOwnVariables());
});

test("a file that is cut off is a CheckpointError", async () => {
  const bytes = await bytesOf("keras-plain.h5");
  await expect(readKeras(bytes.subarray(0, 20_000), { workerUrl })).rejects.toThrow(CheckpointError);
});
