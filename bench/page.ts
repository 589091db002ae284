/** The page in which webgl is measured: sides/chromium.ts opens it. */

import { startWebgl } from "../examples/browser/webgl.js";
import type { Digits } from "../examples/mnist/training.js";
import type { Model } from "./model.js";
import { fits, type NetworkName, type OptimizerName, steps, type Work } from "./tensor-work.js";

const works: Work[] = [];

/** Returns what the browser calls its graphics adapter. @throws Error where there is no WebGL. */
export const start = (): Promise<string> => startWebgl();

/** Both return a number to call the work by. */
export const makeSteps = (model: Model, optimizer: OptimizerName): number => works.push(steps(model, optimizer)) - 1;
export const makeFits = (digits: Digits, network: NetworkName, optimizer: OptimizerName): number =>
  works.push(fits(digits, network, optimizer)) - 1;

/** Nanoseconds until the GPU is done. */
export const run = async (work: number, repeats: number): Promise<number> => {
  const { run, done } = works[work]!;
  const begin = performance.now();
  for (let k = 0; k < repeats; k++) await run();
  await done();
  return (performance.now() - begin) * 1e6;
};

export const dispose = (work: number): void => works[work]!.dispose();
