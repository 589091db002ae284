/** The page in which webgl and webgpu are measured: sides/chromium.ts opens it. */

import * as tf from "@tensorflow/tfjs";
import "@tensorflow/tfjs-backend-webgpu";
import { startWebgl } from "../examples/browser/webgl.js";
import type { Digits } from "../examples/mnist/training.js";
import type { Model } from "./model.js";
import { type OptimizerName, steps, type Work } from "./tensor-steps.js";
import { fits, type NetworkName } from "./tensor-work.js";

const works: Work[] = [];

/** Returns what the browser calls its graphics adapter. @throws Error where there is none. */
export const start = (backend: "webgl" | "webgpu"): Promise<string> => (backend === "webgl" ? startWebgl() : startWebgpu());

const startWebgpu = async (): Promise<string> => {
  if (!(await tf.setBackend("webgpu").catch(() => false)))
    throw new Error("This browser has no WebGPU adapter. Start one that has: its path goes into the variable CHROMIUM.");
  const { vendor, architecture, description } = (tf.backend() as unknown as { device: GPUDevice }).device.adapterInfo;
  return description || [vendor, architecture].filter(Boolean).join(" ") || "an adapter without a name";
};

/** Both return a number to call the work by. */
export const makeSteps = (model: Model, optimizer: OptimizerName): number => works.push(steps(model, optimizer)) - 1;
export const makeFits = (digits: Digits, network: NetworkName, optimizer: OptimizerName): number =>
  works.push(fits(digits, network, optimizer)) - 1;

/** Nanoseconds until the GPU is done. */
export const run = async (work: number, repeats: number): Promise<number> => {
  const { run, done } = works[work]!;
  const begin = performance.now();
  for (let k = 0; k < repeats; k++) await run();
  await done();
  return (performance.now() - begin) * 1e6;
};

/** Nanoseconds that the calling thread is busy, while nothing else is. */
export const runCalls = async (work: number, repeats: number): Promise<number> => {
  const { run, done } = works[work]!;
  await done();
  const begin = performance.now();
  for (let k = 0; k < repeats; k++) void run();
  const end = performance.now();
  await done();
  return (end - begin) * 1e6;
};

/** What one run asks of a WebGPU device. */
export const countCalls = async (work: number): Promise<{ dispatches: number; copies: number; submissions: number }> => {
  const { run, done } = works[work]!;
  await done();
  const counts = { dispatches: 0, copies: 0, submissions: 0 };
  const counted: [prototype: object, method: string, count: keyof typeof counts][] = [
    [GPUComputePassEncoder.prototype, "dispatchWorkgroups", "dispatches"],
    [GPUCommandEncoder.prototype, "copyBufferToBuffer", "copies"],
    [GPUQueue.prototype, "submit", "submissions"],
  ];
  const restore = counted.map(([prototype, method, count]) => {
    const methods = prototype as Record<string, (...given: unknown[]) => unknown>;
    const original = methods[method]!;
    methods[method] = function (...given) {
      counts[count]++;
      return original.apply(this, given);
    };
    return () => {
      methods[method] = original;
    };
  });
  await run();
  for (const undo of restore) undo();
  return counts;
};

export const dispose = (work: number): void => works[work]!.dispose();
