import { Adamax as CoreAdamax, type AdamaxOptions as CoreOptions, schedules, Variable } from "adamax";
import { Adamax, type AdamaxOptions } from "adamax/tfjs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { backends, tf, use } from "./backends.js";

const shapes = [[3, 5], [], [4100], [2, 1, 2]];

/** Numbers that look random, the same in every run. */
const wave = (length: number, phase: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898 + phase) * 2);

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

const options: [string, AdamaxOptions][] = [
  ["no option", {}],
  ["learningRate", { learningRate: 0.1 }],
  ["a schedule", { learningRate: new schedules.ExponentialDecay({ initialLearningRate: 0.1, decaySteps: 2, decayRate: 0.5 }) }],
  ["beta1", { beta1: 0.5 }],
  ["beta2", { beta2: 0.5 }],
  ["epsilon", { epsilon: 0.1 }],
  ["weightDecay", { weightDecay: 0.5 }],
  ["clipnorm", { clipnorm: 0.5 }],
  ["clipvalue", { clipvalue: 0.5 }],
  ["globalClipnorm", { globalClipnorm: 0.5 }],
  ["useEma", { useEma: true, emaMomentum: 0.5 }],
  ["emaOverwriteFrequency", { useEma: true, emaMomentum: 0.5, emaOverwriteFrequency: 2 }],
  ["emaStart", { useEma: true, emaStart: "firstStep" }],
  ["lossScaleFactor", { lossScaleFactor: 3 }],
  ["gradientAccumulationSteps", { gradientAccumulationSteps: 2 }],
  ["jitCompile", { jitCompile: false }],
  ["groups", { groups: [{ names: ["w_0"], learningRateMultiplier: 0.5, weightDecay: 0.1 }], learningRate: 0.1 }],
];

describe.each(backends)("on %s", (backend) => {
  beforeEach(() => use(backend));
  afterEach(() => tf.disposeVariables());

  test.each(options)("%s: the same bits as the core", (_, given) => {
    const adamax = new Adamax(given);
    const core = new CoreAdamax(given as object as CoreOptions);
    const tensors = shapes.map((shape, i) => tf.variable(tf.tensor(wave(sizeOf(shape), i), shape), true, `w_${i}`));
    const variables = shapes.map((shape, i) => new Variable(wave(sizeOf(shape), i), { shape, name: `w_${i}` }));
    for (let step = 0; step < 5; step++) {
      const gradients = shapes.map((shape, i) => wave(sizeOf(shape), 10 * step + i));
      tf.tidy(() =>
        adamax.applyGradients(tensors.map(({ name }, i) => ({ name, tensor: tf.tensor(gradients[i]!, shapes[i]!) }))),
      );
      core.applyGradients(gradients.map((gradient, i) => [gradient, variables[i]!]));
      for (const [i, tensor] of tensors.entries()) expect(tensor.dataSync()).toEqual(variables[i]!.value);
    }
    expect(adamax.iterations).toBe(core.iterations);
    adamax.finalizeVariableValues();
    core.finalizeVariableValues();
    for (const [i, tensor] of tensors.entries()) expect(tensor.dataSync()).toEqual(variables[i]!.value);
  });

  test("snapshots stay what they were: clone, dataSync, and a variable made of the variable", () => {
    const w = tf.variable(tf.tensor1d([1, 2, 3]), true, "w");
    const adamax = new Adamax({ learningRate: 0.1, useEma: true });
    const step = () => tf.tidy(() => adamax.applyGradients({ w: tf.tensor1d([1, 1, 1]) }));
    const swap = () => adamax.swapAverages();
    const writes = [step, step, swap, swap, step, () => adamax.finalizeVariableValues()];
    for (const write of writes) {
      const before = [...w.dataSync()];
      const [clone, read, twin] = [w.clone(), w.dataSync(), tf.variable(w)];
      write();
      expect([...w.dataSync()]).not.toEqual(before);
      expect([...clone.dataSync()]).toEqual(before);
      expect([...read]).toEqual(before);
      expect([...twin.dataSync()]).toEqual(before);
    }
  });

  test("a value assigned between two steps is what the second one starts from", () => {
    const w = tf.variable(tf.tensor1d([1, 2]), true, "w");
    const adamax = new Adamax({ learningRate: 0.5 });
    const zero = tf.zeros([2]);
    adamax.applyGradients({ w: zero });
    w.assign(tf.tensor1d([7, 8]));
    adamax.applyGradients({ w: zero });
    expect([...w.dataSync()]).toEqual([7, 8]);
  });

  test("10,000 steps leave no tensor behind", () => {
    const w = tf.variable(tf.tensor1d([1, 2, 3]), true, "w");
    const gradients = { w: tf.tensor1d([3, 1, 2]) };
    const adamax = new Adamax({ useEma: true, globalClipnorm: 1 });
    const minimize = () => adamax.minimize(() => w.square().sum().asScalar());
    minimize();
    const { numTensors, numBytes } = tf.memory();
    for (let i = 0; i < 10_000; i++) adamax.applyGradients(gradients);
    for (let i = 0; i < 100; i++) minimize();
    expect(tf.memory()).toMatchObject({ numTensors, numBytes });
  });
});
