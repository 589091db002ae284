/** What is trained and how, in numbers: recipe.json, which keras.py reads too. */

import { readFileSync } from "node:fs";

/** How much is trained. */
interface Length {
  readonly digits: number;
  readonly testDigits: number;
  readonly epochs: number;
  /** Steps in which the rate rises from 0. */
  readonly warmupSteps: number;
  readonly emaMomentum: number;
  readonly seeds: readonly number[];
}

interface Recipe {
  readonly network: { readonly hidden: number; readonly latent: number };
  readonly optimizer: {
    readonly learningRate: number;
    /** Share of the rate that is left at the end. */
    readonly lastShare: number;
    readonly weightDecay: number;
    readonly globalClipnorm: number;
  };
  /** Over all ranks. */
  readonly batchSize: number;
  readonly full: Length;
  readonly quick: Length;
}

export type Plan = Omit<Recipe, "full" | "quick"> & Length;

export const readPlan = (length: "full" | "quick"): Plan => {
  const { full, quick, ...recipe } = JSON.parse(readFileSync(new URL("recipe.json", import.meta.url), "utf8")) as Recipe;
  return { ...recipe, ...{ full, quick }[length] };
};
