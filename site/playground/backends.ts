/** TensorFlow.js in a worker of the page, on the backend that the visitor chose, with its own files from this site. */

import * as tf from "@tensorflow/tfjs";
import { setThreadsCount, setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import plainWasm from "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm?url";
import simdWasm from "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url";
import threadedWasm from "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-threaded-simd.wasm?url";
import "@tensorflow/tfjs-backend-webgpu";

export type BackendName = "wasm" | "webgl" | "webgpu" | "cpu";

/** @throws Error where this device has no such backend. */
export const useBackend = async (name: BackendName, threads: boolean): Promise<void> => {
  setWasmPaths({
    "tfjs-backend-wasm.wasm": plainWasm,
    "tfjs-backend-wasm-simd.wasm": simdWasm,
    "tfjs-backend-wasm-threaded-simd.wasm": threadedWasm,
  });
  if (!threads) tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
  else setThreadsCount(Math.max(1, Math.min(8, navigator.hardwareConcurrency ?? 1)));
  const isThere = await tf.setBackend(name).catch(() => false);
  if (!isThere) throw new Error(`TensorFlow.js has no ${name} backend on this device. Choose another one.`);
  await tf.ready();
};
