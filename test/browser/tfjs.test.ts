/** Tensors on a GPU: TensorFlow.js' webgl backend, as Chromium runs it in software. */

import * as tf from "@tensorflow/tfjs";
import { Adamax as CoreAdamax, schedules, Variable } from "adamax";
import { Adamax, registerAdamax } from "adamax/tfjs";
import { describe, expect, test, vi } from "vitest";

const wave = (length: number, phase: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898 + phase) * 2);

test("on webgl: the same bits as the core, and no tensor left behind", async () => {
  expect(await tf.setBackend("webgl")).toBe(true);
  const options = { learningRate: 0.1, epsilon: 1e-7, useEma: true, globalClipnorm: 1, weightDecay: 0.1 };
  const adamax = new Adamax(options);
  const core = new CoreAdamax(options);
  const tensor = tf.variable(tf.tensor(wave(600, 0), [20, 30]), true, "w");
  const variable = new Variable(wave(600, 0), { shape: [20, 30] });
  const snapshot = tensor.clone();
  const { numTensors } = tf.memory();
  for (let step = 1; step < 5; step++) {
    tf.tidy(() => adamax.applyGradients({ w: tf.tensor(wave(600, step), [20, 30]) }));
    core.applyGradients([[wave(600, step), variable]]);
    expect(tensor.dataSync()).toEqual(variable.value);
  }
  expect(tf.memory().numTensors).toBe(numTensors);
  expect(snapshot.dataSync()).toEqual(wave(600, 0));
  adamax.finalizeVariableValues();
  core.finalizeVariableValues();
  expect(tensor.dataSync()).toEqual(variable.value);
});

test("on webgl: fit trains a model, and ends with its averages", async () => {
  await tf.setBackend("webgl");
  const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [1], kernelInitializer: "zeros" })] });
  const optimizer = new Adamax({ learningRate: 0.2, useEma: true, emaMomentum: 0.8 });
  model.compile({ optimizer, loss: "meanSquaredError" });
  const xs = tf.linspace(-1, 1, 16).reshape([16, 1]);
  await model.fit(xs, xs.mul(3).add(1), { epochs: 100, batchSize: 16, verbose: 0 });
  const [kernel, bias] = model.getWeights().map((weight) => weight.dataSync()[0]);
  expect(kernel).toBeCloseTo(3, 1);
  expect(bias).toBeCloseTo(1, 1);
  const averages = (await optimizer.getWeights()).filter(({ name }) => name.endsWith("/average"));
  expect(averages.map(({ tensor }) => tensor.dataSync()[0])).toEqual([kernel, bias]);
});

describe("saving in a browser", () => {
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
});
