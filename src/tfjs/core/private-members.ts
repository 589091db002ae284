/** What we use of TensorFlow.js that it does not document, all of it in one list. Another release may name it otherwise, so each part is looked at before
 *  it is first used: what we cannot do without is an error that names it; a backend whose memory we cannot get at is one to which values are copied. */

import * as tf from "@tensorflow/tfjs-core";
import { BackendError } from "../../errors.js";

/** The members, by the object that has them. */
export const PRIVATE_MEMBERS = {
  /** tf.engine(): where the elements of a tensor lie, which variables there are, and tensors made of what a backend wrote. */
  engine: ["state", "registeredVariables", "makeTensor", "makeTensorFromTensorInfo", "startScope", "endScope"],
  engineState: ["tensorInfo"],
  /** tf.findBackend("wasm"): elements in its heap. `wasm` is what Emscripten made. */
  wasmBackend: ["wasm", "typedArrayFromHeap", "makeOutput"],
  emscripten: ["_malloc", "_free"],
  /** tf.findBackend("webgl"): a shader of our own. */
  webglBackend: ["compileAndRun"],
  /** tf.findBackend("webgpu"): its device, what it has not submitted yet, and the buffers of tensors. Seen alike in 4.7 to 4.22. */
  webgpuBackend: [
    ...["device", "tensorMap", "uploadToGPU", "makeTensorInfo", "commandEncoder", "ensureCommandEncoderReady"],
    ...["endComputePassEncoder", "dispatchCountInPass", "submitQueue"],
  ],
  /** What it keeps for a tensor, in `tensorMap`. `values` and `external` too, which need not be there. */
  webgpuData: ["dtype", "resource", "refCount"],
  /** tf.serialization.SerializationMap.getMap(): the classes that a saved model may name. */
  serializationMap: ["classNameMap"],
  /** @tensorflow/tfjs-layers: the list of callbacks of a fit, which we hear of by its setParams. */
  callbackList: [
    "callbacks",
    "setParams",
    "setModel",
    "onTrainBegin",
    "onEpochBegin",
    "onBatchBegin",
    "onBatchEnd",
    "onEpochEnd",
    "onTrainEnd",
  ],
  /** Callbacks made of plain objects keep their methods under other names. */
  customCallback: ["trainBegin"],
  /** What a checkpoint saves of a fit. */
  baseLogger: ["seen", "totals"],
  earlyStopping: ["monitor", "mode", "wait", "stoppedEpoch", "patience"],
  /** A model in a fit. */
  layersModel: ["isTraining", "trainableWeights", "nonTrainableWeights", "optimizer", "history"],
} as const;

export type Part = keyof typeof PRIVATE_MEMBERS;

/** Those that `object` does not have. */
export const lacking = (part: Part, object: object): string[] => PRIVATE_MEMBERS[part].filter((name) => !(name in object));

/** @throws BackendError that names those that `object` does not have. */
export const assertHas = (part: Part, object: object): void => {
  const missing = lacking(part, object);
  if (missing.length === 0) return;
  throw new BackendError(
    "adamax/tfjs needs members of TensorFlow.js that this release does not have",
    `TensorFlow.js ${tf.version_core} without ${missing.join(", ")} (${part})`,
    "Install a release that it is tested with: npm ls @tensorflow/tfjs-core, and the peerDependencies of adamax.",
  );
};

let isChecked = false;

/** What every optimizer needs. Looked at once.
 *  @throws BackendError */
export const assertEngine = (): void => {
  if (isChecked) return;
  assertHas("engine", tf.engine());
  assertHas("engineState", tf.engine().state);
  isChecked = true;
};

/** What Emscripten gives to TensorFlow.js. */
export interface HeapModule {
  _malloc(bytes: number): number;
  _free(pointer: number): void;
  readonly asm?: { readonly memory?: WebAssembly.Memory };
  readonly wasmMemory?: WebAssembly.Memory;
}

/** TensorFlow.js' wasm backend, without depending on its package. */
export interface WasmKernels extends tf.KernelBackend {
  /** null once the backend was removed. */
  readonly wasm: HeapModule | null;
  /** A view of the tensor in the backend's own memory. Growing that memory detaches it. */
  typedArrayFromHeap(tensor: tf.TensorInfo): tf.TypedArray;
  /** A tensor whose elements are not set. */
  makeOutput(shape: number[], dtype: tf.DataType): tf.TensorInfo;
}

/** Those of `wasmBackend`, written out: this is asked for each tensor of a step. */
export const isWasm = (backend: tf.KernelBackend): backend is WasmKernels =>
  "typedArrayFromHeap" in backend && "makeOutput" in backend && "wasm" in backend;

/** A shader as TensorFlow.js takes it. It compiles it for each shape, and keeps what it compiled. */
export interface ShaderProgram {
  readonly variableNames: string[];
  readonly customUniforms: { readonly name: string; readonly type: "float" }[];
  readonly outputShape: number[];
  readonly packedInputs: true;
  readonly packedOutput: true;
  readonly userCode: string;
}

/** TensorFlow.js' webgl backend, without depending on its package. */
export interface WebglKernels extends tf.KernelBackend {
  compileAndRun(program: ShaderProgram, inputs: tf.TensorInfo[], dtype: tf.DataType, uniforms: number[][]): tf.TensorInfo;
}

/** TensorFlow.js' webgpu backend, without depending on its package. */
export interface WebgpuKernels extends tf.KernelBackend {
  readonly device: GPUDevice;
  /** By data id. Asked for one that lies on another backend, it is brought here. */
  readonly tensorMap: { get(dataId: object): WebgpuData };
  /** Commands that are not submitted; null where there are none. */
  readonly commandEncoder: GPUCommandEncoder | null;
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  /** How many are in the encoder. */
  dispatchCountInPass: number;
  submitQueue(): void;
  /** Afterwards there is a `resource`. */
  uploadToGPU(dataId: object): void;
  makeTensorInfo(shape: number[], dtype: tf.DataType): tf.TensorInfo;
}

export interface WebgpuData {
  /** What the elements are. The tensor may say otherwise: a cast from int32 to float32 leaves them as they are. */
  readonly dtype: tf.DataType;
  /** On the CPU: what nobody has uploaded yet, or what has been read. */
  values?: tf.TypedArray | null;
  /** The elements, from its first byte on. */
  resource?: GPUBuffer | null;
  /** Tensors that share the data. */
  refCount: number;
  /** The buffer is the user's. */
  readonly external?: boolean;
}

/** TensorFlow.js' own callback that sums up over the batches of an epoch. */
export interface BaseLogger {
  seen: number;
  totals: Record<string, number | tf.Scalar>;
}

/** Of TensorFlow.js' EarlyStopping; `best` is there once a fit has begun. */
export interface EarlyStoppingState {
  monitor: string;
  mode: string;
  best: number;
  wait: number;
  stoppedEpoch: number;
  patience: number;
}
