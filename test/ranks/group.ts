/** Starts ranks: the same bundle in as many worker threads. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { build } from "esbuild";
import type { RankSettings } from "./adamax.js";
import { makeMemory } from "./memory.js";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** A program for ranks: `contents` as a module of this folder, in which "adamax" takes part in the exchange and "vitest" is the harness. */
export const bundle = async (contents: string): Promise<{ file: string; remove: () => void }> => {
  const folder = mkdtempSync(join(tmpdir(), "adamax-ranks-"));
  const file = join(folder, "rank.mjs");
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  // Where the wasm backend looks for the script of its threads: beside it.
  const worker = here("../../src/backends/wasm/worker.ts");
  await build({ entryPoints: [worker], bundle: true, format: "esm", platform: "node", outfile: join(folder, "worker.js") });
  await build({
    stdin: { contents, resolveDir: here("."), sourcefile: "rank.ts", loader: "ts" },
    bundle: true,
    format: "esm",
    platform: "node",
    target: "es2022",
    outfile: file,
    alias: {
      vitest: here("./harness.ts"),
      "adamax/checkpoint": here("../../src/checkpoint/index.ts"),
      adamax: here("./adamax.ts"),
    },
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
    ignoreAnnotations: true, // the tests are imported for what they register
    logLevel: "error",
  });
  return { file, remove: () => rmSync(folder, { recursive: true }) };
};

export type Configuration = Pick<RankSettings, "size" | "shardState" | "threads"> & Partial<Pick<RankSettings, "mutation">>;

/** What each rank posts. A rank that ends without is an error. */
export const runOnRanks = <Result>(file: string, { size, mutation = "none", ...rest }: Configuration): Promise<Result[]> => {
  const memory = makeMemory(2 ** 21, size);
  return Promise.all(
    Array.from(
      { length: size },
      (_, rank) =>
        new Promise<Result>((resolve, reject) => {
          const worker = new Worker(file, { workerData: { rank, size, memory, mutation, ...rest } satisfies RankSettings });
          worker.once("message", (result: Result) => {
            resolve(result);
            void worker.terminate();
          });
          worker.once("error", reject);
          worker.once("exit", (code) => reject(new Error(`rank ${rank} of ${size} ended with code ${code}, and no result`)));
        }),
    ),
  );
};
