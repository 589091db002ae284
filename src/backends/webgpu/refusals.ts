/** What a WebGPU device cannot do, in words. */

import { BackendError, OptionError, show } from "../../errors.js";

/** The lines that follow say in which call. */
const firstLine = (message: string): string => message.split("\n")[0]!.replace(/\.$/, "");

/** What must hold of buffers that are not ours. */
const USABLE = "Pass buffers of backend.device that are neither destroyed nor mapped.";

/** `given`: what was passed as `gpu`. */
export const noWebGpu = (given: unknown): Error =>
  given === undefined
    ? new BackendError(
        "There is no WebGPU here",
        "no navigator.gpu",
        "In Node, install the package webgpu and pass { gpu: create([]) }; a browser needs a secure page (https or localhost); or use the backend wasm.",
      )
    : new OptionError(
        "gpu must have requestAdapter, as navigator.gpu has",
        show(given),
        "In Node, pass create([]) of the package webgpu.",
      );

export const noAdapter = (): BackendError =>
  new BackendError(
    "There is WebGPU here, but no adapter: no GPU, or none with a driver that WebGPU takes",
    "null from requestAdapter",
    "Try a software adapter (Chromium: --enable-unsafe-webgpu --use-webgpu-adapter=swiftshader; Node and Deno: VK_ICD_FILENAMES=, a driver such as SwiftShader's vk_swiftshader_icd.json), or use the backend wasm.",
  );

export const noDevice = ({ message }: Error): BackendError =>
  new BackendError("The GPU adapter gives no device", message, "Close what else uses the GPU, or use the backend wasm.");

export const isLost = ({ reason, message }: GPUDeviceLostInfo): BackendError =>
  new BackendError(
    "The GPU device is lost, and everything in its memory with it",
    `${reason || "an unknown reason"}${message ? `: ${message}` : ""}`,
    "Make a new backend and a new optimizer, and load the last checkpoint.",
  );

/** So many bytes were asked for, beside those in use. */
export const noMemory = (bytes: number, inUse: number, { message }: GPUError): BackendError =>
  new BackendError(
    "The GPU has no memory for the variables, their gradients and their state",
    `a request for ${bytes} bytes, beside ${inUse} in use (${firstLine(message)})`,
    "Train fewer variables, free other memory of the GPU, or use the backend wasm.",
  );

/** `isFull`: there was no memory for the copy. */
export const notRead = (message: string, isFull: boolean): BackendError =>
  new BackendError(
    "The GPU device cannot be read from",
    firstLine(message),
    isFull ? "Free memory of the GPU, and try again." : USABLE,
  );

/** `what` is done with buffers of the caller's. */
export const notDone = (what: string, message: string): BackendError =>
  new BackendError(`The GPU device refuses ${what}`, firstLine(message), USABLE);

/** `why`: of the device. */
export const unwatched = (message: string, why: string): BackendError =>
  new BackendError(
    "The GPU device has refused a command that nobody watched: one of yours on backend.device, or one of adamax",
    `${firstLine(message)} (${why})`,
    "If it is yours, correct it, and go on; what the console says of it shows where it is. Else please report it.",
  );

export const ownFault = (wrong: string, report: string): BackendError =>
  new BackendError(`${wrong}. This is a bug of adamax, not of your program. Please report it, with what follows.\n${report}`);
