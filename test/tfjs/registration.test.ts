/** What importing does to TensorFlow.js, and what registering does. In a file of its own: registering is for the whole process. */

import { Adamax, registerAdamax } from "adamax/tfjs";
import { build } from "esbuild";
import { beforeAll, expect, test, vi } from "vitest";
import { tf, use, usual } from "./backends.js";
import { compile, twoLayers } from "./models.js";

beforeAll(() => use(usual));

/** A model that was compiled with TensorFlow.js' own Adamax, saved and loaded. */
const savedByTheirs = async (): Promise<tf.LayersModel> => {
  const model = compile(twoLayers(), tf.train.adamax(0.25));
  vi.spyOn(model.optimizer, "getWeights").mockResolvedValue([]); // it cannot save its state
  let artifacts: tf.io.ModelArtifacts | undefined;
  const keep = tf.io.withSaveHandler(async (given) => {
    artifacts = given;
    return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } };
  });
  await model.save(keep, { includeOptimizer: true });
  return tf.loadLayersModel(tf.io.fromMemory(artifacts!));
};

const byName = (): tf.Optimizer => {
  const model = twoLayers();
  model.compile({ optimizer: "adamax", loss: "meanSquaredError" });
  return model.optimizer;
};

test("importing registers nothing: 'Adamax' in a file is TensorFlow.js' own until registerAdamax, and ours after; names in code stay theirs", async () => {
  new Adamax();
  expect((await savedByTheirs()).optimizer).toBeInstanceOf(tf.AdamaxOptimizer);
  expect(byName()).toBeInstanceOf(tf.AdamaxOptimizer);
  registerAdamax();
  registerAdamax();
  const { optimizer } = await savedByTheirs();
  expect(optimizer).toBeInstanceOf(Adamax);
  expect((optimizer as Adamax).learningRate).toBe(0.25);
  expect(byName()).toBeInstanceOf(tf.AdamaxOptimizer);
  expect(tf.train.adamax(0.1)).toBeInstanceOf(tf.AdamaxOptimizer);
});

test.each(["adamax/tfjs", "adamax/tfjs/core"])(
  "importing %s is enough for loading a model without registerAdamax to lead to it",
  async (entry) => {
    const theirs = tf.AdamaxOptimizer.prototype.setWeights;
    try {
      tf.AdamaxOptimizer.prototype.setWeights = tf.Optimizer.prototype.setWeights;
      await expect(tf.train.adamax(0.1).setWeights([])).rejects.toThrow(
        "setWeights() is not implemented for this optimizer class Adamax",
      );
      vi.resetModules();
      await import(entry);
      await expect(tf.train.adamax(0.1).setWeights([])).rejects.toThrow(
        /Call registerAdamax\(\) of adamax\/tfjs before tf\.loadLayersModel/,
      );
    } finally {
      tf.AdamaxOptimizer.prototype.setWeights = theirs;
    }
  },
);

test("adamax/tfjs/core loads tfjs-core and no other package of TensorFlow.js; adamax loads none", async () => {
  const imported = async (entry: string) => {
    const { metafile } = await build({
      entryPoints: [entry],
      bundle: true,
      packages: "external",
      format: "esm",
      write: false,
      metafile: true,
    });
    const paths = Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path));
    return [...new Set(paths)].filter((path) => path.includes("tensorflow"));
  };
  expect(await imported("src/tfjs/core/index.ts")).toEqual(["@tensorflow/tfjs-core"]);
  expect(await imported("src/index.ts")).toEqual([]);
  expect((await imported("src/tfjs/index.ts")).sort()).toEqual(["@tensorflow/tfjs-core", "@tensorflow/tfjs-layers"]);
});
