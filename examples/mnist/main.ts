/** MNIST in Node, on TensorFlow.js' wasm backend: its own Adamax beside ours, over three seeds, and a run that is resumed in the middle.
 *  `--quick` is the short form that the tests run. For a convolutional network, which that backend cannot train, see browser.ts. */

import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import * as tf from "@tensorflow/tfjs";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import { registerFiles } from "../files.js";
import { digits } from "./data.js";
import { dense } from "./networks.js";
import { printResumed, printTable } from "./table.js";
import { trainer } from "./training.js";

const quick = process.argv.includes("--quick");
const { train, test, epochs, seeds } = quick
  ? { train: 2000, test: 1000, epochs: 2, seeds: [1] }
  : { train: 60_000, test: 10_000, epochs: 4, seeds: [1, 2, 3] };

setWasmPaths(`${dirname(createRequire(import.meta.url).resolve("@tensorflow/tfjs-backend-wasm"))}/`);
await tf.setBackend("wasm");

const training = trainer({
  training: digits("train", train),
  testing: digits("t10k", test),
  epochs,
  batchSize: 100,
  network: dense,
});

console.log(`Accuracy on ${test} digits after ${epochs} epochs over ${train}, on ${tf.getBackend()}:`);
await printTable(seeds, training.train);

registerFiles();
const folder = mkdtempSync(join(tmpdir(), "mnist-"));
printResumed(await training.resume(pathToFileURL(folder).href));
rmSync(folder, { recursive: true });
