/** Asks questions: measures, prints tables of ratios, and writes JSON and a page. */

import { cpus, release, totalmem } from "node:os";
import { type Answer, isMet, printTable, save } from "./report.js";

/** Loaded when asked, so that one question's libraries do not lie in the memory of another. */
export const QUESTIONS: Readonly<Record<string, () => Promise<Answer>>> = {
  memory: async () => (await import("./memory.js")).memory(),
  step: async () => (await import("./step.js")).step(),
  threads: async () => (await import("./threads.js")).threads(),
  small: async () => (await import("./small.js")).small(),
  tfjs: async () => (await import("./tfjs.js")).tfjs(),
  "tfjs-fit": async () => (await import("./tfjs-fit.js")).tfjsFit(),
  "tfjs-webgpu": async () => (await import("./tfjs-webgpu.js")).tfjsWebgpu(),
  options: async () => (await import("./options.js")).options(),
  mesh: async () => (await import("./mesh.js")).mesh(),
  webgpu: async () => (await import("./webgpu.js")).webgpu(),
  python: async () => (await import("./python.js")).python(),
  "dead-units": async () => (await import("./dead-units.js")).deadUnits(),
};

const BY_NAME_ONLY = new Set(["mesh", "python", "webgpu"]);

const machine = {
  processor: `${cpus()[0]?.model.trim()} (${cpus().length} cores)`,
  memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
  system: `${process.platform} ${release()}`,
  node: process.version,
};

export interface BenchOptions {
  /** Empty: all but mesh, python and webgpu. */
  readonly questions: readonly string[];
  /** The folder for JSON and page. */
  readonly out: string;
  /** Whether what this project aims at stands beside each ratio. */
  readonly targets: boolean;
}

/** @throws Error for a question that there is not. */
export const bench = async ({ questions, out, targets }: BenchOptions): Promise<void> => {
  const unknown = questions.filter((name) => !Object.hasOwn(QUESTIONS, name));
  if (unknown.length > 0)
    throw new Error(`There is no question ${unknown.join(", ")}. Ask any of: ${Object.keys(QUESTIONS).join(", ")}.`);
  console.log(Object.values(machine).join(", "));
  let missed = 0;
  let page = "";
  for (const name of questions.length > 0 ? questions : Object.keys(QUESTIONS).filter((name) => !BY_NAME_ONLY.has(name))) {
    const asked = await QUESTIONS[name]!();
    const answer = targets ? asked : { ...asked, rows: asked.rows.map(({ target: _, ...row }) => row) };
    printTable(answer);
    page = save(answer, machine, out);
    missed += answer.rows.filter((row) => isMet(row) === false).length;
  }
  if (targets) console.log(`\n${missed === 0 ? "No target missed." : `${missed} targets missed.`}`);
  console.log(`\nPlots: ${page}`);
};
