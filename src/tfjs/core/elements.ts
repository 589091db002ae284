/** Where the elements of a tensor lie, on each backend of TensorFlow.js. */

import * as tf from "@tensorflow/tfjs-core";

/** What we need of TensorFlow.js' wasm backend, without depending on its package. */
interface HeapBackend extends tf.KernelBackend {
  /** A view of the tensor in the backend's own memory. Growing that memory detaches it. */
  typedArrayFromHeap(tensor: tf.TensorInfo): tf.TypedArray;
}

const holderOf = (tensor: tf.Tensor): tf.KernelBackend => tf.engine().state.tensorInfo.get(tensor.dataId)!.backend;
const hasHeap = (backend: tf.KernelBackend): backend is HeapBackend => "typedArrayFromHeap" in backend;

/** The elements now. On cpu and wasm nothing is copied, so read only, and not after the next operation of TensorFlow.js: its heap
 *  may have moved. Elsewhere a copy, for which this waits. */
export const elementsOf = (tensor: tf.Tensor): tf.TypedArray => {
  const backend = holderOf(tensor);
  return hasHeap(backend) ? backend.typedArrayFromHeap(tensor) : tensor.dataSync();
};

/** Whether writing to `elementsOf(tensor)` changes this tensor and nothing else that anyone can see. On cpu it never does: `dataSync`
 *  and `data` hand out the array itself, and what a user read before a step must stay what it was. */
export const canWriteInPlace = (tensor: tf.Tensor): boolean => {
  const backend = holderOf(tensor);
  return hasHeap(backend) && backend.refCount(tensor.dataId) === 1;
};
