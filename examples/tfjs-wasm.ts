/** What a program needs to train dense layers on TensorFlow.js' wasm backend. */

import * as tf from "@tensorflow/tfjs";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";

/** Makes TensorFlow.js compute on WebAssembly, from the files of the installed package. */
export async function useWasm(): Promise<void> {
  const [{ dirname }, { fileURLToPath }] = await Promise.all([import("node:path"), import("node:url")]); // pages use the products below
  setWasmPaths(`${dirname(fileURLToPath(import.meta.resolve("@tensorflow/tfjs-backend-wasm")))}/`);
  await tf.setBackend("wasm");
  await tf.ready();
}

/** a · b with a gradient that transposes first. TensorFlow.js' own multiplies by a transposed matrix instead, which is
 *  ten times slower on its wasm backend. */
export const matMul = tf.customGrad((a, b, save) => {
  const [left, right] = [a as tf.Tensor2D, b as tf.Tensor2D];
  (save as tf.GradSaveFunc)([left, right]);
  return {
    value: tf.matMul(left, right),
    gradFunc: (dy: tf.Tensor, [a, b]: tf.Tensor[]) => [tf.matMul(dy, tf.transpose(b!)), tf.matMul(tf.transpose(a!), dy)],
  };
}) as (a: tf.Tensor2D, b: tf.Tensor2D) => tf.Tensor2D;

/** The same for an `a` that is data and needs no gradient: a third of the work of the first layer saved. */
export const dataMatMul = (a: tf.Tensor2D, b: tf.Tensor2D): tf.Tensor2D =>
  tf.customGrad((b, save) => {
    (save as tf.GradSaveFunc)([a]); // what the gradient reads must be saved, captured or not
    return {
      value: tf.matMul(a, b as tf.Tensor2D),
      gradFunc: (dy: tf.Tensor, [a]: tf.Tensor[]) => tf.matMul(tf.transpose(a!), dy),
    };
  })(b) as tf.Tensor2D;
