/** Where the elements of a tensor lie, on each backend of TensorFlow.js. */

import * as tf from "@tensorflow/tfjs-core";
import { BackendError } from "../../errors.js";

/** What we need of TensorFlow.js' wasm backend, without depending on its package. */
interface HeapBackend extends tf.KernelBackend {
  /** A view of the tensor in the backend's own memory. Growing that memory detaches it. */
  typedArrayFromHeap(tensor: tf.TensorInfo): tf.TypedArray;
  /** A tensor whose elements are not set. */
  makeOutput(shape: number[], dtype: tf.DataType): tf.TensorInfo;
}

const holderOf = (tensor: tf.Tensor): tf.KernelBackend => {
  const info = tf.engine().state.tensorInfo.get(tensor.dataId);
  if (info) return info.backend;
  throw new BackendError(
    "A tensor has no data any more. Received: one that was disposed of, or whose backend was removed. Make variables and optimizer anew; a checkpoint resumes them.",
  );
};
const hasHeap = (backend: tf.KernelBackend): backend is HeapBackend => "typedArrayFromHeap" in backend;

/** The elements now. On cpu and wasm nothing is copied, so read only, and not after the next operation of TensorFlow.js: its heap
 *  may have moved. Elsewhere a copy, for which this waits. */
export const elementsOf = (tensor: tf.Tensor): tf.TypedArray => {
  const backend = holderOf(tensor);
  return hasHeap(backend) ? backend.typedArrayFromHeap(tensor) : tensor.dataSync();
};

/** Gives a variable a copy of its value that nobody else has seen, in the heap of TensorFlow.js' wasm backend, and returns true; elsewhere
 *  false. The copy may be written in place. What was there may not, even where no other tensor shares it: the kernels of matMul and conv2d keep
 *  their weights packed, by the tensor's data, and would go on with the old ones. May grow the heap, which detaches every view of it. */
export const renewInHeap = (variable: tf.Variable): boolean => {
  const backend = holderOf(variable);
  if (!hasHeap(backend)) return false;
  const fresh = tf.engine().makeTensorFromTensorInfo(backend.makeOutput(variable.shape, variable.dtype), backend);
  backend.typedArrayFromHeap(fresh).set(backend.typedArrayFromHeap(variable));
  variable.assign(fresh);
  fresh.dispose();
  return true;
};
