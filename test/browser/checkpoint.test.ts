/** Checkpoints in a page: downloads and uploads, and a stream, with the same bytes. */

import { Adamax, Variable } from "adamax";
import { checkpointBlob, loadCheckpoint, saveCheckpoint } from "adamax/checkpoint";
import { expect, onTestFinished, test } from "vitest";

const bytesOf = async (blob: Blob) => [...new Uint8Array(await blob.arrayBuffer())];

const trained = (options: ConstructorParameters<typeof Adamax>[0] = {}) => {
  const w = new Variable(Float32Array.of(1, 2, 3), { name: "w" });
  const optimizer = new Adamax(options);
  onTestFinished(() => optimizer.dispose());
  optimizer.applyGradients([[Float32Array.of(1, -1, 0.5), w]]);
  return { w, optimizer };
};
const state = ({ w, optimizer }: { w: Variable; optimizer: Adamax }) => [
  [...w.value],
  ...optimizer.variables.map(({ value }) => [...value]),
];

test("a download, an upload and a stream carry the same bytes", async () => {
  const one = trained();
  const options = { optimizer: one.optimizer, user: { epoch: 1 } };
  const blob = await checkpointBlob(options);
  const stream = new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>();
  const received = new Response(stream.readable).blob();
  await saveCheckpoint(stream.writable, options);
  expect(await bytesOf(await received)).toEqual(await bytesOf(blob));

  one.optimizer.applyGradients([[Float32Array.of(1, 1, 1), one.w]]);
  for (const source of [new File([blob], "upload.safetensors"), await blob.arrayBuffer()]) {
    const { optimizer, variables, user } = await loadCheckpoint(source, { optimizer: Adamax });
    const w = variables.get("w")!;
    optimizer.applyGradients([[Float32Array.of(1, 1, 1), w]]);
    expect(user).toEqual({ epoch: 1 });
    expect(state({ w, optimizer })).toEqual(state(one));
    optimizer.dispose();
  }
});

test("a path is an error that says what a browser takes", async () => {
  const { optimizer } = trained();
  await expect(saveCheckpoint("model.safetensors", { optimizer })).rejects.toThrow("Pass a file of OPFS, a Blob or a stream");
});
