import * as tf from "@tensorflow/tfjs";

/** Something to compare: an optimizer that only lacks its learning rate. */
export interface Contender {
  readonly id: string;
  /** As tables and legends say it. */
  readonly label: string;
  /** Where it can be had. */
  readonly from: "TensorFlow.js" | "adamax";
  readonly create: (learningRate: number) => tf.Optimizer;
  /** The study's learning rates, from low to high. */
  readonly rates: readonly number[];
}

const adaptiveRates = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.016];
const gradientRates = [0.125, 0.25, 0.5, 1, 2, 4];

export const contenders: readonly Contender[] = [
  {
    id: "tfjs-adamax",
    label: "TensorFlow.js Adamax",
    from: "TensorFlow.js",
    create: (learningRate) => tf.train.adamax(learningRate),
    rates: adaptiveRates,
  },
  {
    id: "tfjs-adam",
    label: "TensorFlow.js Adam",
    from: "TensorFlow.js",
    create: (learningRate) => tf.train.adam(learningRate),
    rates: adaptiveRates,
  },
  {
    id: "tfjs-sgd",
    label: "TensorFlow.js SGD",
    from: "TensorFlow.js",
    create: (learningRate) => tf.train.sgd(learningRate),
    rates: gradientRates,
  },
];
