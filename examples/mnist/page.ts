/** The page that browser.ts opens: a convolutional network on TensorFlow.js' webgl backend. */

import { startWebgl } from "../browser/webgl.js";
import { convolutional } from "./networks.js";
import { type OptimizerName, type Plan, type Resumed, trainer } from "./training.js";

let training: ReturnType<typeof trainer>;

/** Returns what the browser calls its graphics adapter. @throws Error where there is no WebGL. */
export const prepare = async (plan: Omit<Plan, "network">): Promise<string> => {
  const adapter = await startWebgl();
  training = trainer({ ...plan, network: convolutional });
  return adapter;
};

export const train = (name: OptimizerName, seed: number): Promise<number> => training.train(name, seed);

export const resume = (): Promise<Resumed> => training.resume("indexeddb://mnist");
