/** Checkpoints in the file system of a page, OPFS. */

import { Adamax, CheckpointError, Variable } from "adamax";
import { CheckpointManager, checkpointBlob, inspectCheckpoint, loadCheckpoint, saveCheckpoint } from "adamax/checkpoint";
import { expect, onTestFinished, test } from "vitest";

const bytesOf = async (blob: Blob) => [...new Uint8Array(await blob.arrayBuffer())];

/** An empty folder of OPFS. */
const folder = async () => {
  const root = await navigator.storage.getDirectory();
  const name = `test-${Math.random()}`;
  onTestFinished(() => root.removeEntry(name, { recursive: true }));
  return root.getDirectoryHandle(name, { create: true });
};

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

test("a file of OPFS has the bytes of a download, and is loaded as one", async () => {
  const { w, optimizer } = trained();
  const file = await (await folder()).getFileHandle("model.safetensors", { create: true });
  await saveCheckpoint(file, { optimizer, user: { epoch: 1 } });
  expect(await bytesOf(await file.getFile())).toEqual(await bytesOf(await checkpointBlob({ optimizer, user: { epoch: 1 } })));
  const loaded = await loadCheckpoint(file, { optimizer: Adamax });
  expect(loaded.user).toEqual({ epoch: 1 });
  expect(state({ w: loaded.variables.get("w")!, optimizer: loaded.optimizer })).toEqual(state({ w, optimizer }));
  loaded.optimizer.dispose();
});

test("with threads, whose memory is shared: the same", async () => {
  const two = trained({ threads: 2 });
  const file = await (await folder()).getFileHandle("model.safetensors", { create: true });
  await saveCheckpoint(file, { optimizer: two.optimizer });
  const other = trained();
  await loadCheckpoint(file, { optimizer: other.optimizer });
  expect(state(other)).toEqual(state(two));
});

test("OPFS: saving that breaks off leaves the old file", async () => {
  const { optimizer, w } = trained();
  const file = await (await folder()).getFileHandle("model.safetensors", { create: true });
  await saveCheckpoint(file, { optimizer });
  const old = await bytesOf(await file.getFile());
  optimizer.applyGradients([[Float32Array.of(1, 1, 1), w]]);
  await expect(saveCheckpoint(file, { optimizer, signal: AbortSignal.abort() })).rejects.toThrow();
  expect(await bytesOf(await file.getFile())).toEqual(old);
});

test("OPFS: of two savers at once one is refused where the browser knows exclusive files (Chromium), and the file is whole", async () => {
  const { optimizer } = trained();
  const file = await (await folder()).getFileHandle("model.safetensors", { create: true });
  const results = await Promise.allSettled([1, 2].map((user) => saveCheckpoint(file, { optimizer, user })));
  const refused = results.filter((result) => result.status === "rejected");
  const isExclusive = navigator.userAgent.includes("Chrome"); // Firefox passes over { mode: "exclusive" }
  expect(refused.map(({ reason }) => reason instanceof CheckpointError)).toEqual(isExclusive ? [true] : []);
  await inspectCheckpoint(file, { verify: true });
});

test("a manager keeps its checkpoints in a folder of OPFS", async () => {
  const { optimizer } = trained();
  const directory = await folder();
  const manager = new CheckpointManager(directory, { keep: 2 });
  for (const user of [1, 2, 3]) await manager.save({ optimizer, user });
  expect((await manager.list()).map(({ number }) => number)).toEqual([3, 2]);
  const found = await manager.loadNewest({ optimizer: Adamax });
  expect(found?.user).toBe(3);
  found?.optimizer.dispose();
  await expect(manager.save({ optimizer, signal: AbortSignal.abort() })).rejects.toThrow();
  expect((await manager.list()).map(({ number }) => number)).toEqual([3, 2]); // and no empty file
});

test("a folder of OPFS that is called like a checkpoint stops nothing, and stays", async () => {
  const { optimizer } = trained();
  const directory = await folder();
  await directory.getDirectoryHandle("checkpoint-000009.safetensors", { create: true });
  const manager = new CheckpointManager(directory, { keep: 1 });
  for (let i = 0; i < 3; i++) await manager.save({ optimizer });
  expect((await manager.list()).map(({ number }) => number)).toEqual([12]);
  const names: string[] = [];
  for await (const name of directory.keys()) names.push(name);
  expect(names.sort()).toEqual(["checkpoint-000009.safetensors", "checkpoint-000012.safetensors"]);
});
