import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import * as tf from "@tensorflow/tfjs";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import { type Frames, featureCount } from "./features.ts";
import { normal, seeded } from "./random.ts";
import { bins } from "./spectrogram.ts";

const widths = [featureCount, 128, 128, bins];

/** Makes TensorFlow.js compute on WebAssembly, from the files of the installed package. */
export async function useWasm(): Promise<void> {
  setWasmPaths(`${dirname(fileURLToPath(import.meta.resolve("@tensorflow/tfjs-backend-wasm")))}/`);
  await tf.setBackend("wasm");
  await tf.ready();
}

/** a · b with a gradient that transposes first. TensorFlow.js' own multiplies by a transposed matrix instead, which is
 *  ten times slower on its wasm backend. */
export const matMul = tf.customGrad((a, b, save) => {
  const [left, right] = [a as tf.Tensor2D, b as tf.Tensor2D];
  (save as tf.GradSaveFunc)([left, right]);
  return {
    value: tf.matMul(left, right),
    gradFunc: (dy: tf.Tensor, [a, b]: tf.Tensor[]) => [tf.matMul(dy, tf.transpose(b!)), tf.matMul(tf.transpose(a!), dy)],
  };
}) as (a: tf.Tensor2D, b: tf.Tensor2D) => tf.Tensor2D;

/** The same for an `a` that is data and needs no gradient: a third of the work of the first layer saved. */
export const dataMatMul = (a: tf.Tensor2D, b: tf.Tensor2D): tf.Tensor2D =>
  tf.customGrad((b, save) => {
    (save as tf.GradSaveFunc)([a]); // what the gradient reads must be saved, captured or not
    return {
      value: tf.matMul(a, b as tf.Tensor2D),
      gradFunc: (dy: tf.Tensor, [a]: tf.Tensor[]) => tf.matMul(tf.transpose(a!), dy),
    };
  })(b) as tf.Tensor2D;

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
