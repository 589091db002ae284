/** Kills savers with SIGKILL, and looks at what they leave: `npx tsx test/checkpoint/kills.ts 500`.
 *
 *  Half of the kills come at a random moment, the others as soon as a certain phase has begun (each in turn), or a little later. Afterwards
 *  the file must be whole, and of the last generation that was saved or of the one that was being saved. */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Adamax } from "adamax";
import { inspectCheckpoint, saveCheckpoint } from "adamax/checkpoint";
import { build } from "esbuild";
import { makeVariables, random } from "./steps.js";

const PHASES = ["opening", "writing", "syncing", "renaming", "syncing the folder", "cleaning up", "saved"] as const;

export interface Kills {
  /** By the phase that had begun last: kills, and how many of them left the new checkpoint. */
  readonly phases: Record<string, { kills: number; newer: number }>;
  /** What must never be: in words. */
  readonly broken: string[];
  /** Temporary files that were there when the last saver had been killed, and after one more saving. */
  readonly leftBehind: { afterKills: number; afterSaving: number };
}

/** @param count kills, @param seed of the moments. */
export const killSavers = async (count: number, seed = 1): Promise<Kills> => {
  const folder = mkdtempSync(join(tmpdir(), "adamax-kills-"));
  const file = join(folder, "model.safetensors");
  const saver = join(folder, "saver.mjs"); // in one file, so that it starts fast
  await build({
    entryPoints: [fileURLToPath(new URL("killed-saver.ts", import.meta.url))],
    outfile: saver,
    bundle: true,
    format: "esm",
    platform: "node",
    logLevel: "error",
  });
  const next = random(seed);
  const phases: Kills["phases"] = {};
  const broken: string[] = [];
  const temporary = () => readdirSync(folder).filter((name) => name.endsWith(".saving")).length;
  try {
    for (let i = 0; i < count; i++) {
      rmSync(file, { force: true });
      const aimed = i % 2 === 0 ? PHASES[(i / 2) % PHASES.length]! : null;
      const { phase, saved, saving } = await killOne(saver, file, aimed, next);
      phases[phase] ??= { kills: 0, newer: 0 };
      const entry = phases[phase];
      entry.kills++;
      try {
        const { user } = await inspectCheckpoint(file, { verify: true });
        const { generation } = user as { generation: number };
        if (generation % 3 === 2) broken.push(`kill ${i} in ${phase}: generation ${generation}, whose saving broke off`);
        else if (generation === saving && saving !== saved) entry.newer++;
        else if (generation !== saved)
          broken.push(`kill ${i} in ${phase}: generation ${generation}, after ${saved} was saved and ${saving} begun`);
      } catch (error) {
        broken.push(`kill ${i} in ${phase}: ${(error as Error).message}`);
      }
    }
    const afterKills = temporary();
    const optimizer = new Adamax();
    optimizer.build(makeVariables());
    await saveCheckpoint(file, { optimizer });
    optimizer.dispose();
    return { phases, broken, leftBehind: { afterKills, afterSaving: temporary() } };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

/** Starts a saver, waits until it has saved once, and kills it. */
const killOne = (
  program: string,
  file: string,
  aimed: string | null,
  next: () => number,
): Promise<{ phase: string; saved: number; saving: number }> => {
  const saver: ChildProcess = spawn(process.execPath, [program, file], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const state = { phase: "", saved: 0, saving: 0 };
  const from = 1 + Math.floor(next() * 2); // the generation after which it is killed
  let timer: NodeJS.Timeout | undefined;
  const kill = (milliseconds: number) => {
    timer ??= setTimeout(() => saver.kill("SIGKILL"), milliseconds);
  };
  let rest = "";
  saver.stdout!.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      const [word, number] = line.split(" ");
      if (word === "saving" || word === "saved") state[word] = Number(number);
      if (word !== "saving") state.phase = word === "saved" ? "saved" : line;
      if (state.saved < from) continue;
      if (aimed === null) kill(next() * 100);
      else if (state.phase === aimed) {
        if (timer) continue;
        if (next() < 0.5) {
          timer = setTimeout(() => {}, 0);
          saver.kill("SIGKILL"); // at once
        } else kill(next() * 4);
      }
    }
  });
  return new Promise((resolve, reject) => {
    saver.on("error", reject);
    saver.on("close", (code, signal) =>
      signal === "SIGKILL" ? resolve(state) : reject(new Error(`The saver ended by itself: ${code}`)),
    );
  });
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const count = Number(process.argv[2] ?? 100);
  const { phases, broken, leftBehind } = await killSavers(count);
  console.log(`${count} savers killed. By the phase that had begun last:`);
  for (const [phase, { kills, newer }] of Object.entries(phases))
    console.log(`  ${phase}: ${kills}, of which ${newer} left the new checkpoint`);
  console.log(`temporary files: ${leftBehind.afterKills} after the kills, ${leftBehind.afterSaving} after one more saving`);
  console.log(broken.length === 0 ? "always the old or the new checkpoint, whole" : broken.join("\n"));
  if (broken.length > 0 || leftBehind.afterSaving > 0) process.exitCode = 1;
}
