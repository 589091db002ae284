/** State belongs to a variable: not to its name, its place, or whoever else the optimizer has seen. */

import { beforeAll, describe, expect, test } from "vitest";
import { schedules } from "../../src/index.js";
import { Adamax, type AdamaxOptions, registerAdamax } from "../../src/tfjs/index.js";
import { warnings } from "../semantics/helpers.js";
import { tf, usual } from "./backends.js";

beforeAll(async () => {
  await tf.setBackend(usual);
});

const xs = () => tf.ones([4, 1]);
const ys = () => tf.zeros([4, 1]);
/** One weight, started at 5, which a fit brings down. */
const layer = (name: string, settings: object = {}) =>
  tf.layers.dense({ units: 1, useBias: false, name, kernelInitializer: tf.initializers.constant({ value: 5 }), ...settings });
const modelOf = (optimizer: Adamax, ...layers: tf.layers.Layer[]): tf.Sequential => {
  const model = tf.sequential({ layers: [tf.layers.inputLayer({ inputShape: [1] }), ...layers] });
  model.compile({ optimizer, loss: "meanSquaredError" });
  return model;
};
const fit = (model: tf.LayersModel, batches = 2) => model.fit(xs(), ys(), { epochs: batches, batchSize: 4, verbose: 0 });
/** Of the layer at this place behind the input. */
const weight = (model: tf.LayersModel, i = 0): number => model.layers[i + 1]!.getWeights()[0]!.dataSync()[0]!;
const adamax = (options: AdamaxOptions = {}) => new Adamax({ learningRate: 0.5, ...options });

/** The model as it is saved: in memory. */
const saved = async (model: tf.LayersModel): Promise<tf.io.ModelArtifacts> => {
  let artifacts: tf.io.ModelArtifacts | undefined;
  const save = async (given: tf.io.ModelArtifacts) => {
    artifacts = given;
    return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: "JSON" as const } };
  };
  await model.save(tf.io.withSaveHandler(save), { includeOptimizer: true });
  return artifacts!;
};

describe("averages in the place of values", () => {
  test("are not saved as values, nor values as averages", async () => {
    const optimizer = adamax({ useEma: true });
    const model = modelOf(optimizer, layer("swap"));
    await fit(model);
    optimizer.swapAverages();
    await expect(saved(model)).rejects.toThrow("The variables hold their averages");
    await expect(optimizer.getWeights()).rejects.toThrow("The variables hold their averages");
    optimizer.swapAverages();
    await expect(saved(model)).resolves.toBeDefined();
  });

  test("stay when the optimizer is disposed of between two swaps, and what others hold of the tensors is not written", () => {
    const w = tf.variable(tf.tensor1d([1]));
    const optimizer = adamax({ useEma: true });
    optimizer.applyGradients({ [w.name]: tf.tensor1d([1]) });
    optimizer.swapAverages();
    const average = w.dataSync()[0]!;
    const held = w.clone();
    optimizer.dispose();
    expect([w.dataSync()[0], held.dataSync()[0]]).toEqual([average, average]);
  });
});

describe("the end of fit writes the averages of the model that was fitted", () => {
  test("and leaves a frozen layer as it was set", async () => {
    const optimizer = adamax({ useEma: true });
    const model = modelOf(optimizer, layer("first"), layer("second"));
    await fit(model);
    model.layers[2]!.trainable = false;
    model.layers[2]!.setWeights([tf.tensor2d([[7]])]);
    model.compile({ optimizer, loss: "meanSquaredError" });
    await fit(model);
    expect(weight(model, 1)).toBe(7);
  });

  test("and leaves another model that shares the optimizer", async () => {
    const optimizer = adamax({ useEma: true });
    const [one, other] = [modelOf(optimizer, layer("one")), modelOf(optimizer, layer("other"))];
    await one.trainOnBatch(xs(), ys());
    const raw = weight(one);
    await fit(other);
    expect(weight(one)).toBe(raw);
  });

  test("weights that are set between two fits are trained on, and not undone", async () => {
    const warned = warnings();
    const optimizer = adamax({ useEma: true, learningRate: 1e-3, emaMomentum: 0.999 });
    const model = modelOf(optimizer, layer("set"));
    await fit(model);
    model.setWeights([tf.tensor2d([[50]])]);
    await fit(model);
    expect(weight(model)).toBeGreaterThan(49.9);
    expect(warned).toEqual([expect.stringMatching(/weights were set since the last step \(1 of 1\).*begin anew/)]);
    await fit(model);
    expect(warned.length).toBe(1);
  });

  test("so are those that are set between build and the first fit", async () => {
    warnings();
    const optimizer = adamax({ useEma: true });
    const model = modelOf(optimizer, layer("built"));
    optimizer.build(model.trainableWeights);
    model.setWeights([tf.tensor2d([[50]])]);
    await fit(model);
    expect(weight(model)).toBeGreaterThan(49.9);
  });

  test("a frozen layer that was set is validated, finalized and unfrozen as it was set", async () => {
    warnings();
    const optimizer = adamax({ useEma: true });
    const model = modelOf(optimizer, layer("frozen_and_set"), layer("goes_on"));
    const compile = () => model.compile({ optimizer, loss: "meanSquaredError" });
    await fit(model);
    model.layers[1]!.trainable = false;
    compile();
    model.layers[1]!.setWeights([tf.tensor2d([[7]])]);
    await fit(model);
    optimizer.swapAverages();
    expect(weight(model)).toBe(7);
    optimizer.swapAverages();
    optimizer.finalizeVariableValues();
    expect(weight(model)).toBe(7);
    model.layers[1]!.trainable = true;
    compile();
    await model.trainOnBatch(xs(), ys());
    optimizer.finalizeVariableValues();
    expect(weight(model)).toBeGreaterThan(6.9);
  });

  test("resetAverages does the same where there is no fit", () => {
    const w = tf.variable(tf.tensor1d([1]));
    const optimizer = adamax({ useEma: true, learningRate: 0 });
    const step = () => optimizer.applyGradients({ [w.name]: tf.tensor1d([1]) });
    step();
    w.assign(tf.tensor1d([50]));
    optimizer.resetAverages([w]);
    step();
    optimizer.finalizeVariableValues();
    expect(w.dataSync()[0]).toBe(50);
  });

  test("a layer's constraint holds after it", async () => {
    const optimizer = adamax({ useEma: true, learningRate: 1e-3 });
    const model = modelOf(optimizer, layer("positive", { kernelInitializer: "ones", kernelConstraint: "nonNeg" }));
    model.setWeights([tf.tensor2d([[-3]])]);
    await fit(model);
    expect(weight(model)).toBe(0);
  });
});

describe("a disposed variable", () => {
  test("takes its state along: a second model of the same names begins anew, and is saved with its own", async () => {
    const optimizer = adamax();
    const first = modelOf(optimizer, layer("h"));
    await fit(first);
    first.dispose();
    const second = modelOf(optimizer, layer("h"));
    await fit(second);
    const state = await optimizer.getWeights();
    expect(state.map(({ name }) => name.replace(/_\d+/, ""))).toEqual(["iter", "h/kernel/momentum", "h/kernel/norm"]);
    const alone = adamax();
    alone.iterations = 2;
    const again = modelOf(alone, layer("h"));
    await fit(again);
    expect(state[1]!.tensor.dataSync()).toEqual((await alone.getWeights())[1]!.tensor.dataSync());
  });

  test("keeps no memory: 20 models, one after the other, end with the state of one", async () => {
    const optimizer = adamax();
    for (let i = 0; i < 20; i++) {
      const model = modelOf(optimizer, tf.layers.dense({ units: 100, name: "wide" }), layer("out"));
      await fit(model, 1);
      if (i < 19) model.dispose();
    }
    expect((await optimizer.getWeights()).length).toBe(1 + 3 * 2);
  });
});

test("variables that tf.disposeVariables took away leave no state behind, and others train on", async () => {
  const optimizer = adamax({ useEma: true });
  const old = modelOf(optimizer, layer("gone"));
  await fit(old);
  tf.disposeVariables();
  const model = modelOf(optimizer, layer("gone"));
  await fit(model);
  const alone = modelOf(adamax({ useEma: true }), layer("alone"));
  await fit(alone);
  expect(weight(model)).toBeCloseTo(weight(alone), 1); // the step count goes on
  const [, ...state] = await optimizer.getWeights();
  expect(state.map(({ name }) => name.replace(/_\d+\//, "/"))).toEqual([
    "gone/kernel/average",
    "gone/kernel/momentum",
    "gone/kernel/norm",
  ]);
});

test("what getWeights gave leaves everything as it is when it is set again", async () => {
  const w = tf.variable(tf.tensor1d([5]));
  const optimizer = adamax({ useEma: true, gradientAccumulationSteps: 2 });
  for (let i = 0; i < 3; i++) optimizer.applyGradients({ [w.name]: tf.tensor1d([i + 1]) });
  const bits = async () => (await optimizer.getWeights()).map(({ name, tensor }) => [name, tensor.dataSync()[0]]);
  const before = await bits();
  await optimizer.setWeights(await optimizer.getWeights());
  expect(await bits()).toEqual(before);
  expect(before.at(1)![1]).not.toBe(w.dataSync()[0]); // an average is no value
  w.dispose();
});

describe("state that was saved before the first step", () => {
  test("is fresh state for an optimizer that has made some", async () => {
    const w = tf.variable(tf.tensor1d([5]));
    const optimizer = adamax({ useEma: true, gradientAccumulationSteps: 2 });
    for (let i = 0; i < 3; i++) optimizer.applyGradients({ [w.name]: tf.tensor1d([1]) });
    const value = w.dataSync()[0]!;
    await optimizer.setWeights([{ name: "iter", tensor: tf.scalar(4, "int32") }]);
    expect(optimizer.iterations).toBe(2);
    const [, ...state] = await optimizer.getWeights();
    expect(state.map(({ name, tensor }) => [name.split("/").at(-1), tensor.dataSync()[0]])).toEqual([
      ["average", value],
      ["accumulator", 0],
      ["momentum", 0],
      ["norm", 0],
    ]);
    w.dispose();
  });

  test("takes the place of state that waits", async () => {
    const optimizer = adamax();
    const weights = [tf.scalar(7, "int32"), tf.tensor1d([3]), tf.tensor1d([3])];
    await optimizer.setWeights(["iter", "x/momentum", "x/norm"].map((name, i) => ({ name, tensor: weights[i]! })));
    await optimizer.setWeights([{ name: "iter", tensor: tf.scalar(2, "int32") }]);
    expect((await optimizer.getWeights()).map(({ name, tensor }) => [name, tensor.dataSync()[0]])).toEqual([["iter", 2]]);
  });

  test.each([
    ["1.5", () => tf.scalar(1.5)],
    ["-1", () => tf.scalar(-1)],
    ["Float32Array of length 2", () => tf.tensor1d([1, 2])],
    ['"a"', () => tf.scalar("a", "string")],
  ])("counts steps by an integer, not by %s", async (received, tensor) => {
    await expect(adamax().setWeights([{ name: "iter", tensor: tensor() }])).rejects.toThrow(
      `"iter" of an optimizer must be an integer of 0 or more. Received: ${received}.`,
    );
  });

  test("more steps than an int32 counts are not saved as others", async () => {
    const optimizer = adamax();
    optimizer.iterations = 2 ** 31;
    await expect(optimizer.getWeights()).rejects.toThrow("Received: 2147483648 steps.");
    optimizer.iterations = 2 ** 31 - 1;
    expect((await optimizer.getWeights())[0]!.tensor.dataSync()[0]).toBe(2 ** 31 - 1);
  });
});

describe("state is found by the names that last", () => {
  test("once it was found for some, variables that come later and were not saved begin anew, with a warning", async () => {
    const [base, head, stem] = ["late_base", "late_head", "late_stem"].map((name) => tf.variable(tf.tensor1d([5]), true, name));
    const before = adamax();
    before.applyGradients({ late_base: tf.tensor1d([1]), late_head: tf.tensor1d([2]) });
    const weights = await before.getWeights();
    const after = adamax();
    after.build([base!]);
    await after.setWeights(weights);
    const warned = warnings();
    after.applyGradients({ late_base: tf.tensor1d([1]), late_stem: tf.tensor1d([1]) });
    expect(warned.join()).toContain(
      "nothing was saved for late_stem, which begin with fresh state. Saved state waits for late_head.",
    );
    after.build([head!]);
    const state = new Map((await after.getWeights()).map(({ name, tensor }) => [name, tensor.dataSync()[0]!]));
    expect(state.get("late_head/norm")).toBe(2);
    expect(state.get("late_stem/momentum")).toBeCloseTo(0.1);
    expect(state.get("late_base/momentum")).toBeCloseTo(0.19);
    expect(after.iterations).toBe(2);
    stem!.dispose();
  });

  const stateOf = async (...names: string[]) => {
    const optimizer = adamax();
    for (const name of names) {
      const w = tf.variable(tf.tensor1d([1]), true, name);
      optimizer.applyGradients({ [w.name]: tf.tensor1d([1]) });
    }
    const weights = (await optimizer.getWeights()).map(({ name, tensor }) => ({ name, tensor: tensor.clone() }));
    for (const name of names) tf.engine().registeredVariables[name]!.dispose();
    return weights;
  };

  test("with one unknown name, nothing goes by place: an error lists both sides", async () => {
    const weights = await stateOf("base", "head");
    const optimizer = adamax();
    optimizer.build(["stem", "base"].map((name) => tf.variable(tf.tensor1d([1]), true, name)));
    await expect(optimizer.setWeights(weights)).rejects.toThrow(/2 variables \(base, head\).*Received none for: stem\./);
    tf.disposeVariables();
  });

  /** The momentums of variables with these names, after state of others was loaded whose momentums are 1, 2, ... */
  const moved = async (from: readonly string[], to: readonly string[]): Promise<number[]> => {
    const optimizer = adamax();
    optimizer.build(to.map((name) => tf.variable(tf.tensor1d([1]), true, name)));
    const state = from.flatMap((name, i) =>
      ["momentum", "norm"].map((array) => ({ name: `${name}/${array}`, tensor: tf.tensor1d([i + 1]) })),
    );
    try {
      await optimizer.setWeights([{ name: "iter", tensor: tf.scalar(1, "int32") }, ...state]);
      const momentums = (await optimizer.getWeights()).filter(({ name }) => name.endsWith("/momentum"));
      return momentums.map(({ tensor }) => tensor.dataSync()[0]!);
    } finally {
      tf.disposeVariables();
    }
  };

  test.each([
    ["variables without a name", ["7001", "7002"], ["7002", "7003"]],
    ["layers without a name", ["dense_Dense3/kernel", "dense_Dense4/kernel"], ["dense_Dense4/kernel", "dense_Dense5/kernel"]],
  ])("of %s that TensorFlow.js has counted on, each gets what was at its place", async (_, from, to) => {
    expect(await moved(from, to)).toEqual([1, 2]);
  });

  test.each([
    ["w_2", ["w_1", "w_2"], ["w_2", "w_3"]],
    ["e/w_2", ["e/w_1", "e/w_2"], ["e/w_2", "e/w_3"]],
    ["w_2 and w_3", ["w_1"], ["w_2"]],
    ["dense_Dense4/kernel", ["dense_Dense3/kernel", "dense_Dense4/kernel"], ["dense_Dense4/kernel", "dense_Dense9/kernel"]],
  ])("%s is a name: its state goes to no other", async (_, from, to) => {
    await expect(moved(from, to)).rejects.toThrow(`Received none for: ${to.at(-1)}.`);
  });

  test("of variables that loading has renamed, each gets its own", async () => {
    const weights = await stateOf("a/kernel", "b/kernel");
    const optimizer = adamax();
    const [b, a] = ["b/kernel_1", "a/kernel_1"].map((name) => tf.variable(tf.tensor1d([1]), true, name));
    optimizer.build([b!, a!]);
    await optimizer.setWeights(weights);
    const [, momentumOfB, , momentumOfA] = await optimizer.getWeights();
    const [, ofA, , ofB] = weights;
    expect([momentumOfA, momentumOfB].map((one) => one!.tensor.dataSync())).toEqual(
      [ofA, ofB].map((one) => one!.tensor.dataSync()),
    );
    tf.disposeVariables();
  });
});

test("averages that were loaded are written before the first step, where it is known into what; else that is an error", async () => {
  registerAdamax();
  const model = modelOf(adamax({ useEma: true }), layer("deployed"));
  for (let i = 0; i < 3; i++) await model.trainOnBatch(xs(), ys());
  const artifacts = await saved(model);
  (model.optimizer as Adamax).finalizeVariableValues();
  const load = () => tf.loadLayersModel(tf.io.fromMemory(artifacts));

  const loaded = await load();
  const optimizer = loaded.optimizer as Adamax;
  for (const call of ["finalizeVariableValues", "resetAverages", "swapAverages"] as const)
    expect(() => optimizer[call]()).toThrow(
      `Averages that were loaded wait for their variables. Received: ${call} before any is known. Call optimizer.build(`,
    );
  expect(weight(loaded)).toBeLessThan(4);
  optimizer.finalizeVariableValues(loaded.trainableWeights);
  expect(weight(loaded)).toBe(weight(model));

  const again = await load();
  again.setWeights([tf.tensor2d([[50]])]);
  (again.optimizer as Adamax).resetAverages(again.trainableWeights);
  await fit(again);
  expect(weight(again)).toBeGreaterThan(49.9);
});

test("a model that is saved before its first step is trained after loading, as it would have been", async () => {
  const model = modelOf(adamax(), layer("early"));
  const artifacts = await saved(model);
  registerAdamax();
  const loaded = await tf.loadLayersModel(tf.io.fromMemory(artifacts));
  await fit(model);
  await fit(loaded);
  expect(weight(loaded)).toBe(weight(model));
});

test("a layer that is frozen in an open window of micro-batches does not move", async () => {
  const optimizer = adamax({ gradientAccumulationSteps: 2 });
  const model = modelOf(optimizer, layer("moves"), layer("stays"));
  await fit(model, 3);
  const frozen = weight(model, 1);
  model.layers[2]!.trainable = false;
  model.compile({ optimizer, loss: "meanSquaredError" });
  const moving = weight(model, 0);
  await fit(model, 1);
  expect([weight(model, 1), weight(model, 0) === moving]).toEqual([frozen, false]);
});

describe("iterations and schedules", () => {
  test("iterations can be set, so that a schedule starts at a step", () => {
    const optimizer = new Adamax({
      learningRate: new schedules.PiecewiseConstantDecay({ boundaries: [10], values: [1, 0.25] }),
    });
    optimizer.iterations = 20;
    expect([optimizer.iterations, optimizer.learningRate]).toEqual([20, 0.25]);
    expect(() => {
      optimizer.iterations = -1;
    }).toThrow("iterations of Adamax must be an integer of 0 or more");
  });

  test("a schedule takes the place of a number, and of another schedule; a number does not", () => {
    const optimizer = adamax();
    optimizer.learningRate = new schedules.CosineDecay({ initialLearningRate: 0.5, decaySteps: 10 });
    expect(optimizer.learningRate).toBe(0.5);
    const again = Adamax.fromConfig(optimizer.getConfig());
    again.iterations = 10;
    expect(again.learningRate).toBe(0); // the schedule is in the configuration
    optimizer.learningRate = new schedules.ExponentialDecay({ initialLearningRate: 0.25, decaySteps: 10, decayRate: 0.5 });
    expect(optimizer.learningRate).toBe(0.25);
    expect(() => {
      optimizer.learningRate = 0.1;
    }).toThrow("learningRate of Adamax must be a schedule with at(step). Received: learningRate=0.1");
  });
});
