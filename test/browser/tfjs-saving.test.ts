/** What only a browser can save a model to, and load it from. */

import * as tf from "@tensorflow/tfjs";
import { schedules } from "adamax";
import { Adamax, registerAdamax } from "adamax/tfjs";
import { expect, test, vi } from "vitest";

const wave = (length: number, phase: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898 + phase) * 2);

const data = () => {
  const xs = tf.tensor2d(wave(64, 7), [16, 4]);
  return { xs, ys: xs.sum(1, true).sin() };
};
const train = async (model: tf.LayersModel, steps: number): Promise<number[]> => {
  const { xs, ys } = data();
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) losses.push((await model.trainOnBatch(xs, ys)) as number);
  return losses;
};
const trained = async (): Promise<tf.LayersModel> => {
  await tf.setBackend("cpu");
  registerAdamax();
  const model = tf.sequential({
    layers: [tf.layers.dense({ units: 5, inputShape: [4], activation: "tanh" }), tf.layers.dense({ units: 1 })],
  });
  const learningRate = new schedules.CosineDecay({ initialLearningRate: 0.1, decaySteps: 50 });
  model.compile({ optimizer: new Adamax({ learningRate, useEma: true, clipnorm: 1 }), loss: "meanSquaredError" });
  await train(model, 10);
  return model;
};

test.each(["indexeddb://model", "localstorage://model"])(
  "to %s and back: the 100 losses of the run that went on",
  async (url) => {
    const model = await trained();
    await model.save(url, { includeOptimizer: true });
    const loaded = await tf.loadLayersModel(url);
    expect(loaded.optimizer).toBeInstanceOf(Adamax);
    expect(await train(loaded, 100)).toEqual(await train(model, 100));
  },
);

test("as downloads, and back from the files: the 100 losses of the run that went on", async () => {
  const model = await trained();
  const blobs: { name: string; blob: Promise<Blob> }[] = [];
  vi.spyOn(HTMLAnchorElement.prototype, "dispatchEvent").mockImplementation(function (this: HTMLAnchorElement) {
    blobs.push({ name: this.download, blob: fetch(this.href).then((response) => response.blob()) });
    return true;
  });
  await model.save("downloads://model", { includeOptimizer: true });
  vi.restoreAllMocks();
  const files = await Promise.all(blobs.map(async ({ name, blob }) => new File([await blob], name)));
  expect(files.map(({ name }) => name)).toEqual(["model.json", "model.weights.bin"]);
  const loaded = await tf.loadLayersModel(tf.io.browserFiles(files));
  expect(await train(loaded, 100)).toEqual(await train(model, 100));
});
