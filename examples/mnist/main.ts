/** MNIST in Node, on TensorFlow.js' wasm backend: its own Adamax beside ours, over three seeds, and a run that is resumed in the middle.
 *  `--quick` is the short form that the tests run. */

import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as tf from "@tensorflow/tfjs";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import { schedules } from "adamax";
import { Adamax, registerAdamax } from "adamax/tfjs";
import { registerFiles } from "../files.js";
import { digits } from "./data.js";

const quick = process.argv.includes("--quick");
const { train, test, epochs, seeds } = quick
  ? { train: 2000, test: 1000, epochs: 2, seeds: [1] }
  : { train: 60_000, test: 10_000, epochs: 4, seeds: [1, 2, 3] };
const batchSize = 100;
const steps = (epochs * train) / batchSize;

setWasmPaths(`${dirname(createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm"))}/`);
await tf.setBackend("wasm");
const training = digits("train", train);
const testing = digits("t10k", test);

const optimizers: Record<string, () => tf.Optimizer> = {
  "tf.train.adamax": () => tf.train.adamax(0.002),
  "adamax/tfjs, the same": () => new Adamax({ learningRate: 0.002 }),
  "adamax/tfjs, with more": () =>
    new Adamax({
      learningRate: new schedules.CosineDecay({
        initialLearningRate: 0,
        warmupTarget: 0.01,
        warmupSteps: steps / 20,
        decaySteps: steps,
      }),
      weightDecay: 0.01,
      globalClipnorm: 1,
      useEma: true,
      emaMomentum: 1 - 10 / steps, // an average over about the last tenth of the training
    }),
};

const compile = (model: tf.LayersModel, optimizer: tf.Optimizer) => {
  model.compile({ optimizer, loss: "categoricalCrossentropy", metrics: ["accuracy"] });
  return model;
};

const network = (seed: number) => {
  const initializer = (layer: number) => tf.initializers.glorotUniform({ seed: 10 * seed + layer });
  const hidden = tf.layers.dense({ units: 64, activation: "relu", inputShape: [784], kernelInitializer: initializer(1) });
  return tf.sequential({
    layers: [hidden, tf.layers.dense({ units: 10, activation: "softmax", kernelInitializer: initializer(2) })],
  });
};

const fit = async (model: tf.LayersModel, more: tf.ModelFitArgs = {}) =>
  model.fit(training.images, training.labels, { epochs, batchSize, shuffle: false, verbose: 0, ...more });

const accuracy = (model: tf.LayersModel): number => {
  const [, value] = model.evaluate(testing.images, testing.labels, { batchSize: 1000 }) as tf.Scalar[];
  return value!.dataSync()[0]!;
};
const percent = (share: number) => `${(100 * share).toFixed(2)} %`;

console.log(`Accuracy on ${test} digits after ${epochs} epochs over ${train}, on ${tf.getBackend()}:\n`);
console.log(`| optimizer | ${seeds.map((seed) => `seed ${seed}`).join(" | ")} | mean |\n|---|${"---|".repeat(seeds.length + 1)}`);
for (const [name, make] of Object.entries(optimizers)) {
  const reached: number[] = [];
  for (const seed of seeds) {
    const optimizer = make();
    const model = compile(network(seed), optimizer);
    await fit(model);
    reached.push(accuracy(model));
    model.dispose();
    optimizer.dispose();
  }
  const mean = reached.reduce((a, b) => a + b) / reached.length;
  console.log(`| ${name} | ${[...reached, mean].map(percent).join(" | ")} |`);
}

// Saved in the middle of fit, loaded in what might be another process, and trained on: as if nothing had happened.
registerFiles();
registerAdamax();
const url = pathToFileURL(mkdtempSync(join(tmpdir(), "mnist-"))).href;
const whole = compile(network(1), optimizers["adamax/tfjs, with more"]!());
const saveAfter = epochs / 2;
await fit(whole, {
  callbacks: {
    onEpochEnd: async (epoch) => {
      if (epoch + 1 === saveAfter) await whole.save(url, { includeOptimizer: true });
    },
  },
});
const resumed = await tf.loadLayersModel(url);
compile(resumed, resumed.optimizer); // metrics are not saved
await fit(resumed, { initialEpoch: saveAfter });
rmSync(fileURLToPath(url), { recursive: true });
const weights = [whole, resumed].map((model) => model.getWeights().map((weight) => weight.dataSync()));
const same = weights[0]!.every((values, i) => values.every((value, j) => value === weights[1]![i]![j]));
console.log(
  `\nResumed after epoch ${saveAfter}: ${percent(accuracy(resumed))}, ${same ? "the same weights, bit for bit" : "other weights"}`,
);
