/** The C loop of the same step and the stream, each in a process of its own that makes steps when told to. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Side } from "../measure.js";
import { BETA1, BETA2, EPSILON, hashBits, LEARNING_RATE, type Model } from "../model.js";
import { build } from "./adamax.js";
import { type Program, startProgram, timingFrom } from "./program.js";

const source = fileURLToPath(new URL("../c/step.c", import.meta.url));
const FLAGS = ["-O3", "-march=native", "-ffp-contract=off"];
/** x86 only: the same loop held to the vectors that WebAssembly has. */
const FLAGS_128 = [...FLAGS, "-mprefer-vector-width=128"];

export interface Compiled {
  readonly path: string;
  /** Held to 128-bit vectors; null where the compiler cannot be told so. */
  readonly path128: string | null;
  readonly about: string;
}

/** Compiles the C program to a folder that is gone when this process ends, or says in one line why not. */
export const compileC = (): Compiled | string => {
  const folder = mkdtempSync(join(tmpdir(), "adamax-bench-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const cc = process.env.CC ?? "cc";
  const compile = (name: string, flags: readonly string[]): string | null => {
    const path = join(folder, name);
    try {
      execFileSync(cc, [...flags, source, "-o", path, "-lm", "-lpthread"], { stdio: "ignore" });
      return path;
    } catch {
      return null;
    }
  };
  const path = compile("step", FLAGS);
  if (path === null) return `No C compiler (${cc}) here: the rows against C are left out.`;
  const version = execFileSync(cc, ["--version"], { encoding: "utf8" }).split("\n")[0];
  return { path, path128: compile("step-128", FLAGS_128), about: `${version}, ${FLAGS.join(" ")}` };
};

const start = (path: string, kind: "adamax" | "stream", { tensors, size }: Model, threads: number): Program =>
  startProgram(path, kind, tensors, size, threads);

const f = Math.fround;
const biasCorrection = (step: number): number => f(1 - f(f(BETA1) ** step));
const runCommand = (repeats: number, correction: number): string =>
  ["run", repeats, ...[LEARNING_RATE, 1 - BETA1, BETA2, correction, EPSILON].map((value) => f(value).toPrecision(9))].join(" ");

export const cSide = (name: string, path: string, kind: "adamax" | "stream", model: Model, threads = 1): Side => {
  const program = start(path, kind, model, threads);
  return {
    name,
    cores: threads,
    run: async (repeats) => timingFrom(await program.ask(runCommand(repeats, biasCorrection(10)))),
    dispose: () => program.end(),
  };
};

/** Whether C and we end with the same bits after `steps` steps: both sides do the same work. */
export const sameBits = async (path: string, model: Model, steps: number): Promise<boolean> => {
  const program = start(path, "adamax", model, 1);
  for (let step = 1; step <= steps; step++) await program.ask(runCommand(1, biasCorrection(step)));
  const theirs = Number(await program.ask("hash"));
  program.end();
  const { optimizer, variables, step } = build(model);
  for (let k = 0; k < steps; k++) step();
  const ours = variables.reduce((hash, { value }) => hashBits(value as Float32Array, hash), 2166136261);
  optimizer.dispose();
  return ours === theirs;
};
