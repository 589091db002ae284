/** Makes declarations such that every compiler of the README reads them. They name WebGPU's types as the compiler of this repository found them, in a package that
 *  users do not have: without that, theirs finds them where they are, in TypeScript's own lib.dom (6 and newer) or in @webgpu/types. And typed arrays have no
 *  type of their buffer before TypeScript 5.7. */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

for (const name of readdirSync("dist", { recursive: true })) {
  if (!name.endsWith(".d.ts")) continue;
  const path = join("dist", name);
  const text = readFileSync(path, "utf8");
  const own = text
    .replace(/^\/\/\/ <reference types="@webgpu\/types[^\n]*\n/gm, "")
    .replace(/^(?! *\/?\*).*$/gm, (line) => line.replace(/\b(\w+Array)<ArrayBuffer>/g, "$1")); // but not in comments
  if (own !== text) writeFileSync(path, own);
}
