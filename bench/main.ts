/** `npm run bench [question ...]`: measures, prints tables of ratios, and writes JSON and a page to bench/out/. */

import { cpus, release, totalmem } from "node:os";
import { type Answer, isMet, printTable, save } from "./report.js";

/** Loaded when asked, so that one question's libraries do not lie in the memory of another. */
const QUESTIONS: Readonly<Record<string, () => Promise<Answer>>> = {
  memory: async () => (await import("./memory.js")).memory(),
  step: async () => (await import("./step.js")).step(),
  threads: async () => (await import("./threads.js")).threads(),
  small: async () => (await import("./small.js")).small(),
  tfjs: async () => (await import("./tfjs.js")).tfjs(),
  options: async () => (await import("./options.js")).options(),
  python: async () => (await import("./python.js")).python(),
  "dead-units": async () => (await import("./dead-units.js")).deadUnits(),
};

const BY_NAME_ONLY = new Set(["python"]);

const machine = {
  processor: `${cpus()[0]?.model.trim()} (${cpus().length} cores)`,
  memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
  system: `${process.platform} ${release()}`,
  node: process.version,
};

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !(name in QUESTIONS));
if (unknown.length > 0) {
  console.error(
    `There is no question ${unknown.join(", ")}. Ask any of: ${Object.keys(QUESTIONS).join(", ")}; none for all but python.`,
  );
  process.exit(2);
}
console.log(Object.values(machine).join(", "));
let missed = 0;
let page = "";
for (const name of asked.length > 0 ? asked : Object.keys(QUESTIONS).filter((name) => !BY_NAME_ONLY.has(name))) {
  const answer = await QUESTIONS[name]!();
  printTable(answer);
  page = save(answer, machine);
  missed += answer.rows.filter((row) => isMet(row) === false).length;
}
console.log(`\n${missed === 0 ? "All targets met." : `${missed} targets missed.`} Plots: ${page}`);
