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

type Pairs = [Float32Array | null, Variable][];
/** What the odd rank calls applyGradients with, in the place of what is right. */
const REFUSED: Record<string, (pairs: Pairs, call: (pairs: unknown, weight?: number) => unknown) => unknown> = {
  "a gradient too long": ([, second], call) => call([[new Float32Array(5), second![1]]]),
  "no gradient at all": (pairs, call) => call(pairs.map(([, variable]) => [null, variable])),
  "one variable twice": ([first], call) => call([first, first]),
  "another variable": (pairs, call) => call([...pairs, [gradient(), named("c")]]),
  "no pairs": (_, call) => call(7),
  "a weight below 0": (pairs, call) => call(pairs, -1),
  "a rate that throws": (pairs, call) => {
    refusesRate = true;
    return call(pairs);
  },
};
let refusesRate = false;

/** One call that the odd rank refuses, the first or a later one, and then two that are right. */
const refuse = (kind: string, { first = false, accumulates = false }): unknown => {
  const learningRate = () => {
    if (refusesRate) throw new RangeError("no rate today");
    return 0.1;
  };
  const optimizer = new Adamax({ mesh, learningRate, ...(accumulates ? { gradientAccumulationSteps: 2 } : {}) });
  const variables = [named("a"), named("b")];
  const pairs = (): Pairs => variables.map((variable) => [gradient(), variable]);
  const right = () => optimizer.applyGradients(pairs());
  if (!first) right();
  const call = (pairs: unknown, weight = 1) => optimizer.applyGradients(pairs as Pairs, { weight });
  const before = JSON.stringify(variables.map(({ value }) => [...value]));
  let message = "no error";
  try {
    if (isOdd) REFUSED[kind]!(pairs(), call);
    else right();
  } catch (error) {
    message = `${error}`;
  }
  refusesRate = false;
  const isUnchanged = JSON.stringify(variables.map(({ value }) => [...value])) === before;
  const updates = [right(), right()];
  return [message, isUnchanged, updates, variables.map(({ value }) => [...value])];
};

const alone: Record<string, () => unknown> = {
  ...Object.fromEntries(
    Object.keys(REFUSED).flatMap((kind) => [
      [`refused: ${kind}`, () => refuse(kind, {})],
      [`refused at first: ${kind}`, () => refuse(kind, { first: true })],
      [`refused in a window: ${kind}`, () => refuse(kind, { accumulates: true })],
    ]),
  ),
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
  shares: () =>
    [16_384 * mesh.size - 1, 16_384 * mesh.size].map((count) => {
      const optimizer = new Adamax({ mesh });
      optimizer.build([
        new Variable(new Float32Array(count - 7), { name: "large" }),
        new Variable(new Float32Array(7), { name: "small" }),
      ]);
      const { why } = optimizer.backend;
      optimizer.dispose();
      return why;
    }),
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
