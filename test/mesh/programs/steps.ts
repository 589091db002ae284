/** Models, trained on ranks: `steps COUNT SEED THREADS`. Each rank reports what it has then. */

import { createMesh } from "adamax/mesh";
import fc from "fast-check";
import { digestOf } from "../gradients.js";
import { anyMeshModel, dimensionsOf, trainOnRank } from "../models.js";
import { report } from "../report.js";

const [count, seed, threads] = process.argv.slice(2).map(Number) as [number, number, number];
const world = await createMesh([["batch", -1]], { timeout: 60_000 });
console.warn = () => {};
const digests: string[] = [];
for (const model of fc.sample(anyMeshModel, { numRuns: count, seed })) {
  const mesh = await createMesh(dimensionsOf(model, world.size), { ...model.mesh, timeout: 60_000 });
  digests.push(digestOf(await trainOnRank(model, mesh, threads)));
}
report(world.rank, digests);
