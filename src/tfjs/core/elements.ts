/** Where the elements of a tensor lie, on each backend of TensorFlow.js. */

import * as tf from "@tensorflow/tfjs-core";
import { BackendError } from "../../errors.js";
import { isWasm, type WasmKernels } from "./private-members.js";

const holderOf = (tensor: tf.Tensor): tf.KernelBackend => {
  const info = tf.engine().state.tensorInfo.get(tensor.dataId);
  if (info && !(isWasm(info.backend) && info.backend.wasm === null)) return info.backend;
  throw new BackendError(
    "A tensor has no data any more. Received: one that was disposed of, or whose backend was removed. Make variables and optimizer anew; a checkpoint resumes them.",
  );
};

/** The backend in whose heap the elements lie: TensorFlow.js' wasm backend. null elsewhere. */
export const heapOf = (tensor: tf.Tensor): WasmKernels | null => {
  const backend = holderOf(tensor);
  return isWasm(backend) ? backend : null;
};

/** Whether reading a tensor copies it, though its data never changes: on tfjs-node. On a GPU, steps of ours write to the data that a tensor has. */
export const readingCopies = (): boolean => tf.getBackend() === "tensorflow";

/** The elements now. On cpu and wasm nothing is copied, so read only, and not after the next operation of TensorFlow.js: its heap
 *  may have moved. Elsewhere a copy, for which this waits. */
export const elementsOf = (tensor: tf.Tensor, heap = heapOf(tensor)): tf.TypedArray =>
  heap ? heap.typedArrayFromHeap(tensor) : tensor.dataSync();

/** Gives a variable a copy of its value that nobody else has seen, and returns its elements, which may be written. Those of before may not, even where
 *  no other tensor shares them: the kernels of matMul and conv2d keep their weights packed, by the tensor's data, and would go on with the old ones.
 *  May grow the heap, which detaches every view of it. */
export const renewInHeap = (heap: WasmKernels, variable: tf.Variable): tf.TypedArray => {
  const fresh = tf.engine().makeTensorFromTensorInfo(heap.makeOutput(variable.shape, variable.dtype), heap);
  const elements = heap.typedArrayFromHeap(fresh);
  elements.set(heap.typedArrayFromHeap(variable));
  variable.assign(fresh);
  fresh.dispose();
  return elements;
};
