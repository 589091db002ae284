/** The best backend that this machine has, and in words why not a better one. */

import type { Backend } from "../backend.js";
import { BackendError } from "../errors.js";
import { InterpreterBackend } from "./interpreter/interpreter.js";
import { WasmBackend } from "./wasm/wasm.js";

/** `asked`: a backend, the name of one, or null for the best. `processes`: those that share the cores of this machine.
 *  @throws BackendError when the one asked for by name cannot run here. */
export const chooseBackend = (
  asked: Backend | "wasm" | "interpreter" | null,
  jitCompile: boolean,
  threads: number | "auto",
  processes = 1,
): Backend => {
  if (asked !== null && typeof asked === "object") return asked;
  const refusal = asked === "interpreter" ? "asked for by name" : jitCompile ? WasmBackend.refusal() : "jitCompile is false";
  if (refusal === null) return new WasmBackend({ threads, processes });
  if (asked === "wasm") throw new BackendError("wasm cannot run here", refusal, "Leave it out for the interpreter.");
  return new InterpreterBackend(refusal);
};
