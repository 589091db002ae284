/** Models of TensorFlow.js with adamax/tfjs, read, trained on and written here, and loaded there again. */

import { CheckpointError, schedules } from "adamax";
import { readKeras, writeKeras } from "adamax/checkpoint";
import { Adamax, registerAdamax } from "adamax/tfjs";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { tf, use } from "../tfjs/backends.js";
import { compile, train, twoLayers } from "../tfjs/models.js";
import { rejection } from "./helpers.js";
import { filesOf } from "./tfjs-files.js";

beforeAll(async () => {
  await use("cpu");
  registerAdamax();
});

/** A float16 of these bits; none here is infinite or negative. */
const fromHalf = (bits: number): number =>
  bits < 1024 ? bits * 2 ** -24 : 2 ** ((bits >> 10) - 15) * (1 + (bits & 1023) / 1024);

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

test("groups and exclusions by variable are read, and written as they were read; an optimizer that is put in says what Keras' files do not hold", async () => {
  const model = twoLayers();
  const [kernel, bias, other] = model.trainableWeights.map((weight) => weight.read() as tf.Variable);
  const groups = [{ variables: [kernel!], names: [/KERNEL$/i], learningRateMultiplier: 0.5 }];
  const adamax = new Adamax({ learningRate: 0.1, weightDecay: 0.5, groups });
  adamax.excludeFromWeightDecay({ variables: [bias!, other!] });
  await train(compile(model, adamax), 3);
  const read = await readKeras(await filesOf(model, "group1-shard1of1.bin"));
  const loaded = await load(await writeKeras(read, "tfjs")); // TensorFlow.js would have changed the letters of a text
  expect(loaded.optimizer.getConfig()).toEqual(adamax.getConfig());
  expect(await train(loaded, 5)).toEqual(await train(model, 5));

  expect(() => read.restore({})).toThrow(/by a pattern, which is not searched for/); // KERNEL
  const { optimizer } = read.restore({ groups: [] });
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  const files = Object.fromEntries(await writeKeras(read.with({ optimizer }), "tfjs"));
  expect(warn).toHaveBeenCalledWith(
    expect.stringContaining("no file of Keras holds excludeFromWeightDecay (2 of 4 variables here)"),
  );
  warn.mockRestore();
  expect((await readKeras(files)).optimizer!.config).not.toHaveProperty("config.exclude_from_weight_decay");
  expect(optimizer.getConfig().exclude_from_weight_decay).toEqual([`^${bias!.name}$`, `^${other!.name}$`]);
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

/** A model.json of one weight `a/b` of four numbers, which the bytes 1, 2, 3 ... are those of. */
const oneWeight = (spec: object, paths: readonly string[] = ["w.bin"], bytes = 8): Record<string, Uint8Array> => {
  const weights = [{ name: "a/b", shape: [4], dtype: "float32", ...spec }];
  const json = JSON.stringify({ weightsManifest: [{ paths, weights }] });
  return { "model.json": new TextEncoder().encode(json), "w.bin": Uint8Array.from({ length: bytes }, (_, i) => i + 1) };
};

test.each<[string, object, readonly number[]]>([
  ["float32 in steps of uint8", { quantization: { dtype: "uint8", scale: 0.5, min: -1 } }, [-0.5, 0, 0.5, 1]],
  ["float32 in steps of uint16", { quantization: { dtype: "uint16", scale: 1, min: -512 } }, [1, 515, 1029, 1543]],
  ["int32 in steps of uint8", { dtype: "int32", quantization: { dtype: "uint8", scale: 2, min: 1.4 } }, [3, 5, 7, 9]],
  ["float32 as float16", { quantization: { dtype: "float16" } }, [0x201, 0x403, 0x605, 0x807].map(fromHalf)],
])("quantized weights are read as TensorFlow.js reads them: %s", async (_, spec, values) => {
  const [variable] = (await readKeras(oneWeight(spec))).variables;
  expect(variable!.value).toEqual("dtype" in spec ? Int32Array.from(values) : Float32Array.from(values));
});

describe("a manifest that cannot be meant is a CheckpointError that shows it", () => {
  const quantized = (quantization: unknown, spec = {}) => oneWeight({ quantization, ...spec });
  test.each<[string, Record<string, Uint8Array>, string]>([
    ["a scale that is text", quantized({ dtype: "uint8", scale: "2", min: 0 }), '"scale":"2"'],
    ["a scale without min", quantized({ dtype: "uint8", scale: 2 }), '"scale":2'],
    ["a min without scale", quantized({ dtype: "uint16", min: 2 }), '"min":2'],
    ["an infinite scale", quantized({ dtype: "uint8", scale: Number.POSITIVE_INFINITY, min: 0 }), '"scale":null'],
    ["steps of another type", quantized({ dtype: "int32", scale: 2, min: 0 }), '"int32"'],
    ["a quantization that is none", quantized(5), "the quantization 5"],
    ["flags in steps", quantized({ dtype: "uint8", scale: 2, min: 0 }, { dtype: "bool" }), "the quantization"],
    ["whole numbers as float16", quantized({ dtype: "float16" }, { dtype: "int32" }), "the quantization"],
    ["one file a thousand times", oneWeight({}, Array(1000).fill("w.bin")), 'the file "w.bin" twice'],
    ["one file in two spellings", oneWeight({}, ["w.bin", "./w.bin"]), 'the file "./w.bin" twice'],
  ])("%s", async (_, files, message) => {
    const error = await rejection(readKeras(files));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toContain(message);
  });

  test("one file in two groups", async () => {
    const files = oneWeight({}, ["w.bin"], 32);
    const json = JSON.parse(new TextDecoder().decode(files["model.json"]));
    json.weightsManifest.push({ ...json.weightsManifest[0], weights: [{ name: "c", shape: [4], dtype: "float32" }] });
    const error = await rejection(readKeras({ ...files, "model.json": new TextEncoder().encode(JSON.stringify(json)) }));
    expect(error.message).toContain("twice");
  });
});

test('the files of a download, which TensorFlow.js calls "./w.bin" in its manifest, are found by their names, in a folder too', async () => {
  const files = oneWeight({}, ["./w.bin"], 16);
  expect((await readKeras(files)).variables).toHaveLength(1);
  const inFolder = Object.fromEntries(Object.entries(files).map(([name, bytes]) => [`model/${name}`, bytes]));
  expect((await readKeras(inFolder)).variables).toHaveLength(1);
});
