/** How many times faster than tf.train.adamax a step is on tfjs-node: `node test/engines/tfjs-node/bench.mjs`, after its tests were run once. Medians of
 *  pairs that alternate, with their quartiles. */

import * as tf from "@tensorflow/tfjs-node";
import { Adamax } from "adamax/tfjs";

const MODELS = [
  { tensors: 10, size: 100 },
  { tensors: 100, size: 100 },
  { tensors: 10, size: 100_000 },
  { tensors: 100, size: 10_000 },
  { tensors: 1, size: 1_000_000 },
];
const PAIRS = 15;
/** Milliseconds that one side of a pair takes at least. */
const LEAST = 40;

/** Steps with gradients that an operation made. Before each, another one uses every value, as a forward pass would. */
const stepsOf = (make, { tensors, size }) => {
  const optimizer = make();
  const variables = Array.from({ length: tensors }, () => tf.variable(tf.randomUniform([size])));
  const gradients = variables.map(({ name }) => ({ name, tensor: tf.randomUniform([size], -1, 1).mul(1) }));
  const step = () => {
    tf.dispose(variables.map((variable) => variable.slice([0], [1])));
    const begin = performance.now();
    optimizer.applyGradients(gradients);
    return performance.now() - begin;
  };
  const dispose = () => {
    optimizer.dispose();
    tf.dispose([...variables, ...gradients.map(({ tensor }) => tensor)]);
  };
  return { step, dispose };
};

const quartiles = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  return [0.25, 0.5, 0.75].map((part) => sorted[Math.floor((sorted.length - 1) * part)]);
};

for (const model of MODELS) {
  const sides = [() => tf.train.adamax(0.001), () => new Adamax()].map((make) => stepsOf(make, model));
  const times = sides.map(() => []);
  for (let pair = -2; pair < PAIRS; pair++)
    for (const [i, { step }] of sides.entries()) {
      let [sum, steps] = [0, 0];
      for (; sum < LEAST; steps++) sum += step();
      if (pair >= 0) times[i].push(sum / steps);
    }
  const [low, median, high] = quartiles(times[0].map((theirs, i) => theirs / times[1][i])).map((ratio) => ratio.toPrecision(2));
  const [theirs, ours] = times.map((side) => quartiles(side)[1].toPrecision(3));
  console.log(`${model.tensors} x ${model.size}: ${theirs} ms and ${ours} ms, ${median} times faster (${low} to ${high})`);
  for (const { dispose } of sides) dispose();
}
