/** Ranks that are not alike, and meshes where they do not belong: `wrong SCENARIO ...`. Each rank reports what it was told, by scenario. */

import { Adamax, type Backend, Variable, WasmBackend } from "adamax";
import { createMesh, Layout, LayoutMap, UNSHARDED } from "adamax/mesh";
import { report } from "../report.js";

console.warn = () => {};
let scenario = "";
const mesh = await createMesh([["batch", -1]], { timeout: 20_000 });
const { rank } = mesh;
const isOdd = rank === 1;
const odd = <Value>(name: string, value: Value, otherwise: Value): Value => (scenario === name && isOdd ? value : otherwise);
const gradient = () => Float32Array.of(1, 2, 3, 4);
const named = (name: string, shape: readonly number[] = [4]) => new Variable(Float32Array.of(1, 2, 3, 4), { name, shape });

const step = (): unknown => {
  const optimizer = new Adamax({
    mesh,
    learningRate: odd("rate", 0.5, 0.1),
    beta1: odd("number", 0.8, 0.9),
    ...odd("option", { clipnorm: 1 }, {}),
    groups: odd("groups", [{ names: ["a"], learningRateMultiplier: 2 }], []),
  });
  const variables = [named("a", odd("shape", [2, 2], [4])), named(odd("name", "c", "b"))];
  if (scenario === "order" && isOdd) variables.reverse();
  if (scenario === "decay" && isOdd) optimizer.excludeFromWeightDecay({ names: ["a"] });
  if (scenario === "count" && isOdd) variables.pop();
  optimizer.build(variables);
  optimizer.applyGradients(variables.map((variable) => [gradient(), variable]));
  if (scenario === "later rate" && isOdd) optimizer.learningRate = 0.7;
  const missing = scenario === "gradient" && isOdd;
  const before = variables.map(({ value }) => [...value]);
  try {
    optimizer.applyGradients(
      variables.map((variable, i) => [missing && i === 1 ? null : gradient(), variable]),
      { weight: scenario === "weights" ? 0 : 1 },
    );
  } catch (error) {
    const isUnchanged = JSON.stringify(variables.map(({ value }) => [...value])) === JSON.stringify(before);
    return `${error}${isUnchanged ? "" : " CHANGED"}`;
  }
  return "no error";
};

const alone: Record<string, () => unknown> = {
  device: () =>
    new Adamax({
      mesh,
      backend: { ...new WasmBackend(), name: "webgpu", near: false, place() {}, compile() {} } as unknown as Backend,
    }),
  "another mesh": async () => {
    const other = await createMesh([["batch", -1]]);
    new Adamax({ mesh }).build([new Layout(["batch"], other).variable(Float32Array.of(1, 2, 3, 4), { name: "cut", shape: [4] })]);
  },
  "no mesh": () =>
    new Adamax().build([new Layout(["batch"], mesh).variable(Float32Array.of(1, 2, 3, 4), { name: "cut", shape: [4] })]),
  "before build": () => new Layout(["batch"], mesh).variable(Float32Array.of(1, 2, 3, 4), { name: "cut", shape: [4] }).read(),
  constraint: () => {
    const layout = new Layout(["batch"], mesh);
    const value = layout.slice(Float32Array.of(1, 2, 3, 4), [4]);
    new Adamax({ mesh }).build([new Variable(value, { shape: [4], layout, constraint: (w) => w, name: "cut" })]);
  },
  length: () => new Variable(Float32Array.of(1, 2, 3), { shape: [4], layout: new Layout(["batch"], mesh), name: "cut" }),
  gradient2: () => {
    const cut = new Layout(["batch"], mesh).variable(Float32Array.of(1, 2, 3, 4), { name: "cut", shape: [4] });
    new Adamax({ mesh }).applyGradients([[gradient(), cut]]);
  },
  threads: () => {
    const optimizer = new Adamax({ mesh });
    optimizer.build([new Variable(new Float32Array(400_000), { name: "large" })]);
    const { threads } = optimizer.backend;
    optimizer.dispose();
    return [mesh.ranksOnHost, threads];
  },
  map: () => {
    const layouts = new LayoutMap([["dense.*kernel", new Layout([UNSHARDED, "batch"], mesh)]]);
    const [kernel, bias] = ["dense/kernel", "dense/bias"].map((name) =>
      layouts.variable(
        Float32Array.from({ length: 6 }, (_, i) => i),
        { name, shape: [2, 3] },
      ),
    ) as [Variable, Variable];
    return [[...kernel.value], kernel.shape, kernel.length, [...bias.value]];
  },
};

const attempt = async (): Promise<unknown> => {
  try {
    return (await (alone[scenario] ?? step)()) ?? "no error";
  } catch (error) {
    return `${error}`;
  }
};
const told: Record<string, unknown> = {};
for (scenario of process.argv.slice(2)) told[scenario] = await attempt();
report(rank, told);
