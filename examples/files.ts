/** Models in folders: in Node, `model.save("file://...")` and `tf.loadLayersModel("file://...")` need tfjs-node, or these lines. */

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import * as tf from "@tensorflow/tfjs";

/** The files that tfjs-node writes: model.json, which says what is in weights.bin. */
const folder = (path: string): tf.io.IOHandler => ({
  async save({ weightSpecs, weightData, ...artifacts }) {
    await mkdir(path, { recursive: true });
    const weights = Array.isArray(weightData) ? tf.io.CompositeArrayBuffer.join(weightData) : (weightData as ArrayBuffer);
    const weightsManifest = [{ paths: ["weights.bin"], weights: weightSpecs }];
    await writeFile(join(path, "weights.bin"), new Uint8Array(weights));
    await writeFile(join(path, "model.json"), JSON.stringify({ ...artifacts, weightsManifest }));
    return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON", weightDataBytes: weights.byteLength } };
  },
  async load() {
    const json = JSON.parse(await readFile(join(path, "model.json"), "utf8")) as tf.io.ModelJSON;
    const { buffer, byteOffset, byteLength } = await readFile(join(path, "weights.bin"));
    const specs = json.weightsManifest.flatMap(({ weights }) => weights);
    return tf.io.getModelArtifactsForJSON(json, async () => [specs, buffer.slice(byteOffset, byteOffset + byteLength)]);
  },
});

/** A folder, or as tfjs-node wants it for loading, the model.json in it. */
const router = (url: string | string[]): tf.io.IOHandler | null => {
  if (typeof url !== "string" || !url.startsWith("file://")) return null;
  const path = fileURLToPath(url);
  return folder(basename(path) === "model.json" ? dirname(path) : path);
};

/** Makes TensorFlow.js understand file URLs. */
export const registerFiles = (): void => {
  tf.io.registerSaveRouter(router as (url: string | string[]) => tf.io.IOHandler);
  tf.io.registerLoadRouter(router as (url: string | string[]) => tf.io.IOHandler);
};
