/** TensorFlow.js with its cpu and wasm backends, as these tests run it. */

import { createRequire } from "node:module";
import { dirname } from "node:path";
import * as tf from "@tensorflow/tfjs";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";

const from = process.env.TFJS_MODULES ? `${process.env.TFJS_MODULES}/` : import.meta.url; // of another release
setWasmPaths(`${dirname(createRequire(from).resolve("@tensorflow/tfjs-backend-wasm"))}/`);

export const backends = ["cpu", "wasm"] as const;

export const use = async (backend: (typeof backends)[number]): Promise<void> => {
  await tf.setBackend(backend);
  await tf.ready();
};

export { tf };
