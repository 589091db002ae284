/** Where the elements of a tensor lie, on each backend of TensorFlow.js. */

import * as tf from "@tensorflow/tfjs-core";
import { BackendError } from "../../errors.js";
import { isWasm } from "./private-members.js";

const holderOf = (tensor: tf.Tensor): tf.KernelBackend => {
  const info = tf.engine().state.tensorInfo.get(tensor.dataId);
  if (info) return info.backend;
  throw new BackendError(
    "A tensor has no data any more. Received: one that was disposed of, or whose backend was removed. Make variables and optimizer anew; a checkpoint resumes them.",
  );
};

/** The elements now. On cpu and wasm nothing is copied, so read only, and not after the next operation of TensorFlow.js: its heap
 *  may have moved. Elsewhere a copy, for which this waits. */
export const elementsOf = (tensor: tf.Tensor): tf.TypedArray => {
  const backend = holderOf(tensor);
  return isWasm(backend) ? backend.typedArrayFromHeap(tensor) : tensor.dataSync();
};

/** Gives a variable a copy of its value that nobody else has seen, in the heap of TensorFlow.js' wasm backend, and returns true; elsewhere
 *  false. The copy may be written in place. What was there may not, even where no other tensor shares it: the kernels of matMul and conv2d keep
 *  their weights packed, by the tensor's data, and would go on with the old ones. May grow the heap, which detaches every view of it. */
export const renewInHeap = (variable: tf.Variable): boolean => {
  const backend = holderOf(variable);
  if (!isWasm(backend)) return false;
  const fresh = tf.engine().makeTensorFromTensorInfo(backend.makeOutput(variable.shape, variable.dtype), backend);
  backend.typedArrayFromHeap(fresh).set(backend.typedArrayFromHeap(variable));
  variable.assign(fresh);
  fresh.dispose();
  return true;
};
