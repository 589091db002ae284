/** Kills trainings with SIGKILL and starts them again, up to five times: `npx tsx test/training/kills.ts 100 [SEED]`. Each is the same program in
 *  the same folder, and its outcome must be that of one that was never killed, bit for bit. Half of the kills come at a step, half a moment after
 *  one. */

import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { random } from "../checkpoint/steps.js";

/** With the core's `fit`, and with TensorFlow.js'; and about how many steps each makes. */
const PROGRAMS = {
  core: { source: "test/training/resumable.ts", steps: 30 },
  tfjs: { source: "test/tfjs/resumable.ts", steps: 25 },
} as const;
export type Program = keyof typeof PROGRAMS;

export interface Restarts {
  readonly kills: number;
  /** Trainings that did not end as the one that was never killed: in words. */
  readonly broken: string[];
}

/** @param count trainings, @param seed of the moments. */
export const killTrainings = async (program: Program, count: number, seed = 1): Promise<Restarts> => {
  const { source, steps } = PROGRAMS[program];
  const bundled = `node_modules/.adamax-kills/${program}-${process.pid}.mjs`; // in one file, so that it starts fast; there, so that it finds packages
  mkdirSync(dirname(bundled), { recursive: true });
  await build({
    entryPoints: [source],
    outfile: bundled,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    packages: "external",
    logLevel: "error",
  });
  const folder = mkdtempSync(join(tmpdir(), "adamax-kills-"));
  const next = random(seed);
  const restarts = { kills: 0, broken: [] as string[] };
  try {
    const expected = await runProgram(bundled, join(folder, "straight"));
    for (let i = 0; i < count; i++) {
      const path = join(folder, `${i}`);
      const kills = Array.from({ length: Math.floor(next() * 6) }, (_, k) => {
        const at = 1 + next() * steps * (k === 0 ? 1 : 0.6);
        return next() < 0.5 ? Math.floor(at) : at;
      });
      for (const kill of kills) if ((await runProgram(bundled, path, kill)) === null) restarts.kills++;
      if ((await runProgram(bundled, path)) !== expected) restarts.broken.push(`training ${i}, killed at ${kills.join(", ")}`);
      rmSync(path, { recursive: true, force: true });
    }
    return restarts;
  } finally {
    rmSync(folder, { recursive: true, force: true });
    rmSync(bundled, { force: true });
  }
};

/** What it prints; null when it was killed. */
const runProgram = (file: string, folder: string, kill?: number): Promise<string | null> => {
  mkdirSync(folder, { recursive: true });
  const args = [file, folder, ...(kill === undefined ? [] : [`${kill}`])];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { maxBuffer: 1 << 26 }, (error, printed, complaints) => {
      if (!error) resolve(printed);
      else if (error.signal === "SIGKILL") resolve(null);
      else reject(new Error(complaints));
    });
  });
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [count = 20, seed = 1] = process.argv.slice(2).map(Number);
  for (const program of Object.keys(PROGRAMS) as Program[]) {
    const { kills, broken } = await killTrainings(program, count, seed);
    console.log(
      `${program}: ${count} trainings, killed ${kills} times: ${count - broken.length} ended as one that was never killed`,
    );
    for (const one of broken) console.log(`  ${one}`);
    if (broken.length > 0) process.exitCode = 1;
  }
}
