/** What a user of tfjs-node would write. `node train.mjs FOLDER STEPS`: goes on from the model that is saved there, if one is, for so many steps, saves it
 *  with its optimizer, and prints the losses. */

import { existsSync } from "node:fs";
import { pathToFileURL } from "node:url";
import * as tf from "@tensorflow/tfjs-node";
import { Adamax, registerAdamax } from "adamax/tfjs";

const [folder, steps] = process.argv.slice(2);
const url = pathToFileURL(folder).href;

const made = () => {
  const model = tf.sequential({
    layers: [
      tf.layers.conv2d({ filters: 3, kernelSize: 3, inputShape: [8, 8, 1], activation: "relu", kernelInitializer: "ones" }),
      tf.layers.flatten(),
      tf.layers.dense({ units: 1, kernelInitializer: "zeros" }),
    ],
  });
  const optimizer = new Adamax({ learningRate: 0.01, weightDecay: 0.01, globalClipnorm: 1, useEma: true });
  model.compile({ optimizer, loss: "meanSquaredError" });
  return model;
};

registerAdamax();
const model = existsSync(folder) ? await tf.loadLayersModel(`${url}/model.json`) : made();
const xs = tf.sin(tf.range(0, 16 * 64)).reshape([16, 8, 8, 1]);
const ys = xs.mean([1, 2]).add(1);
const losses = [];
for (let step = 0; step < Number(steps); step++) losses.push(await model.trainOnBatch(xs, ys));
await model.save(url, { includeOptimizer: true });
console.log(JSON.stringify({ losses, iterations: model.optimizer.iterations, ...model.optimizer.backend }));
