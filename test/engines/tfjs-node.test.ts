/** On tfjs-node, which test/tfjs runs on as well: the packed package as a program uses it, and what is different there. */

import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Adamax } from "adamax/tfjs";
import { afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { tf, use } from "../tfjs/backends.js";
import { compile, data, twoLayers, wave } from "../tfjs/models.js";

const HERE = "test/engines/tfjs-node";

beforeEach(() => use("tensorflow"));
afterEach(() => tf.disposeVariables());

test("a program that saves by file:// and is run again goes on with the losses of one that ran on", () => {
  for (const part of ["dist", "package.json"])
    cpSync(part, `${HERE}/node_modules/adamax/${part}`, { recursive: true, force: true });
  const folder = mkdtempSync(join(tmpdir(), "adamax-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const run = (name: string, steps: number) => {
    const words = [`${HERE}/train.mjs`, join(folder, name), `${steps}`];
    const printed = execFileSync(process.execPath, words, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    return JSON.parse(printed.trim().split("\n").at(-1)!) as { losses: number[]; iterations: number; name: string; why: string };
  };
  const whole = run("whole", 20);
  const halves = [run("halves", 8), run("halves", 12)];
  expect(halves.flatMap(({ losses }) => losses)).toEqual(whole.losses);
  expect(halves.map(({ iterations }) => iterations)).toEqual([8, 20]);
  expect(whole.losses[19]).toBeLessThan(whole.losses[0]!);
  expect([whole.name, whole.why]).toEqual([
    "wasm",
    expect.stringContaining("TensorFlow.js runs on tensorflow, so gradients are copied"),
  ]);
}, 120_000);

test("what is assigned to a variable is what the next step starts from, also where a constraint did it", () => {
  const w = tf.variable(tf.tensor1d([1, 2]), true, "w");
  const adamax = new Adamax({ learningRate: 0.5 });
  const still = tf.zeros([2]);
  const values: number[][] = [];
  for (const value of [
    [3, 4],
    [5, 6],
    [5, 6],
  ]) {
    w.assign(tf.tensor1d(value));
    adamax.applyGradients({ w: still });
    values.push([...w.dataSync()]);
  }
  expect(values).toEqual([
    [3, 4],
    [5, 6],
    [5, 6],
  ]);
  const clip = { apply: (value: tf.Tensor) => value.clipByValue(0, 1) };
  adamax.build([{ read: () => w, constraint: clip }]);
  adamax.applyGradients({ w: tf.tensor1d([-1, -1]) });
  adamax.applyGradients({ w: tf.tensor1d([1, 1]) });
  expect([...w.dataSync()].every((value) => value < 1)).toBe(true);
});

/** Few and many. */
const lengths = [3, 5000];

test.each(lengths)("what was taken of a variable of %i elements stays as it was, whenever that was", (length) => {
  const w = tf.variable(tf.tensor2d(wave(length), [1, length]));
  const adamax = new Adamax({ learningRate: 0.1, useEma: true });
  const step = () => adamax.applyGradients([{ name: w.name, tensor: tf.ones([1, length]) }]);
  const swap = () => adamax.swapAverages();
  for (const write of [step, step, swap, swap, step, () => adamax.finalizeVariableValues(), step])
    for (const isUsed of [true, false]) {
      if (isUsed) w.square().dispose();
      const [clone, read, twin, reshaped] = [w.clone(), w.dataSync(), tf.variable(w), w.reshape([length])];
      const before = [...read];
      write();
      for (const taken of [clone, twin, reshaped]) expect([...taken.dataSync()]).toEqual(before);
      expect([...read]).toEqual(before);
      if (write === step) expect([...w.dataSync()]).not.toEqual(before);
    }
});

test.each(lengths)("%i elements that dataSync gave are the caller's: to write to them changes no later step", (length) => {
  const run = (writes: boolean) => {
    const w = tf.variable(tf.tensor1d(wave(length)));
    const adamax = new Adamax({ learningRate: 0.1 });
    for (let step = 0; step < 3; step++) {
      adamax.applyGradients([{ name: w.name, tensor: tf.tensor1d(wave(length, step)) }]);
      w.square().dispose(); // TensorFlow takes the value
      if (writes) w.dataSync().fill(100);
    }
    return [...w.dataSync()];
  };
  expect(run(true)).toEqual(run(false));
});

test("30 fits leave no tensor behind, and 300 steps over 1e6 parameters no memory", async () => {
  const model = compile(twoLayers(), new Adamax({ useEma: true, globalClipnorm: 1 }));
  const { xs, ys } = data();
  const fit = () => model.fit(xs, ys, { epochs: 2, batchSize: 8, verbose: 0 });
  await fit();
  const { numTensors, numBytes } = tf.memory();
  for (let i = 0; i < 30; i++) await fit();
  expect(tf.memory()).toMatchObject({ numTensors, numBytes });

  const w = tf.variable(tf.zeros([1_000_000]));
  const gradients = [{ name: w.name, tensor: tf.ones([1_000_000]) }];
  const adamax = new Adamax();
  const steps = (count: number) => {
    for (let i = 0; i < count; i++) {
      adamax.applyGradients(gradients);
      w.square().dispose();
    }
  };
  steps(50);
  const { rss } = process.memoryUsage();
  steps(300); // 4 MB each
  expect(process.memoryUsage().rss - rss).toBeLessThan(300e6);
});
