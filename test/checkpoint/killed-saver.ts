/** Saves one checkpoint after the other over the same file, and says which phase begins: `killed-saver.ts FILE`. It is killed.
 *  Every third saving breaks off by itself, and cleans up. */

import { writeSync } from "node:fs";
import { Adamax, Variable } from "adamax";
import { checkpointPieces } from "../../src/checkpoint/save.js";
import { atomicWrite } from "../../src/checkpoint/storage/atomic-write.js";

const [file = ""] = process.argv.slice(2);
const optimizer = new Adamax({ threads: 1 });
const w = new Variable(new Float32Array(2_000_000), { name: "w" }); // 24 MB with m and u: several pieces
optimizer.build([w]);
for (let generation = 1; ; generation++) {
  w.gradient.fill(generation);
  optimizer.applyGradients([[w.gradient, w]]);
  writeSync(1, `saving ${generation}\n`);
  const { pieces } = checkpointPieces({ optimizer, user: { generation } });
  const breaksOff = generation % 3 === 2;
  try {
    await atomicWrite(file, breaksOff ? broken(pieces) : pieces, { onPhase: (phase) => void writeSync(1, `${phase}\n`) });
    writeSync(1, `saved ${generation}\n`);
  } catch (error) {
    if (!breaksOff) throw error;
  }
}

async function* broken(pieces: AsyncIterable<Uint8Array>) {
  yield* pieces;
  throw new Error("broken off on purpose");
}
