/** Trains while it reports to standard error: `written-progress.ts bar|lines|auto`. Prints how many epochs it trained. */

import { Adamax, fit, type ProgressKind, Variable } from "adamax";

const w = new Variable(Float32Array.of(0));
const { epochs } = await fit({
  optimizer: new Adamax(),
  data: [1, 2, 3],
  loss: async () => {
    await new Promise((resolve) => setTimeout(resolve, 60)); // the bar is drawn every 100 ms
    return { loss: 1, gradients: [[Float32Array.of(1), w]] };
  },
  epochs: 3,
  progress: process.argv[2] as ProgressKind,
});
await new Promise((resolve) => setTimeout(resolve, 50)); // what could not be written is told later
console.log(epochs.length);
