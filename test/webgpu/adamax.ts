/** What the name "adamax" stands for where the semantics suite runs on a GPU device: the core, and in it optimizers that run there. A test that asks
 *  for the interpreter gets it, as what is compared with; a backend that a test has made itself is left as it is. */

import * as core from "../../src/index.js";
import { WebGpuBackend } from "../../src/webgpu/index.js";
import { gpu } from "./gpu.js";

export * from "../../src/index.js";

/** One for a file of tests. */
const backend = await WebGpuBackend.create({ gpu });

const onDevice = <Options extends core.OptimizerOptions>(options: Options): Options => {
  if (typeof options !== "object" || options === null || Symbol.iterator in options) return options; // refused behind the door
  const isOurs = options.backend === "wasm" || (options.backend ?? null) === null;
  return isOurs && options.jitCompile !== false ? { ...options, backend } : options;
};

export class Optimizer<Hyper extends string = never> extends core.Optimizer<Hyper> {
  constructor(options: ConstructorParameters<typeof core.Optimizer<Hyper>>[0] = {}, ...more: never[]) {
    super(onDevice(options), ...more);
  }
}

export class Adamax extends Optimizer<"beta1" | "beta2" | "epsilon"> {
  static override readonly rule = core.Adamax.rule;
}
