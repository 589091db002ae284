/** TensorFlow.js with its cpu and wasm backends, as these tests run it. */

import { createRequire } from "node:module";
import { dirname } from "node:path";
import * as tf from "@tensorflow/tfjs";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";

const from = process.env.TFJS_MODULES ? `${process.env.TFJS_MODULES}/` : import.meta.url; // of another release
const require = createRequire(from);
setWasmPaths(`${dirname(require.resolve("@tensorflow/tfjs-backend-wasm"))}/`);

type Name = "cpu" | "wasm" | "tensorflow";
export const isOnTfjsNode = process.env.ADAMAX_ENGINE === "tfjs-node";
if (isOnTfjsNode) require("@tensorflow/tfjs-node");

export const backends: readonly Name[] = isOnTfjsNode ? ["tensorflow"] : ["cpu", "wasm"];
/** The one for tests that could run on any. */
export const usual = backends[0]!;

export const use = async (backend: Name): Promise<void> => {
  await tf.setBackend(backend);
  await tf.ready();
};

export { tf };
