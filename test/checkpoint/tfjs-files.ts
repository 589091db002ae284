/** The files that TensorFlow.js writes into a folder for a small model with adamax/tfjs. */

import { Adamax } from "adamax/tfjs";
import { tf, use } from "../tfjs/backends.js";
import { compile, train, twoLayers } from "../tfjs/models.js";

export const filesOf = async (model: tf.LayersModel, weights = "weights.bin"): Promise<Record<string, Uint8Array>> => {
  let files: Record<string, Uint8Array> = {};
  await model.save(
    tf.io.withSaveHandler(async ({ weightData, weightSpecs, ...json }) => {
      const saved = { ...json, weightsManifest: [{ paths: [weights], weights: weightSpecs }] };
      const data = Array.isArray(weightData) ? weightData[0]! : weightData!;
      files = { "model.json": new TextEncoder().encode(JSON.stringify(saved)), [weights]: new Uint8Array(data) };
      return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } };
    }),
    { includeOptimizer: true },
  );
  return files;
};

export const tfjsFiles = async (): Promise<Record<string, Uint8Array>> => {
  await use("cpu");
  const model = compile(twoLayers(), new Adamax({ learningRate: 0.1, useEma: true }));
  await train(model, 3);
  return filesOf(model);
};
