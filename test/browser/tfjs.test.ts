/** Tensors on a GPU: TensorFlow.js' webgl and webgpu backends, as Chromium runs them in software. */

import * as tf from "@tensorflow/tfjs";
import "@tensorflow/tfjs-backend-webgpu";
import { Adamax as CoreAdamax, type AdamaxOptions as CoreOptions, schedules, Variable } from "adamax";
import { Adamax, type AdamaxOptions, tfOptimizer } from "adamax/tfjs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Adam } from "../../examples/rules/adam.js";
import { Lamb } from "../../examples/rules/lamb.js";
import { Lion } from "../../examples/rules/lion.js";
import { SGD } from "../../examples/rules/sgd-momentum.js";

const wave = (length: number, phase: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898 + phase) * 2);

const options: [string, AdamaxOptions][] = [
  ["no option", {}],
  ["a schedule", { learningRate: new schedules.ExponentialDecay({ initialLearningRate: 0.1, decaySteps: 2, decayRate: 0.5 }) }],
  ["betas", { learningRate: 0.1, beta1: 0.5, beta2: 0.5 }],
  ["an epsilon of 1e-30", { learningRate: 0.1, epsilon: 1e-30 }],
  ["weightDecay", { learningRate: 0.1, weightDecay: 0.5 }],
  ["clipnorm", { learningRate: 0.1, clipnorm: 0.5 }],
  ["clipvalue", { learningRate: 0.1, clipvalue: 0.5 }],
  ["globalClipnorm", { learningRate: 0.1, globalClipnorm: 0.5 }],
  ["an average", { learningRate: 0.1, useEma: true, emaMomentum: 0.5, emaOverwriteFrequency: 2 }],
  ["an average from the first step", { learningRate: 0.1, useEma: true, emaStart: "firstStep" }],
  ["accumulation", { learningRate: 0.1, gradientAccumulationSteps: 2, lossScaleFactor: 3 }],
  ["groups", { groups: [{ names: ["^w$"], learningRateMultiplier: 0.5, weightDecay: 0.1 }], learningRate: 0.1 }],
];

describe.each(["webgl", "webgpu"])("on %s", (backend) => {
  beforeEach(async () => {
    expect(await tf.setBackend(backend)).toBe(true);
  });
  afterEach(() => tf.disposeVariables());

  const shapes: Record<string, number[]> = { w: [20, 30], b: [5000], s: [] };
  const names = Object.keys(shapes);
  const gradient = (name: string, step: number) => wave(tf.util.sizeFromShape(shapes[name]!), step + name.charCodeAt(0));

  test.each(options)("%s: the core's steps, and no tensor but the state is left behind", async (_, given) => {
    const adamax = new Adamax(given);
    expect(adamax.backend.name).toBe(backend);
    const core = new CoreAdamax(given as unknown as CoreOptions);
    const tensors = names.map((name) => tf.variable(tf.tensor(gradient(name, 0), shapes[name]), true, name));
    const variables = names.map((name) => new Variable(gradient(name, 0), { shape: shapes[name]!, name }));
    const snapshot = tensors[0]!.clone();
    const counts: number[] = [];
    let worst = 0; // in ulps of values between 1 and 2
    const compare = async () => {
      for (const [i, { value }] of variables.entries())
        for (const [e, reached] of (await tensors[i]!.data()).entries())
          worst = Math.max(worst, Math.abs(reached - value[e]!) / 2 ** -23);
    };
    for (let step = 1; step < 7; step++) {
      tf.tidy(() =>
        adamax.applyGradients(Object.fromEntries(names.map((name) => [name, tf.tensor(gradient(name, step), shapes[name])]))),
      );
      core.applyGradients(names.map((name, i) => [gradient(name, step), variables[i]!]));
      counts.push(tf.memory().numTensors);
      await compare();
    }
    await adamax.download();
    adamax.finalizeVariableValues();
    core.finalizeVariableValues();
    await compare();
    // The same operations, each rounded once. On webgl norms are summed in float32, and in the core in float64.
    const hasNorm = "clipnorm" in given || "globalClipnorm" in given;
    expect(worst).toBeLessThanOrEqual(hasNorm && backend === "webgl" ? 4 : 0);
    expect(new Set(counts.slice(1)).size).toBe(1);
    expect(await snapshot.data()).toEqual(gradient("w", 0));
    const { numTensors } = tf.memory();
    adamax.dispose();
    // On webgpu the state lies in buffers of ours; tfjs-webgpu.test.ts counts them.
    if (backend === "webgl") expect(tf.memory().numTensors).toBeLessThan(numTensors);
    else expect(tf.memory().numTensors).toBe(numTensors);
  });

  test("fit trains a model, and ends with its averages", async () => {
    const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [1], kernelInitializer: "zeros" })] });
    const optimizer = new Adamax({ learningRate: 0.2, useEma: true, emaMomentum: 0.8 });
    model.compile({ optimizer, loss: "meanSquaredError" });
    const xs = tf.linspace(-1, 1, 16).reshape([16, 1]);
    await model.fit(xs, xs.mul(3).add(1), { epochs: 100, batchSize: 16, verbose: 0 });
    const [kernel, bias] = await Promise.all(model.getWeights().map(async (weight) => (await weight.data())[0]));
    expect(kernel).toBeCloseTo(3, 1);
    expect(bias).toBeCloseTo(1, 1);
    const averages = (await optimizer.getWeights()).filter(({ name }) => name.endsWith("/average"));
    expect(await Promise.all(averages.map(async ({ tensor }) => (await tensor.data())[0]))).toEqual([kernel, bias]);
  });

  test.each(Object.entries({ Adam, Lamb, Lion, SGD }))("%s, a rule of one's own: the core's steps", async (_, Rule) => {
    const options = { learningRate: 0.1 };
    const [ours, core] = [new (tfOptimizer<typeof Adam>(Rule as typeof Adam))(options), new Rule(options)];
    const tensors = names.map((name) => tf.variable(tf.tensor(gradient(name, 0), shapes[name]), true, name));
    const variables = names.map((name) => new Variable(gradient(name, 0), { shape: shapes[name]!, name }));
    for (let step = 1; step < 5; step++) {
      tf.tidy(() =>
        ours.applyGradients(Object.fromEntries(names.map((name) => [name, tf.tensor(gradient(name, step), shapes[name])]))),
      );
      core.applyGradients(names.map((name, i) => [gradient(name, step), variables[i]!]));
    }
    let worst = 0; // in ulps of values between 1 and 2
    for (const [i, { value }] of variables.entries())
      for (const [e, reached] of (await tensors[i]!.data()).entries())
        worst = Math.max(worst, Math.abs(reached - value[e]!) / 2 ** -23);
    // Its norms are summed in float32 on webgl, and in float64 in the core.
    expect(worst).toBeLessThanOrEqual(Rule === Lamb && backend === "webgl" ? 4 : 0);
    ours.dispose();
  });

  test("a layer's constraint holds after each step of fit", async () => {
    const model = tf.sequential({ layers: [tf.layers.dense({ units: 3, inputShape: [4], kernelConstraint: "unitNorm" })] });
    model.compile({ optimizer: new Adamax({ learningRate: 0.1 }), loss: "meanSquaredError" });
    await model.fit(tf.tensor2d(wave(32, 1), [8, 4]), tf.tensor2d(wave(24, 2), [8, 3]), { epochs: 3, verbose: 0 });
    const kernel = await model.getWeights()[0]!.data();
    for (const column of [0, 1, 2]) {
      const norm = Math.hypot(...kernel.filter((_, i) => i % 3 === column));
      expect(norm).toBeCloseTo(1, 3); // TensorFlow.js divides by the norm and an epsilon of its own, 1e-4 here
    }
  });

  test("steps, saves, and models made, fitted and disposed of leave no tensor behind", async () => {
    const [xs, ys] = [tf.tensor2d(wave(32, 1), [8, 4]), tf.tensor2d(wave(8, 2), [8, 1])];
    const keep = tf.io.withSaveHandler(async () => ({
      modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" },
    }));
    const round = async () => {
      const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [4] })] });
      model.compile({ optimizer: new Adamax({ useEma: true, globalClipnorm: 1 }), loss: "meanSquaredError" });
      await model.fit(xs, ys, { epochs: 2, verbose: 0 });
      await model.save(keep, { includeOptimizer: true });
      const { numTensors } = tf.memory();
      for (let i = 0; i < 20; i++) await model.trainOnBatch(xs, ys);
      for (let i = 0; i < 5; i++) await model.save(keep, { includeOptimizer: true });
      expect(tf.memory().numTensors).toBe(numTensors);
      model.optimizer.dispose();
      model.dispose();
    };
    await round();
    const { numTensors } = tf.memory();
    for (let i = 0; i < 3; i++) await round();
    expect(tf.memory().numTensors).toBe(numTensors);
  });

  test("state saved after three steps makes the fourth", async () => {
    const step = (adamax: Adamax, i: number) =>
      tf.tidy(() => adamax.applyGradients({ w: tf.tensor(gradient("w", i), shapes.w) }));
    const w = tf.variable(tf.tensor(gradient("w", 0), shapes.w), true, "w");
    const first = new Adamax({ learningRate: 0.1, useEma: true });
    for (let i = 1; i < 4; i++) step(first, i);
    const saved = await first.getWeights();
    const before = await w.data();
    step(first, 4);
    const wanted = await w.data();
    const second = new Adamax({ learningRate: 0.1, useEma: true });
    await second.setWeights(saved);
    tf.tidy(() => w.assign(tf.tensor(before, shapes.w)));
    step(second, 4);
    expect(await w.data()).toEqual(wanted);
    expect(second.iterations).toBe(4);
  });

  test("a NaN gradient poisons its own element and no other", async () => {
    const w = tf.variable(tf.ones([5]), true, "w");
    const adamax = new Adamax({ learningRate: 0.1, clipvalue: 1 });
    for (const nan of [Number.NaN, 0]) tf.tidy(() => adamax.applyGradients({ w: tf.tensor1d([0, 1, nan, 2, 3]) }));
    expect([...(await w.data())].map(Number.isNaN)).toEqual([false, false, true, false, false]);
  });

  test("with a backend of one's own the step runs there, with the core's bits", async () => {
    const adamax = new Adamax({ learningRate: 0.1, globalClipnorm: 1, backend: "wasm" });
    const core = new CoreAdamax({ learningRate: 0.1, globalClipnorm: 1 });
    const tensor = tf.variable(tf.tensor(gradient("w", 0), shapes.w), true, "w");
    const variable = new Variable(gradient("w", 0), { shape: shapes.w! });
    for (let i = 1; i < 4; i++) {
      tf.tidy(() => adamax.applyGradients({ w: tf.tensor(gradient("w", i), shapes.w) }));
      core.applyGradients([[gradient("w", i), variable]]);
    }
    expect(await tensor.data()).toEqual(variable.value);
  });
});

describe("where webgl has 16-bit floats only", () => {
  /** TensorFlow.js' webgl backend anew, with textures of so many bits, as on a device that has no more. */
  const renew = async (bits: 16 | 32): Promise<void> => {
    const factory = tf.findBackendFactory("webgl");
    tf.removeBackend("webgl");
    tf.env().set("WEBGL_FORCE_F16_TEXTURES", bits === 16);
    tf.env().set("WEBGL_RENDER_FLOAT32_ENABLED", bits === 32);
    tf.env().set("WEBGL_CPU_FORWARD", bits === 32); // else small tensors would never see a texture
    tf.registerBackend("webgl", factory);
    expect(await tf.setBackend("webgl")).toBe(true);
  };
  beforeEach(() => renew(16));
  afterEach(async () => {
    tf.disposeVariables();
    await renew(32);
  });

  test("TensorFlow.js computes in 16 bits, and has an epsilon of 1e-4", async () => {
    expect(tf.backend().epsilon()).toBe(1e-4);
    const sum = tf.add(tf.tensor1d([1]), tf.tensor1d([2 ** -13]));
    expect((await sum.data())[0]).toBe(1);
  });

  test("the step runs in float32 elsewhere, with the core's bits and the epsilon that was given", async () => {
    const options = { learningRate: 2 ** -13, epsilon: 1e-12, globalClipnorm: 1e-3, useEma: true };
    const [adamax, core] = [new Adamax(options), new CoreAdamax(options)];
    expect(adamax.backend.name).toBe("wasm");
    const tensor = tf.variable(tf.tensor1d(wave(1000, 0)), true, "w");
    const variable = new Variable(wave(1000, 0));
    for (let i = 1; i < 5; i++) {
      tf.tidy(() => adamax.applyGradients({ w: tf.tensor1d(wave(1000, i)) }));
      core.applyGradients([[wave(1000, i), variable]]);
    }
    expect(await tensor.data()).toEqual(variable.value);
    expect(variable.value[1]).not.toBe(wave(1000, 0)[1]);
  });

  test("fit trains a model on gradients of 16 bits, without NaN", async () => {
    const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [1], kernelInitializer: "zeros" })] });
    model.compile({ optimizer: new Adamax({ learningRate: 0.2, useEma: true, emaMomentum: 0.8 }), loss: "meanSquaredError" });
    const xs = tf.linspace(-1, 1, 16).reshape([16, 1]);
    await model.fit(xs, xs.mul(3).add(1), { epochs: 100, batchSize: 16, verbose: 0 });
    const [kernel, bias] = await Promise.all(model.getWeights().map(async (weight) => (await weight.data())[0]));
    expect(kernel).toBeCloseTo(3, 1);
    expect(bias).toBeCloseTo(1, 1);
  });
});
