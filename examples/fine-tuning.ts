/** Fine-tuning with TensorFlow.js: a network that knows one signal learns another one from a few points. First its new last layer
 *  alone, then, in the same run and with the same optimizer, all of it, the old layers at a tenth of the rate. */

import * as tf from "@tensorflow/tfjs";
import { Adamax } from "adamax/tfjs";

const quick = process.argv.includes("--quick");
await tf.setBackend("cpu"); // for so small a network the fastest

const known = (x: number) => Math.sin(6 * x);
const wanted = (x: number) => 0.8 * Math.sin(6 * x + 0.4) + 0.3 * x;
const points = (signal: (x: number) => number, count: number) => {
  const x = Array.from({ length: count }, (_, i) => (2 * i) / (count - 1) - 1);
  return { xs: tf.tensor2d(x, [count, 1]), ys: tf.tensor2d(x.map(signal), [count, 1]) };
};
const seeded = (seed: number) => tf.initializers.glorotUniform({ seed });
const dense = (name: string, seed: number, inputShape?: [number]) =>
  tf.layers.dense({
    name,
    units: 24,
    activation: "tanh",
    kernelInitializer: seeded(seed),
    ...(inputShape ? { inputShape } : {}),
  });
const head = (name: string, seed: number) => tf.layers.dense({ name, units: 1, kernelInitializer: seeded(seed) });

const train = async (model: tf.LayersModel, { xs, ys }: ReturnType<typeof points>, epochs: number) =>
  model.fit(xs, ys, { epochs, batchSize: 32, shuffle: false, verbose: 0 });
const loss = "meanSquaredError";

// A network trained on plenty of the known signal.
const body = [dense("body1", 1, [1]), dense("body2", 2)];
const old = tf.sequential({ layers: [...body, head("old", 3)] });
old.compile({ loss, optimizer: new Adamax({ learningRate: 0.01 }) });
await train(old, points(known, 256), quick ? 60 : 300);

// Its body, with a new head, and a few points of the wanted signal.
const few = points(wanted, 24);
const test = points(wanted, 500);
const model = tf.sequential({ layers: [...body, head("new", 4)] });
const optimizer = new Adamax({ learningRate: 0.01, groups: [{ names: ["^body"], learningRateMultiplier: 0.1 }] });
const kernel = () => body[0]!.getWeights()[0]!.dataSync();
const show = (what: string) => {
  const error = (model.evaluate(test.xs, test.ys) as tf.Scalar).dataSync()[0]!;
  console.log(`${what.padEnd(24)} error ${error.toFixed(5)}, ${optimizer.iterations} updates`);
};

const freeze = (frozen: boolean) => {
  for (const layer of body) layer.trainable = !frozen;
  model.compile({ loss, optimizer }); // the same optimizer: its step count and its state go on
};

freeze(true);
show("new head, untrained");
const before = kernel();
await train(model, few, quick ? 200 : 600);
show("body frozen");
console.log(`the body has ${kernel().some((value, i) => value !== before[i]) ? "moved" : "not moved"}`);

freeze(false);
await train(model, few, quick ? 400 : 1200);
show("all of it");
