/** `npm run bench [question ...]`: to bench/out/, with the project's targets. */

import { fileURLToPath } from "node:url";
import { bench } from "./bench.js";

try {
  await bench({ questions: process.argv.slice(2), out: fileURLToPath(new URL("out", import.meta.url)), targets: true });
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 2;
}
