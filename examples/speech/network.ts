import * as tf from "@tensorflow/tfjs";
import { dataMatMul, matMul } from "../tfjs-wasm.ts";
import { type Frames, featureCount } from "./features.ts";
import { normal, seeded } from "./random.ts";
import { bins } from "./spectrogram.ts";

const widths = [featureCount, 128, 128, bins];

/** Frames on the backend. Whoever makes it, disposes it. */
export interface Batch {
  readonly features: tf.Tensor2D;
  readonly targets: tf.Tensor2D;
  readonly weights: tf.Tensor2D;
}

export const toBatch = ({ count, features, targets, weights }: Frames): Batch => ({
  features: tf.tensor2d(features, [count, featureCount]),
  targets: tf.tensor2d(targets, [count, bins]),
  weights: tf.tensor2d(weights, [count, bins]),
});

export const disposeBatch = ({ features, targets, weights }: Batch): void => tf.dispose([features, targets, weights]);

/** 645 - 128 - 128 - 129, relu between, sigmoid at the end: from a frame's features to its mask. 115,841 parameters. */
export class Network {
  readonly variables: tf.Variable[] = [];

  /** Equal seeds give equal weights (He et al. 2015), zero biases. */
  constructor(seed: number) {
    const random = seeded(seed);
    for (let layer = 1; layer < widths.length; layer++) {
      const [from, to] = [widths[layer - 1]!, widths[layer]!];
      const kernel = Float32Array.from({ length: from * to }, () => normal(random) * Math.sqrt(2 / from));
      this.variables.push(tf.variable(tf.tensor2d(kernel, [from, to])), tf.variable(tf.zeros([to])));
    }
  }

  /** Gain of every bin in [0, 1], one row per row of `features`. */
  mask(features: tf.Tensor2D): tf.Tensor2D {
    const [kernel1, bias1, kernel2, bias2, kernel3, bias3] = this.variables as tf.Tensor[] as tf.Tensor2D[];
    const hidden1 = tf.relu(dataMatMul(features, kernel1!).add(bias1!)) as tf.Tensor2D;
    const hidden2 = tf.relu(matMul(hidden1, kernel2!).add(bias2!)) as tf.Tensor2D;
    return tf.sigmoid(matMul(hidden2, kernel3!).add(bias3!)) as tf.Tensor2D;
  }

  /** Squared error of a mask, weighted by |Y| with weights of mean 1. */
  loss(mask: tf.Tensor2D, { targets, weights }: Batch): tf.Scalar {
    const errors = tf.squaredDifference(mask, targets);
    return tf.div(tf.sum(tf.mul(errors, weights)), tf.sum(weights)) as tf.Scalar;
  }

  dispose(): void {
    tf.dispose(this.variables);
  }
}
