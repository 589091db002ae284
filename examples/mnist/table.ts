/** What the programs here print. */

import { type OptimizerName, optimizerNames, type Resumed } from "./training.js";

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

/** One line for each optimizer, as soon as it is known. */
export const printTable = async (
  seeds: readonly number[],
  train: (name: OptimizerName, seed: number) => Promise<number>,
): Promise<void> => {
  console.log(
    `\n| optimizer | ${seeds.map((seed) => `seed ${seed}`).join(" | ")} | mean |\n|---|${"---|".repeat(seeds.length + 1)}`,
  );
  for (const name of optimizerNames) {
    const reached: number[] = [];
    for (const seed of seeds) reached.push(await train(name, seed));
    const mean = reached.reduce((a, b) => a + b) / reached.length;
    console.log(`| ${name} | ${[...reached, mean].map(percent).join(" | ")} |`);
  }
};

export const printResumed = ({ accuracy, ulps }: Resumed): void => {
  const weights =
    ulps === 0
      ? "the same weights, bit for bit"
      : `weights that differ by at most ${ulps} units in the last place of the largest in their tensor`;
  console.log(`\nSaved in the middle, loaded and trained on: ${percent(accuracy)}, ${weights}`);
};
