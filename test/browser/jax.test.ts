/** jax-js on WebGPU: what a jitted step of ours dispatches, its numbers, and its buffers. */

import { defaultDevice, init, type JsTree, jit, numpy as np, tree } from "@jax-js/jax";
import { Adamax, type AdamaxOptions as CoreOptions, type Optimizer, Variable } from "adamax";
import { type AdamaxOptions, adamax, type State, type Transformation, transformation } from "adamax/jax";
import { beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { Lamb } from "../../examples/rules/lamb.js";
import { ulp } from "../semantics/golden.js";
import { stateNow as stateOf } from "../semantics/helpers.js";

beforeAll(async () => {
  expect(await init("webgpu")).toContain("webgpu");
  defaultDevice("webgpu");
});

type Params = Record<string, np.Array>;

const wave = (length: number, phase: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898 + phase) * 2);

/** So many parameters, of 200, 201, ... elements. */
const params = (count: number, phase: number): Params =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`p${i}`, np.array(wave(200 + i, phase + i))]));

/** Everything there is to compute is computed; the arrays stay. */
const read = (of: unknown) => Promise.all(tree.leaves(of as JsTree<np.Array>).map((array) => array.ref.data()));

const jitted = (optimizer: Transformation) =>
  jit((p: Params, g: Params, s: State) => optimizer.step(p, g, s)) as unknown as ((
    ...given: [Params, Params, State]
  ) => [Params, State]) & { dispose(): void };

const everything: AdamaxOptions = {
  weightDecay: 0.1,
  globalClipnorm: 0.5,
  useEma: true,
  emaStart: "firstStep",
  emaOverwriteFrequency: 3,
  lossScaleFactor: 2,
  gradientAccumulationSteps: 2,
};

/** What each of three steps dispatches. */
const dispatches = async (optimizer: Transformation, count: number): Promise<number> => {
  const step = jitted(optimizer);
  let [p, s] = [params(count, 0), optimizer.init(params(count, 0))];
  const dispatched = vi.spyOn(GPUComputePassEncoder.prototype, "dispatchWorkgroups");
  onTestFinished(() => dispatched.mockRestore());
  const counts = new Set<number>();
  for (let i = 0; i < 3; i++) {
    const g = params(count, i + 1);
    await read([p, g, s]);
    dispatched.mockClear();
    [p, s] = step(p, g, s);
    await read([p, s]);
    counts.add(dispatched.mock.calls.length);
  }
  tree.dispose([p, s] as JsTree<np.Array>);
  step.dispose();
  expect(counts.size).toBe(1);
  return [...counts][0]!;
};

// For all parameters together: the step count, and what the bias correction, a clip factor and choices are computed from.
test.each<[string, AdamaxOptions, perParameter: number, together: number]>([
  ["defaults", {}, 3, 2], //                                                       value, momentum, norm
  ["weight decay and clipvalue", { weightDecay: 0.1, clipvalue: 1 }, 3, 2],
  ["an average", { useEma: true }, 4, 2],
  ["an average that overwrites", { useEma: true, emaOverwriteFrequency: 3 }, 4, 4],
  ["accumulation", { gradientAccumulationSteps: 2 }, 4, 3],
  ["globalClipnorm", { globalClipnorm: 1 }, 4, 3], //                              and a sum of squares for each
  ["clipnorm", { clipnorm: 1 }, 5, 2], //                                          and a factor for each
])("with %s, a step is one dispatch for each array that changes, and a few", async (_, options, perParameter, together) => {
  const [two, four] = [await dispatches(adamax(options), 2), await dispatches(adamax(options), 4)];
  expect([(four - two) / 2, two - 2 * perParameter]).toEqual([perParameter, together]);
});

test("with everything on, where a kernel would read more buffers than a shader may, it is less than two for each array", async () => {
  const [two, four] = [await dispatches(adamax(everything), 2), await dispatches(adamax(everything), 4)];
  const arrays = 5; // value, average, accumulator, momentum, norm
  expect((four - two) / 2).toBeLessThan(2 * arrays);
});

/** The largest error of six steps, each from the core's own state before it, in ulps of values between 2 and 4, which the largest are. */
const worstUlps = async (core: Optimizer<never>, optimizer: Transformation, slots: readonly string[]): Promise<number> => {
  const names = ["p0", "p1"];
  const variables = names.map((name, i) => new Variable(wave(200 + i, i), { name }));
  core.build(variables);
  const arrayOf = (slot: string, i: number) =>
    Float32Array.from(slot === "w" ? variables[i]!.value : stateOf(core as Optimizer, slot, names[i]!));
  const treeFrom = (slot: string): Params => Object.fromEntries(names.map((name, i) => [name, np.array(arrayOf(slot, i))]));
  const step = jitted(optimizer);
  let worst = 0;
  for (let calls = 0; calls < 6; calls++) {
    const state = {
      count: np.array(calls, { dtype: np.int32 }),
      arrays: Object.fromEntries(slots.map((slot) => [slot, treeFrom(slot)])),
    };
    const [reached, next] = step(treeFrom("w"), params(2, calls + 1), state);
    core.applyGradients(variables.map((variable, i) => [wave(200 + i, calls + 1 + i), variable]));
    for (const [slot, arrays] of Object.entries({ w: reached, ...(next.arrays as Record<string, Params>) }))
      for (const [i, name] of names.entries()) {
        const wanted = arrayOf(slot, i);
        for (const [e, value] of (await arrays[name]!.data()).entries()) {
          const error = Math.abs(value - wanted[e]!) / ulp("float32", 2);
          if (!(error <= worst)) worst = error; // NaN wins
        }
      }
    next.count.dispose();
  }
  core.dispose();
  step.dispose();
  return worst;
};

// jax-js divides by multiplying with 1 / y, and sums norms in float32 there.
test.each<[string, AdamaxOptions, string[]]>([
  ["defaults", {}, ["momentum", "norm"]],
  ["a large rate", { learningRate: 0.1, weightDecay: 0.1 }, ["momentum", "norm"]],
  ["globalClipnorm", { learningRate: 0.1, globalClipnorm: 0.5 }, ["momentum", "norm"]],
  ["everything", { ...everything, learningRate: 0.1 }, ["average", "accumulator", "momentum", "norm"]],
])("with %s, steps are the core's to 1 ulp", async (_, options, slots) => {
  expect(await worstUlps(new Adamax(options as CoreOptions), adamax(options), slots)).toBeLessThanOrEqual(1);
});

test("LAMB's steps, which are products with two norms, are the core's to 4 ulps", async () => {
  const own = transformation<typeof Lamb>(Lamb)({ learningRate: 0.1 });
  expect(await worstUlps(new Lamb({ learningRate: 0.1 }), own, Lamb.rule.slots)).toBeLessThanOrEqual(4);
});

test("twelve steps with everything on hold the buffers that one holds, and leave none but those that jax-js keeps for reuse", async () => {
  let held = 0;
  const [create, destroy] = [GPUDevice.prototype.createBuffer, GPUBuffer.prototype.destroy];
  const created = vi.spyOn(GPUDevice.prototype, "createBuffer").mockImplementation(function (this: GPUDevice, descriptor) {
    held++;
    return create.call(this, descriptor);
  });
  const destroyed = vi.spyOn(GPUBuffer.prototype, "destroy").mockImplementation(function (this: GPUBuffer) {
    held--;
    return destroy.call(this);
  });
  onTestFinished(() => {
    created.mockRestore();
    destroyed.mockRestore();
  });
  const run = async (): Promise<number[]> => {
    const optimizer = adamax(everything);
    const step = jitted(optimizer);
    let [p, s] = [params(2, 0), optimizer.init(params(2, 0))];
    const counts: number[] = [];
    for (let i = 0; i < 12; i++) {
      [p, s] = step(p, params(2, i + 1), s);
      await read([p, s]);
      for (const array of tree.leaves([p, s] as JsTree<np.Array>)) expect(array.refCount).toBe(1);
      counts.push(held);
    }
    tree.dispose([p, s] as JsTree<np.Array>);
    step.dispose();
    return counts;
  };
  await run(); // fills what jax-js keeps
  const before = held;
  const counts = await run();
  expect(new Set(counts.slice(1)).size).toBe(1);
  expect(held).toBe(before);
});
