/** Kills a random rank at a random moment, starts the program again, and looks at how it ends. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Outcome, Programs } from "./job.js";

export interface Report {
  readonly digest: string;
  readonly epochs: readonly unknown[];
  readonly from: string | null;
}

export interface Kills {
  /** Ranks that were killed while they trained. */
  readonly kills: number;
  /** Trainings that came to their end. */
  readonly trainings: number;
  /** Milliseconds from a kill to the end of the job, the longest. */
  readonly slowestEnd: number;
  /** What was not as it must be, in words. */
  readonly wrong: readonly string[];
}

const EPOCHS = "3";

/** Numbers in [0, 1), the same for a seed. */
const random = (seed: number) => {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
};

/** The program never killed, on `size` ranks. */
export const unbroken = async (programs: Programs, size: number): Promise<Report> => {
  const folder = mkdtempSync(join(tmpdir(), "adamax-mesh-kills-"));
  const { reports } = await programs.run("resumed", size, { args: [folder, EPOCHS, "0"] });
  rmSync(folder, { recursive: true });
  return reports[0] as Report;
};

/** Until so many kills have been made, and the training that was killed last has ended. `span`: milliseconds in which kills come. */
export const killUntil = async (programs: Programs, size: number, wanted: number, span: number, seed: number): Promise<Kills> => {
  const expected = JSON.stringify(withoutPlace(await unbroken(programs, size)));
  const next = random(seed);
  const wrong: string[] = [];
  let [kills, trainings, slowestEnd] = [0, 0, 0];
  while (kills < wanted) {
    const folder = mkdtempSync(join(tmpdir(), "adamax-mesh-kills-"));
    for (let isOver = false; !isOver; ) {
      let killed = 0;
      const kill = (ranks: () => { rank: number; pid: number }[]) => {
        if (kills < wanted)
          setTimeout(() => {
            const running = ranks();
            const one = running[Math.floor(next() * running.length)];
            if (!one) return;
            process.kill(one.pid, "SIGKILL");
            killed = performance.now();
          }, next() * span);
      };
      const outcome = await programs.run("resumed", size, { args: [folder, EPOCHS, "20"], whileRunning: kill });
      const tookToEnd = outcome.endedAt - killed;
      if (outcome.orphans.length > 0) wrong.push(`left over: ${outcome.orphans}`);
      if (killed > 0 && outcome.code !== 0) {
        kills++;
        slowestEnd = Math.max(slowestEnd, tookToEnd);
        continue;
      }
      wrong.push(...differences(outcome, expected));
      trainings++;
      isOver = true;
    }
    rmSync(folder, { recursive: true });
  }
  return { kills, trainings, slowestEnd, wrong };
};

const withoutPlace = ({ digest, epochs }: Report) => ({ digest, epochs });

const differences = ({ code, complained, reports }: Outcome, expected: string): string[] => {
  if (code !== 0) return [`status ${code}: ${complained}`];
  return reports.flatMap((report, rank) =>
    JSON.stringify(withoutPlace(report as Report)) === expected
      ? []
      : [`rank ${rank}: ${JSON.stringify(report)}, not ${expected}`],
  );
};
