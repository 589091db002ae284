/** tf.Optimizers in this process, on TensorFlow.js' cpu and wasm backends. */

import * as tf from "@tensorflow/tfjs";
import "@tensorflow/tfjs-backend-wasm";
import { inProcess, inProcessAsync, type Side } from "../measure.js";
import type { Model } from "../model.js";
import { type OptimizerName, steps, THEIRS, type Work } from "../tensor-steps.js";

export type TensorFlowBackend = "cpu" | "wasm";
export const tensorFlowVersion: string = tf.version.tfjs;

/** The step alone. Both backends compute when called, not later, so a step that has returned is a step that is done. */
export const tensorFlow = async (
  name: string,
  backend: TensorFlowBackend,
  model: Model,
  optimizer: OptimizerName = THEIRS,
): Promise<Side> => {
  await tf.setBackend(backend);
  const { run, dispose } = steps(model, optimizer);
  return on(backend, inProcess(name, run, dispose));
};

/** Work that must be waited for. */
export const tensorFlowAsync = async (name: string, backend: TensorFlowBackend, make: () => Work): Promise<Side> => {
  await tf.setBackend(backend);
  const { run, dispose } = make();
  return on(
    backend,
    inProcessAsync(name, async () => run(), dispose),
  );
};

const on = (backend: TensorFlowBackend, side: Side): Side => ({
  ...side,
  run: async (repeats) => {
    await tf.setBackend(backend);
    return side.run(repeats);
  },
});
