/** A mesh of two dimensions, or one that cannot be: `meshes SCENARIO`. */

import { isMainThread, Worker } from "node:worker_threads";
import { createMesh, type MeshDimension } from "adamax/mesh";
import { gatherTexts } from "../../../src/mesh/communicator.js";
import { report } from "../report.js";

const [scenario = "groups"] = process.argv.slice(2);
const isSecond = (process.env.OMPI_COMM_WORLD_RANK ?? process.env.PMI_RANK) === "1";
const dimensions: Record<string, MeshDimension[]> = {
  groups: [
    ["batch", -1],
    ["model", 2],
  ],
  indivisible: [
    ["batch", -1],
    ["model", 3],
  ],
  "too few": [["batch", 2]],
  different: [[isSecond ? "data" : "batch", -1]],
};

if (scenario === "in a worker" && isMainThread) new Worker(new URL(import.meta.url), { argv: [scenario] });
else {
  const mesh = await createMesh(dimensions[scenario] ?? [["batch", -1]], { timeout: 30_000 });
  const members = (names: string[]) => gatherTexts(mesh.group(names), `${mesh.rank}`, "ranks").map(Number);
  const { shape, size, rank } = mesh;
  const groups = scenario === "groups" ? [members(["batch"]), members(["model"]), members(["model", "batch"])] : [];
  report(rank, { shape, size, coords: mesh.coords(), groups, again: scenario === "groups" ? members(["batch"]) : [] });
}
