// Every test: in Node and in Chromium, then on the other engines. With words, as in `npm test -- test/semantics`, only those that they choose, by Vitest.
import { spawnSync } from "node:child_process";

const words = process.argv.slice(2);
const run = (program, ...args) =>
  spawnSync(process.execPath, [`node_modules/${program}`, ...args], { stdio: "inherit" }).status ?? 1;
const status = run("vitest/vitest.mjs", "run", ...words);
process.exitCode = words.length > 0 ? status : run("tsx/dist/cli.mjs", "scripts/engines.ts", "--ci") || status;
