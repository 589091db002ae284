/** Models of TensorFlow.js with adamax/tfjs, read, trained on and written here, and loaded there again. */

import { CheckpointError, schedules } from "adamax";
import { readKeras, writeKeras } from "adamax/checkpoint";
import { Adamax, registerAdamax } from "adamax/tfjs";
import { beforeAll, expect, test } from "vitest";
import { tf, use } from "../tfjs/backends.js";
import { compile, train, twoLayers } from "../tfjs/models.js";
import { filesOf } from "./tfjs-files.js";

beforeAll(async () => {
  await use("cpu");
  registerAdamax();
});

const load = (files: ReadonlyMap<string, Uint8Array>): Promise<tf.LayersModel> => {
  const { weightsManifest, ...json } = JSON.parse(new TextDecoder().decode(files.get("model.json")));
  const [{ paths, weights }] = weightsManifest;
  const bytes = files.get(paths[0])!;
  return tf.loadLayersModel(tf.io.fromMemory({ ...json, weightSpecs: weights, weightData: bytes.slice().buffer }));
};

test("a model saved by TensorFlow.js is read, restored, written, and goes on there with the same losses", async () => {
  const learningRate = new schedules.CosineDecay({ initialLearningRate: 0.1, decaySteps: 30, alpha: 0.1 });
  const model = compile(twoLayers(), new Adamax({ learningRate, useEma: true, weightDecay: 0.01 }));
  await train(model, 10);
  const read = await readKeras(await filesOf(model, "group1-shard1of1.bin"));
  const { optimizer, variables } = read.restore();
  expect(optimizer.iterations).toBe(10);
  expect(optimizer.useEma).toBe(true);
  expect(variables.map(({ value }) => value)).toEqual(model.getWeights().map((tensor) => tensor.dataSync()));
  const loaded = await load(await writeKeras(read.with({ variables, optimizer }), "tfjs"));
  expect(loaded.optimizer.iterations).toBe(10);
  expect(await train(loaded, 30)).toEqual(await train(model, 30));
});

test("a missing file, one that is too short, and a path outside of the folder are CheckpointErrors", async () => {
  const model = compile(twoLayers(), new Adamax());
  await train(model, 1);
  const files = await filesOf(model, "group1-shard1of1.bin");
  const { "model.json": json, "group1-shard1of1.bin": weights } = files as Record<string, Uint8Array>;
  await expect(readKeras({ "model.json": json! })).rejects.toThrow(CheckpointError);
  await expect(readKeras({ "model.json": json!, "group1-shard1of1.bin": weights!.subarray(4) })).rejects.toThrow("too short");
  const outside = new TextEncoder().encode(new TextDecoder().decode(json).replace("group1-shard1of1.bin", "../../secret.bin"));
  await expect(readKeras({ "model.json": outside })).rejects.toThrow("outside of its folder");
});
