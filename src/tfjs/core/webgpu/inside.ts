/** TensorFlow.js' webgpu backend from within: whether it is as we know it, the order of its queue, and whose values are in a buffer. */

import * as tf from "@tensorflow/tfjs-core";
import type { Commands } from "../../../backends/webgpu/commands.js";
import { USAGE } from "../../../backends/webgpu/usage.js";
import { BackendError } from "../../../errors.js";
import { lacking, type WebgpuData, type WebgpuKernels } from "../private-members.js";

/** The webgpu backend that TensorFlow.js uses now; or in words what is not as we know it. */
export const lookInside = (): WebgpuKernels | string => {
  const backend = tf.backend() as WebgpuKernels;
  const release = `TensorFlow.js ${tf.version_core}`;
  const missing = lacking("webgpuBackend", backend);
  if (missing.length > 0) return `the webgpu backend of ${release} has no ${missing.join(", ")}`;
  try {
    mostWaiting();
    return holdsBuffers(backend) ? backend : `the webgpu backend of ${release} does not hold a tensor in a buffer of its own`;
  } catch (error) {
    return `a trial of the webgpu backend of ${release} failed: ${(error as Error).message}`;
  }
};

/** From how many dispatches on TensorFlow.js submits. */
const mostWaiting = (): number => tf.env().getNumber("WEBGPU_DEFERRED_SUBMIT_BATCH_SIZE");

/** Tries it with one element. */
const holdsBuffers = (backend: WebgpuKernels): boolean => {
  const { dataId } = backend.makeTensorInfo([1], "float32");
  try {
    backend.uploadToGPU(dataId);
    const data = backend.tensorMap.get(dataId);
    const needed = USAGE.storage | USAGE.copySource | USAGE.copyTarget;
    const { resource, refCount } = data;
    return (
      lacking("webgpuData", data).length === 0 && refCount === 1 && resource?.size === 4 && (resource.usage & needed) === needed
    );
  } finally {
    backend.disposeData(dataId, true);
  }
};

/** @throws BackendError where TensorFlow.js has it no more: the buffers of its tensors are destroyed then. */
export const assertThere = (backend: WebgpuKernels): void => {
  if (isThere(backend)) return;
  throw new BackendError(
    "The webgpu backend of TensorFlow.js that holds these variables was removed, and their data with it",
    "a step, or saving, after tf.removeBackend",
    "Make variables and optimizer anew; a checkpoint resumes them.",
  );
};

/** Does what makes tensors, or assigns them: where TensorFlow.js uses another backend now, that would read ours at once, to bring them there. A backend that
 *  is there is taken before `setBackend` returns. */
export const underBackend = (backend: WebgpuKernels, work: () => void): void => {
  if (tf.backend() === backend) {
    work();
    return;
  }
  const now = tf.getBackend();
  void tf.setBackend("webgpu");
  try {
    work();
  } finally {
    void tf.setBackend(now);
  }
};

/** TensorFlow.js' own encoder: a step goes with what TensorFlow.js encodes before and after it, in this order. */
export class SharedCommands implements Commands {
  readonly waiting = 16;
  /** Of which it is not known whether they were made. */
  #steps = 0;
  #refusal: BackendError | undefined;

  constructor(readonly backend: WebgpuKernels) {
    backend.device.addEventListener("uncapturederror", ({ error: { message } }) => {
      if (this.#steps > 0 && ABOUT_SUBMISSIONS.test(message)) this.#refusal ??= notMade(message);
    });
  }

  assertMade(): void {
    const refusal = this.#refusal;
    if (!refusal) return;
    this.#refusal = undefined;
    this.#steps = 0;
    throw refusal;
  }

  async made(): Promise<void> {
    const steps = this.#steps;
    if (steps === 0) return;
    await new Promise((resolve) => setTimeout(resolve)); // browsers tell of errors after the promises of what came later
    this.assertMade();
    if (this.#steps === steps) this.#steps = 0;
  }

  encoder(): GPUCommandEncoder {
    this.backend.ensureCommandEncoderReady();
    this.backend.endComputePassEncoder();
    return this.backend.commandEncoder!;
  }

  /** TensorFlow.js submits when there are enough dispatches; so do we. */
  encoded(dispatches: number): void {
    this.#steps++;
    this.backend.dispatchCountInPass += dispatches;
    if (this.backend.dispatchCountInPass >= mostWaiting()) this.submit();
  }

  submit(): void {
    if (!this.backend.commandEncoder || !isThere(this.backend)) return;
    this.backend.endComputePassEncoder();
    this.backend.submitQueue();
  }
}

/** In Chromium's words, and in those that other browsers are known to use. */
const ABOUT_SUBMISSIONS = /submit|command ?(buffer|encoder)/i;

const notMade = (message: string): BackendError =>
  new BackendError(
    "The GPU device refused a command of TensorFlow.js, and all that was submitted with it. A step of the optimizer that was among it is not made",
    message,
    "The browser's console may say more (tf.addN of ten tensors binds more buffers than there may be). Load the last checkpoint.",
  );

const isThere = (backend: WebgpuKernels): boolean => tf.findBackend("webgpu") === backend;

/** On the data that we write to: whoever did so last. Other copies of this package see it too. */
const WRITER = Symbol.for("adamax/writer");
type Written = WebgpuData & { [WRITER]?: object };

export const writerOf = (data: WebgpuData): object | undefined => (data as Written)[WRITER];

/** The elements of `data` are about to be written by `writer`. What TensorFlow.js has read of them is old, and from now on it keeps nothing of what it
 *  reads: a reading that began before a step ends after it, and would leave old values for those who read later. */
export const claim = (data: WebgpuData, writer: object): void => {
  if (!(WRITER in data))
    Object.defineProperty(data, "values", { get: () => null, set: () => {}, enumerable: true, configurable: true });
  (data as Written)[WRITER] = writer;
};
