/** What the programs here train, in Node and in a page: optimizers to compare, and a training that can be broken off and resumed. */

import * as tf from "@tensorflow/tfjs";
import { schedules } from "adamax";
import { Adamax, registerAdamax } from "adamax/tfjs";

export interface Digits {
  /** Brightness from 0 to 255, 784 bytes for each digit. */
  readonly pixels: Uint8Array;
  /** From 0 to 9, one byte for each digit. */
  readonly classes: Uint8Array;
}

export interface Plan {
  readonly training: Digits;
  readonly testing: Digits;
  readonly epochs: number;
  readonly batchSize: number;
  /** A model of 784 inputs and 10 outputs, whose initial weights depend on the seed alone. */
  readonly network: (seed: number) => tf.Sequential;
}

const OPTIMIZERS = {
  "tf.train.adamax": () => tf.train.adamax(0.002),
  "adamax/tfjs, the same": () => new Adamax({ learningRate: 0.002 }),
  "adamax/tfjs, with more": (steps: number) =>
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
export type OptimizerName = keyof typeof OPTIMIZERS;
export const optimizerNames = Object.keys(OPTIMIZERS) as OptimizerName[];

export interface Resumed {
  readonly accuracy: number;
  /** The largest difference between two weights, of the run that was resumed and of the one that never was broken off, in units
   *  in the last place of the largest weight in their tensor. 0: the same bits. */
  readonly ulps: number;
}

/** On the backend that TensorFlow.js uses now. */
export const trainer = ({ training, testing, epochs, batchSize, network }: Plan) => {
  const steps = (epochs * training.classes.length) / batchSize;
  const [known, unknown] = [tensorsOf(training), tensorsOf(testing)];

  const compile = (model: tf.LayersModel, optimizer: tf.Optimizer): tf.LayersModel => {
    model.compile({ optimizer, loss: "categoricalCrossentropy", metrics: ["accuracy"] });
    return model;
  };
  const fit = (model: tf.LayersModel, more: tf.ModelFitArgs = {}) =>
    model.fit(known.images, known.labels, { epochs, batchSize, shuffle: false, verbose: 0, ...more });
  const accuracyOf = async (model: tf.LayersModel): Promise<number> => {
    const scores = model.evaluate(unknown.images, unknown.labels, { batchSize: 1000 }) as tf.Scalar[];
    const [, accuracy] = await Promise.all(scores.map((score) => score.data()));
    tf.dispose(scores);
    return accuracy![0]!;
  };

  /** The accuracy on the digits for testing, from 0 to 1. */
  const train = async (name: OptimizerName, seed: number): Promise<number> => {
    const optimizer = OPTIMIZERS[name](steps);
    const model = compile(network(seed), optimizer);
    await fit(model);
    const accuracy = await accuracyOf(model);
    model.dispose();
    optimizer.dispose();
    return accuracy;
  };

  /** Saved to `url` in the middle of fit, loaded in what might be another process, and trained on: as if nothing had happened. */
  const resume = async (url: string): Promise<Resumed> => {
    registerAdamax();
    const whole = compile(network(1), OPTIMIZERS["adamax/tfjs, with more"](steps));
    await fit(whole, {
      callbacks: {
        onEpochEnd: async (epoch) => {
          if (epoch + 1 === epochs / 2) await whole.save(url, { includeOptimizer: true });
        },
      },
    });
    const resumed = await tf.loadLayersModel(url);
    compile(resumed, resumed.optimizer); // metrics are not saved
    await fit(resumed, { initialEpoch: epochs / 2 });
    const distances = whole.getWeights().map((weight, i) => distance(weight, resumed.getWeights()[i]!));
    return { accuracy: await accuracyOf(resumed), ulps: Math.max(...(await Promise.all(distances))) };
  };

  return { train, resume };
};

export const tensorsOf = ({ pixels, classes }: Digits): { images: tf.Tensor2D; labels: tf.Tensor2D } =>
  tf.tidy(() => ({
    images: tf.tensor2d(
      Float32Array.from(pixels, (pixel) => pixel / 255),
      [classes.length, 784],
    ),
    labels: tf.oneHot(tf.tensor1d(Int32Array.from(classes), "int32"), 10).toFloat() as tf.Tensor2D,
  }));

const distance = async (wanted: tf.Tensor, got: tf.Tensor): Promise<number> => {
  const [a, b] = (await Promise.all([wanted.data(), got.data()])) as Float32Array[];
  const largest = a!.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const ulp = 2 ** (Math.floor(Math.log2(largest)) - 23);
  return a!.reduce((most, value, i) => Math.max(most, Math.abs(value - b![i]!) / ulp), 0);
};
