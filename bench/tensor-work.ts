/** What is measured of TensorFlow.js: the same in Node and in a page, on the backend that TensorFlow.js uses when it is made. */

import * as tf from "@tensorflow/tfjs";
import { convolutional, dense } from "../examples/mnist/networks.js";
import { type Digits, tensorsOf } from "../examples/mnist/training.js";
import { OPTIMIZERS, type OptimizerName, type Work } from "./tensor-steps.js";

const NETWORKS = { dense, convolutional };
export type NetworkName = keyof typeof NETWORKS;

/** A whole `fit`: one epoch over `digits` in batches of 100. */
export const fits = (digits: Digits, network: NetworkName, name: OptimizerName): Work => {
  const { images, labels } = tensorsOf(digits);
  const optimizer = OPTIMIZERS[name]();
  const model = NETWORKS[network](1);
  model.compile({ optimizer, loss: "categoricalCrossentropy" });
  return {
    run: () => model.fit(images, labels, { epochs: 1, batchSize: 100, shuffle: false, verbose: 0 }),
    done: () => model.getWeights()[0]!.data(),
    dispose: () => {
      optimizer.dispose();
      model.dispose();
      tf.dispose([images, labels]);
    },
  };
};
