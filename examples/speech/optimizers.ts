import * as tf from "@tensorflow/tfjs";
import { schedules } from "adamax";
import { Adamax } from "adamax/tfjs";
import { ClippedAveraged } from "./clipped-averaged.ts";

/** The same for all; looked for only coarsely, on the validation recordings of one seed. */
export const clipnorm = 0.05;
export const emaMomentum = 0.99;

/** For the denoiser: a rate that falls linearly to a twentieth, and averages that become the weights at the end. */
export const denoiserOptimizer = (steps: number): Adamax =>
  new Adamax({
    learningRate: new schedules.PolynomialDecay({
      initialLearningRate: 0.008,
      endLearningRate: 0.0004,
      decaySteps: steps,
    }),
    clipnorm,
    useEma: true,
    emaMomentum,
  });

/** Something to compare: an optimizer that only lacks its learning rate. */
export interface Contender {
  readonly id: string;
  /** As tables and legends say it. */
  readonly label: string;
  readonly create: (learningRate: number) => tf.Optimizer;
  /** The study's learning rates, from low to high, each twice the one before. */
  readonly rates: readonly number[];
}

const adamaxRates = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016];
const adamRates = [0.000125, 0.00025, ...adamaxRates];
const sgdRates = [0.125, 0.25, 0.5, 1, 2, 4, 8];

/** The five of `npm start`. */
export const contenders: readonly Contender[] = [
  {
    id: "tfjs-adamax",
    label: "TensorFlow.js Adamax",
    create: (learningRate) => tf.train.adamax(learningRate),
    rates: adamaxRates,
  },
  {
    id: "tfjs-adam",
    label: "TensorFlow.js Adam",
    create: (learningRate) => tf.train.adam(learningRate),
    rates: adamRates,
  },
  {
    id: "tfjs-sgd",
    label: "TensorFlow.js SGD",
    create: (learningRate) => tf.train.sgd(learningRate),
    rates: sgdRates,
  },
  {
    id: "adamax",
    label: "Adamax",
    create: (learningRate) => new Adamax({ learningRate }),
    rates: adamaxRates,
  },
  {
    id: "adamax-clipped-averaged",
    label: "Adamax, clipping and averaging",
    create: (learningRate) => new Adamax({ learningRate, clipnorm, useEma: true, emaMomentum }),
    rates: adamaxRates,
  },
];

/** What the study tries beside them. */
export const variants: readonly Contender[] = [
  {
    id: "adamax-clipped",
    label: "Adamax, clipping",
    create: (learningRate) => new Adamax({ learningRate, clipnorm }),
    rates: adamaxRates,
  },
  {
    id: "adamax-averaged",
    label: "Adamax, averaging",
    create: (learningRate) => new Adamax({ learningRate, useEma: true, emaMomentum }),
    rates: adamaxRates,
  },
  {
    id: "handmade-adam",
    label: "TensorFlow.js Adam, clipping and averaging by hand",
    create: (learningRate) => new ClippedAveraged(tf.train.adam(learningRate), clipnorm, emaMomentum),
    rates: adamRates,
  },
  {
    id: "handmade-sgd",
    label: "TensorFlow.js SGD, clipping and averaging by hand",
    create: (learningRate) => new ClippedAveraged(tf.train.sgd(learningRate), clipnorm, emaMomentum),
    rates: sgdRates,
  },
];

type Averaging = tf.Optimizer & { swapAverages(): void };

export const keepsAverages = (optimizer: tf.Optimizer): optimizer is Averaging =>
  "useEma" in optimizer && optimizer.useEma === true;

/** Runs `use` with the averages in place of the weights, if the optimizer keeps averages. */
export function withAverages<T>(optimizer: tf.Optimizer, use: () => T): T {
  if (!keepsAverages(optimizer)) return use();
  optimizer.swapAverages();
  try {
    return use();
  } finally {
    optimizer.swapAverages();
  }
}
