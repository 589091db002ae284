/** What the name "adamax" stands for where the semantics suite runs on far memory: the core, and in it optimizers that run on a far backend. A test
 *  that names "wasm" or "interpreter" gets that one, far away; a backend that a test has made itself is left as it is. */

import * as core from "../../src/index.js";
import { FarBackend } from "./backend.js";
import type { Kind } from "./messages.js";

export * from "../../src/index.js";

/** One thread of each kind for a file of tests, as a thread takes long to start. */
const backends = new Map<Kind, FarBackend>();
const backendOf = (kind: Kind): FarBackend => {
  const backend = backends.get(kind) ?? new FarBackend(kind);
  backends.set(kind, backend);
  return backend;
};

const withFar = <Options extends core.OptimizerOptions>(options: Options): Options => {
  if (typeof options !== "object" || options === null || Symbol.iterator in options) return options; // refused behind the door
  const { jitCompile, backend = null } = options;
  const kind = backend ?? (jitCompile === false ? "interpreter" : "wasm");
  const isNamed = kind === "interpreter" || (kind === "wasm" && jitCompile !== false);
  return isNamed ? { ...options, backend: backendOf(kind) } : options;
};

export class Optimizer<Hyper extends string = never> extends core.Optimizer<Hyper> {
  constructor(options: ConstructorParameters<typeof core.Optimizer<Hyper>>[0] = {}, ...more: never[]) {
    super(withFar(options), ...more);
  }
}

export class Adamax extends Optimizer<"beta1" | "beta2" | "epsilon"> {
  static override readonly rule = core.Adamax.rule;
}
