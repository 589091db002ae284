/** Optimizers of Python, each in a process of its own. */

import { fileURLToPath } from "node:url";
import type { Side } from "../measure.js";
import type { Model } from "../model.js";
import { startProgram, timingFrom } from "./program.js";

const script = fileURLToPath(new URL("../python.py", import.meta.url));

export const PEERS = [
  "PyTorch for-loop",
  "PyTorch foreach",
  "PyTorch compiled",
  "Keras 3 on torch",
  "Keras 3 on JAX",
  "Optax",
  "tf_keras eager",
  "tf_keras XLA",
] as const;

/** The side and what it runs, or in words why there is none. */
export const pythonSide = async (
  python: string,
  peer: string,
  { tensors, size }: Model,
): Promise<{ side: Side; version: string } | string> => {
  const program = startProgram(python, script, peer, tensors, size);
  const answer = await program.next().catch((error: Error) => error.message);
  if (!answer.startsWith("ready ")) return `${peer}: left out (${answer.replace("absent ", "")}).`;
  return {
    version: answer.slice("ready ".length),
    side: {
      name: peer,
      cores: 1,
      run: async (repeats) => timingFrom(await program.ask(`run ${repeats}`)),
      dispose: () => program.end(),
    },
  };
};
