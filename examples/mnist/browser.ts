/** MNIST in Chromium, on TensorFlow.js' webgl backend: a convolutional network with its own Adamax and with ours, over three seeds, and a run
 *  that is resumed in the middle. `--quick` is the short form that the tests run. */

import { fileURLToPath } from "node:url";
import { openPage } from "../browser/open-page.js";
import { digits } from "./data.js";
import { printResumed, printTable } from "./table.js";

const quick = process.argv.includes("--quick");
const { train, test, epochs, batchSize, seeds } = quick
  ? { train: 500, test: 500, epochs: 2, batchSize: 25, seeds: [1] }
  : { train: 5000, test: 5000, epochs: 2, batchSize: 50, seeds: [1, 2, 3] };

const page = await openPage<typeof import("./page.js")>(fileURLToPath(new URL("page.ts", import.meta.url)));
const plan = { training: digits("train", train), testing: digits("t10k", test), epochs, batchSize };
const adapter = await page.call("prepare", plan);
console.log(`Accuracy on ${test} digits after ${epochs} epochs over ${train}, on webgl (${adapter}):`);
await printTable(seeds, (name, seed) => page.call("train", name, seed));
printResumed(await page.call("resume"));
await page.close();
