/** A small network that learns which of three spirals a point is on, with gradients written by hand. */

import { Adamax, earlyStopping, fit, Variable } from "adamax";

let state = 2024;
const random = () => {
  state = (state * 48271) % 2147483647; // the same points in every run
  return state / 2147483647;
};
const normal = () => Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());

const sample = () => {
  const [spiral, radius] = [Math.floor(3 * random()), random()];
  const angle = 5 * radius + (2 * Math.PI * spiral) / 3 + 0.3 * normal();
  return { x: radius * Math.cos(angle), y: radius * Math.sin(angle), spiral };
};
type Sample = ReturnType<typeof sample>;
const samples = (count: number) => Array.from({ length: count }, sample);

const hidden = 32;
const normals = (length: number, scale: number) => Float32Array.from({ length }, () => scale * normal());
const kernel = new Variable(normals(hidden * 2, 2), { shape: [hidden, 2], name: "hidden/kernel" });
const bias = new Variable(normals(hidden, 1), { name: "hidden/bias" });
const readout = new Variable(normals(3 * hidden, 0.1), { shape: [3, hidden], name: "readout/kernel" });
const variables = [kernel, bias, readout];

/** The probabilities of the three spirals, and the activations that they are made of. */
const predict = ({ x, y }: Sample) => {
  const [k, b, r] = [kernel.value, bias.value, readout.value];
  const active = Array.from({ length: hidden }, (_, h) => Math.tanh(k[2 * h]! * x + k[2 * h + 1]! * y + b[h]!));
  const odds = [0, 1, 2].map((c) => Math.exp(active.reduce((sum, a, h) => sum + r[c * hidden + h]! * a, 0)));
  const total = odds.reduce((sum, value) => sum + value);
  return { active, probabilities: odds.map((value) => value / total) };
};

const crossEntropy = (batch: Sample[]) =>
  batch.reduce((sum, sample) => sum - Math.log(predict(sample).probabilities[sample.spiral]!), 0) / batch.length;

/** The mean cross-entropy of a batch and its gradients: back through the softmax, the readout and the tanh. */
const loss = (batch: Sample[]) => {
  const [k, b, r] = [kernel.gradient.fill(0), bias.gradient.fill(0), readout.gradient.fill(0)];
  const weights = readout.value;
  for (const sample of batch) {
    const { active, probabilities } = predict(sample);
    const errors = probabilities.map((p, c) => (p - Number(c === sample.spiral)) / batch.length);
    for (const [h, a] of active.entries()) {
      const back = (1 - a * a) * errors.reduce((sum, error, c) => sum + error * weights[c * hidden + h]!, 0);
      for (const [c, error] of errors.entries()) r[c * hidden + h]! += error * a;
      k[2 * h]! += back * sample.x;
      k[2 * h + 1]! += back * sample.y;
      b[h]! += back;
    }
  }
  return { loss: crossEntropy(batch), gradients: variables.map((variable) => [variable.gradient, variable] as const) };
};

const history = await fit({
  optimizer: new Adamax({ learningRate: 0.05, useEma: true }),
  data: Array.from({ length: 50 }, () => samples(32)),
  loss,
  epochs: 200,
  validation: { data: [samples(500)], loss: crossEntropy }, // on the averaged weights
  callbacks: [earlyStopping({ patience: 5, restoreBestWeights: true })],
});

const fresh = samples(1000);
const right = fresh.filter((sample) => predict(sample).probabilities[sample.spiral]! > 0.5).length;
console.log(`${history.epochs.length} epochs; ${right} of ${fresh.length} new points recognized`);
