/** A mesh of two dimensions, or one that cannot be: `meshes SCENARIO`. */

import { isMainThread, Worker } from "node:worker_threads";
import { Adamax } from "adamax";
import { createMesh, Layout, LayoutMap, type Mesh, type MeshDimension } from "adamax/mesh";
import { gatherTexts } from "../../../src/mesh/gathering.js";
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

/** What is said of weights that are 0 at the first place of "model", and whether the value stayed. */
const weighed = (mesh: Mesh, layouts: LayoutMap): [message: string, isUnchanged: boolean] => {
  const variable = layouts.variable(Float32Array.of(1, 1), { name: "w" });
  let message = "no error";
  try {
    new Adamax({ mesh }).applyGradients([[variable.gradient.fill(1), variable]], { weight: mesh.coord("model") });
  } catch (error) {
    message = `${error}`;
  }
  return [message, variable.value[0] === 1];
};

/** Where each rank has a part of the batch of its own, and "model" cuts the variable: those who average are not all. */
const weighedApart = async () => {
  const mesh = await createMesh(dimensions.groups!, { batchDims: ["batch", "model"] });
  return weighed(mesh, new LayoutMap([["w", new Layout(["model"], mesh)]]));
};

if (scenario === "in a worker" && isMainThread) new Worker(new URL(import.meta.url), { argv: [scenario] });
else {
  const mesh = await createMesh(dimensions[scenario] ?? [["batch", -1]], { timeout: 30_000 });
  const members = (names: string[]) => gatherTexts(mesh.group(names), `${mesh.rank}`, "ranks").map(Number);
  const { shape, size, rank } = mesh;
  const isOfTwo = scenario === "groups";
  const groups = isOfTwo ? [members(["batch"]), members(["model"]), members(["model", "batch"])] : [];
  report(rank, {
    shape,
    size,
    coords: mesh.coords(),
    groups,
    again: isOfTwo ? members(["batch"]) : [],
    weights: isOfTwo ? [weighed(mesh, new LayoutMap()), await weighedApart()] : [],
  });
}
