/** What saving and loading cost, in memory beyond the state and in time: `npx tsx bench/checkpoint.ts MEGABYTES [FOLDER]`. Default 2048, the
 *  folder for temporary files. Prints JSON. */

import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Adamax, Variable } from "adamax";
import { loadCheckpoint, saveCheckpoint } from "adamax/checkpoint";

const megabytes = Number(process.argv[2] ?? 2048);
const folder = mkdtempSync(join(process.argv[3] ?? tmpdir(), "adamax-bench-"));
const file = join(folder, "model.safetensors");

// w, m and u: 12 bytes for each element; eight variables.
const length = Math.floor((megabytes * 1e6) / 12 / 8);
const optimizer = new Adamax({ threads: 1 });
for (let i = 0; i < 8; i++) optimizer[i === 0 ? "build" : "extend"]([new Variable(new Float32Array(length), { name: `w${i}` })]); // one at a time: values are copied
for (const { value } of optimizer.variables) if (value instanceof Float32Array) value.fill(0.5);
for (const { value } of optimizer.trainableVariables) value.fill(0.25);

/** The most that the process has held while `act` ran, over what it held before, and the time. */
const measure = async (act: (onProgress: () => void) => Promise<unknown>) => {
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  let most = before;
  let reports = 0;
  const start = performance.now();
  await act(() => {
    most = Math.max(most, process.memoryUsage.rss());
    reports++;
  });
  return { mebibytesBeyondState: (most - before) / 2 ** 20, seconds: (performance.now() - start) / 1000, reports };
};

try {
  await saveCheckpoint(join(folder, "warm.safetensors"), {
    optimizer: new Adamax({ threads: 1 }),
    variables: [new Variable(Float32Array.of(1))],
  }); // code is loaded
  const saving = await measure((onProgress) => saveCheckpoint(file, { optimizer, onProgress }));
  const loading = await measure((onProgress) => loadCheckpoint(file, { optimizer, onProgress }));
  console.log(JSON.stringify({ bytes: statSync(file).size, saving, loading }));
} finally {
  rmSync(folder, { recursive: true });
  optimizer.dispose();
}
