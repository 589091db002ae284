/** Checkpoints of TensorFlow.js' fit in a page: on a GPU, in the page's own file system. */

import * as tf from "@tensorflow/tfjs";
import { CheckpointManager } from "adamax/checkpoint";
import { Adamax, checkpoints, resume } from "adamax/tfjs";
import { expect, onTestFinished, test } from "vitest";

const makeModel = (): tf.Sequential => {
  const model = tf.sequential({
    layers: [
      tf.layers.dense({ units: 5, inputShape: [3], activation: "tanh", kernelInitializer: "ones" }),
      tf.layers.batchNormalization(),
      tf.layers.dense({ units: 1, kernelInitializer: "ones" }),
    ],
  });
  model.compile({ loss: "meanSquaredError", optimizer: new Adamax({ learningRate: 0.1, useEma: true }) });
  return model;
};
const weightsOf = (model: tf.LayersModel) => model.getWeights().map((weight) => [...weight.dataSync()]);

test.each(["webgl", "cpu"])(
  "on %s: a fit that was stopped and resumed from OPFS ends with the weights of one that never stopped",
  async (backend) => {
    await tf.setBackend(backend);
    const root = await navigator.storage.getDirectory();
    const name = `test-${Math.random()}`;
    onTestFinished(() => root.removeEntry(name, { recursive: true }));
    const manager = new CheckpointManager(await root.getDirectoryHandle(name, { create: true }), { keep: 2 });
    const xs = tf.linspace(-1, 1, 24).reshape([8, 3]);
    const ys = xs.sum(1, true);
    const fit = async (model: tf.LayersModel, epochs: number, initialEpoch = 0) => {
      const callbacks = checkpoints(manager);
      await model.fit(xs, ys, { epochs, initialEpoch, batchSize: 4, shuffle: false, verbose: 0, callbacks });
    };
    await fit(makeModel(), 2);
    const resumed = makeModel();
    const place = await resume(resumed, manager);
    expect(place).toMatchObject({ epoch: 2, batch: 0 });
    await fit(resumed, 4, place!.epoch);
    const straight = makeModel();
    await straight.fit(xs, ys, { epochs: 4, batchSize: 4, shuffle: false, verbose: 0 });
    expect(weightsOf(resumed)).toEqual(weightsOf(straight));
    expect(await manager.list()).toHaveLength(2);
  },
);
