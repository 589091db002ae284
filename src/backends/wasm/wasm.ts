/** The WebAssembly backend: compiled passes over memory of its own. */

import { BackendError } from "../../errors.js";
import type { Program } from "../../rule/program.js";
import type { Engine, Memory, RunJobs } from "../cpu/memory.js";
import { CpuBackend } from "../cpu/step.js";
import { compileModule } from "./compiler.js";

const PAGE = 65536;

export class WasmBackend extends CpuBackend {
  constructor() {
    super({ name: "wasm", why: "WebAssembly SIMD, the fastest backend for values in main memory", maxBytes: 65536 * PAGE, allocate, compile } satisfies Engine);
  }

  /** Why this machine cannot run the WebAssembly backend, or null when it can. */
  static refusal(): string | null {
    if (typeof WebAssembly !== "object") return "this JavaScript engine has no WebAssembly";
    // (func (result v128) v128.const 0): the smallest module that needs SIMD.
    const probe = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 22, 1, 20, 0, 253, 12, ...new Array<number>(16).fill(0), 11];
    try {
      if (!WebAssembly.validate(Uint8Array.from(probe))) return "this WebAssembly engine has no SIMD (128-bit vectors)";
      new WebAssembly.Module(Uint8Array.from(probe)); // a content security policy may forbid this
    } catch (error) {
      return `WebAssembly compilation is refused here (${error instanceof Error ? error.message : String(error)})`;
    }
    return null;
  }
}

const allocate = (bytes: number): Memory => {
  const pages = Math.ceil(bytes / PAGE);
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages });
  } catch {
    throw new BackendError(
      `There is no memory for the variables, their gradients and their state. Asked for: ${pages * PAGE} bytes in one piece. ` +
        "Train fewer variables, free other memory, or give the process more.",
    );
  }
};

const compile = (programs: readonly Program[]): ((memory: Memory) => RunJobs) => {
  const module = new WebAssembly.Module(compileModule(programs, null));
  return (memory) => {
    const { run } = new WebAssembly.Instance(module, { memory: { memory: memory as WebAssembly.Memory } }).exports;
    return run as RunJobs;
  };
};
