/** What `adamax bench` and `adamax demo` read, from the repository to dist, beside the programs that read it. The recordings stay in the repository:
 *  they are large, and under another licence. */

import { copyFileSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";

for (const file of ["bench/python.py", "bench/mesh.py", "bench/webgpu.py", "bench/c/step.c", "examples/speech/study.json"]) {
  mkdirSync(dirname(`dist/${file}`), { recursive: true });
  copyFileSync(file, `dist/${file}`);
}
