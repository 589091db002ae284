/** Checkpoints of TensorFlow.js' fit in a page: on a GPU, in the page's own file system. */

import * as tf from "@tensorflow/tfjs";
import "@tensorflow/tfjs-backend-webgpu";
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
const weightsOf = (model: tf.LayersModel) => Promise.all(model.getWeights().map(async (weight) => [...(await weight.data())]));

test.each(["webgpu", "webgl", "cpu"])(
  "on %s: a fit that broke off goes on from OPFS, and ends with the weights and the history of one that never did",
  async (backend) => {
    await tf.setBackend(backend);
    const root = await navigator.storage.getDirectory();
    const name = `test-${Math.random()}`;
    onTestFinished(() => root.removeEntry(name, { recursive: true }));
    const manager = new CheckpointManager(await root.getDirectoryHandle(name, { create: true }), { keep: 2 });
    const xs = tf.linspace(-1, 1, 24).reshape([8, 3]);
    const ys = xs.sum(1, true);
    const fit = async (model: tf.LayersModel, callbacks: tf.CustomCallbackArgs[]) => {
      const { history } = await model.fit(xs, ys, { epochs: 4, batchSize: 2, shuffle: false, verbose: 0, callbacks });
      return history;
    };
    let batches = 0;
    const failing = {
      onBatchEnd: async () => {
        if (++batches === 7) throw new Error("broken off");
      },
    };
    const saving = () => checkpoints(manager, { everyBatches: 1 }) as tf.CustomCallbackArgs;
    await expect(fit(makeModel(), [failing, saving()])).rejects.toThrow("broken off");
    const resumed = makeModel();
    const history = await fit(resumed, [{ onEpochEnd: () => {} }, saving()]);
    const straight = makeModel();
    expect(history).toEqual(await fit(straight, []));
    expect(await weightsOf(resumed)).toEqual(await weightsOf(straight));
    expect(await manager.list()).toHaveLength(2);
    expect(await resume(makeModel(), manager)).toMatchObject({ epoch: 4, batch: 0 });
  },
);
