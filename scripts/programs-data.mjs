/** What `adamax bench` and `adamax demo` read, from the repository to dist, beside the programs that read it. The recordings are a selection of
 *  those in the repository: enough to learn from, in a package that stays small. Their licence and attribution go along. */

import { copyFileSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { hash } from "../dist/examples/speech/random.js";
import { splitOf } from "../dist/examples/speech/recordings.js";

/** Bytes of recordings to train on and to test on. */
const MOST = { train: 1.2e6, validation: 0, test: 0.4e6 };

const copy = (file) => {
  mkdirSync(dirname(`dist/${file}`), { recursive: true });
  copyFileSync(file, `dist/${file}`);
};

for (const file of ["bench/python.py", "bench/c/step.c", "examples/speech/study.json"]) copy(file);

const folder = "examples/speech/recordings";
for (const paper of ["ATTRIBUTION.md", "LICENSE"]) copy(`${folder}/${paper}`);
const taken = { train: 0, validation: 0, test: 0 };
for (const name of readdirSync(folder)
  .filter((name) => name.endsWith(".wav"))
  .sort((a, b) => hash(a) - hash(b))) {
  const split = splitOf(name);
  const { size } = statSync(`${folder}/${name}`);
  if (taken[split] + size > MOST[split]) continue;
  taken[split] += size;
  copy(`${folder}/${name}`);
}
