/** What ranks measure: `mpirun -n 2 node --import tsx mesh-ranks.ts SECONDS`. Rank 0 prints one line of JSON. */

import type { AdamaxOptions } from "adamax";
import { createMesh, type Mesh } from "adamax/mesh";
import { nameOf } from "../model.js";
import { build } from "./adamax.js";
import { MODELS, type Turn } from "./mesh-models.js";

const seconds = Number(process.argv[2] ?? 2);
const dimensions = [["batch", -1]] as const;
const replicated = await createMesh(dimensions, { shardState: false });
const sharded = await createMesh(dimensions, { shardState: true });

const turn: Turn = {};
for (const model of MODELS) {
  const sides = Object.entries<{ mesh: Mesh | null }>({
    plain: { mesh: null },
    replicated: { mesh: replicated },
    sharded: { mesh: sharded },
  }).map(([name, { mesh }]) => ({ name, mesh, ...build(model, { mesh } as AdamaxOptions) }));
  const times: Record<string, number[]> = {};
  const bytes: Record<string, number> = {};
  const begin = performance.now();
  for (let round = 0, goesOn = true; goesOn; round++) {
    for (const { name, mesh, step } of sides) {
      replicated.gather([0], "a round");
      const [started, sent] = [performance.now(), mesh?.bytesSent ?? 0];
      step();
      if (mesh) replicated.gather([0], "the end of a step");
      // The first ones warm up.
      if (round >= 3) times[name] = [...(times[name] ?? []), performance.now() - started];
      bytes[name] = (mesh?.bytesSent ?? 0) - sent;
    }
    const isOver = round >= 8 && performance.now() - begin > (1000 * seconds) / MODELS.length;
    goesOn = replicated.gather([isOver ? 1 : 0], "whether it goes on")[0]![0] === 0;
  }
  for (const { optimizer } of sides) optimizer.dispose();
  turn[nameOf(model)] = { times, bytes };
}
if (replicated.rank === 0) console.log(JSON.stringify(turn));
