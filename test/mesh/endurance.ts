/** Faults in numbers, for as long as it takes: `npx tsx test/mesh/endurance.ts [KILLS] [HANGS]` (50 and 20). */

import { Programs } from "./job.js";
import { killUntil } from "./kills.js";

const [kills = 50, hangs = 20] = process.argv.slice(2).map(Number);
const programs = await Programs.build();
try {
  const begin = performance.now();
  if (kills > 0)
    console.log("kills", await killUntil(programs, 2, kills, 2500, 1), `${Math.round((performance.now() - begin) / 1000)} s`);
  const found = { hangs: 0, named: 0, orphans: 0, slowest: 0 };
  for (let i = 0; i < hangs; i++) {
    const [size, scenario] = [2 + (i % 2), ["a loop", "SIGSTOP"][i % 2]!];
    const started = performance.now();
    const outcome = await programs.run("faults", size, { args: [scenario, "2000"] });
    found.hangs += outcome.code !== 0 ? 1 : 0;
    found.named += /waited for longer than 2000 ms.*rank 1/s.test(outcome.complained) ? 1 : 0;
    found.orphans += outcome.orphans.length;
    found.slowest = Math.max(found.slowest, outcome.endedAt - started);
  }
  console.log("hangs found by a deadline of 2 s", found);
} finally {
  programs.remove();
}
