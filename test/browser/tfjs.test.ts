/** Tensors on a GPU: TensorFlow.js' webgl backend, as Chromium runs it in software. */

import * as tf from "@tensorflow/tfjs";
import { Adamax as CoreAdamax, Variable } from "adamax";
import { Adamax } from "adamax/tfjs";
import { expect, test } from "vitest";

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
