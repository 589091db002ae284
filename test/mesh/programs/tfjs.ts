/** A model of TensorFlow.js, trained on each rank's part of the data: `tfjs BACKEND UNITS`, state in shares where UNITS are many. Alone, on all of it. */

import * as tf from "@tensorflow/tfjs";
import { createMesh } from "adamax/mesh";
import { Adamax } from "adamax/tfjs";
import "@tensorflow/tfjs-backend-wasm";
import { report } from "../report.js";

const [backend = "cpu", units = "8"] = process.argv.slice(2);
console.warn = () => {};
await tf.setBackend(backend);
const mesh = await createMesh([["batch", -1]], { timeout: 60_000, shardState: Number(units) > 8 });
const { rank, size } = mesh;

/** Batches of 7 and, at the end, of 3: of each, every rank has a part that is not as long as the others'. */
const EXAMPLES = 38;
const BATCH = 7;
const xs = tf.randomNormal([EXAMPLES, 5], 0, 1, "float32", 1);
const ys = tf.tidy(() => tf.matMul(xs, tf.randomNormal([5, 2], 0, 1, "float32", 2)));
const partOf = (begin: number) => {
  const count = Math.min(BATCH, EXAMPLES - begin);
  const [from, to] = [rank, rank + 1].map((r) => begin + Math.floor((count * r) / size)) as [number, number];
  return { xs: xs.slice([from, 0], [to - from, 5]), ys: ys.slice([from, 0], [to - from, 2]) };
};
const data = tf.data.generator(function* () {
  for (let begin = 0; begin < EXAMPLES; begin += BATCH) yield partOf(begin);
} as never);

const model = tf.sequential({
  layers: [
    tf.layers.dense({
      units: Number(units),
      activation: "tanh",
      inputShape: [5],
      kernelInitializer: tf.initializers.glorotNormal({ seed: 10 + rank }),
    }),
    tf.layers.dense({
      units: 2,
      kernelInitializer: tf.initializers.glorotNormal({ seed: 20 + rank }),
      kernelConstraint: "maxNorm",
    }),
  ],
});
const optimizer = new Adamax({ mesh, learningRate: 0.01, globalClipnorm: 1, useEma: true, emaMomentum: 0.9 });
model.compile({ optimizer, loss: "meanSquaredError" });
await model.fitDataset(data as never, { epochs: 3, verbose: 0 });
const weights = model.getWeights().flatMap((weight) => [...weight.dataSync()]);
const { iterations } = optimizer;

// Early stopping by the loss, which is another one on each rank's part.
const callbacks = tf.callbacks.earlyStopping({ monitor: "loss", minDelta: 0.02 });
const { history } = await model.fitDataset(data as never, { epochs: 40, verbose: 0, callbacks });

// What is thrown on one rank alone, in the loss and before the step. All go on.
const refused: string[] = [];
const x = tf.variable(tf.scalar(1), true, "x");
const attempt = (work: () => unknown): void => {
  try {
    work();
  } catch (error) {
    refused.push(`${error}`);
  }
};
if (size > 1) {
  const other = new Adamax({ mesh });
  const right = () => other.minimize(() => tf.tidy(() => x.square() as tf.Scalar), false, [x]);
  const throws = () => {
    throw new RangeError("the loss of one rank");
  };
  right();
  attempt(() => (rank === 1 ? other.minimize(throws) : right()));
  attempt(() => (rank === 1 ? other.applyGradients({ nothing: tf.scalar(1) }) : right()));
  right();
  refused.push(`${other.iterations} updates`);
}
// Metrics of one list in another order, and of two lists. All go on.
const measured = async (metrics: string[]) => {
  const line = tf.sequential({ layers: [tf.layers.dense({ units: 2, inputShape: [5] })] });
  line.compile({ optimizer: new Adamax({ mesh }), loss: "meanSquaredError", metrics });
  const { history } = await line.fit(xs, ys, { epochs: 1, verbose: 0 });
  return [history.mse, history.mae];
};
const isOdd = rank === 1;
const metrics = await measured(isOdd ? ["mae", "mse"] : ["mse", "mae"]);
const others = await measured(isOdd ? ["mae"] : ["mse"]).catch((error) => `${error}`);
report(rank, { metrics, others, weights, iterations, why: optimizer.backend.why, losses: history.loss, refused });
