/** The parts of examples/speech that everything there rests on, and its short run. */
import { execFile } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { promisify } from "node:util";
import * as tf from "@tensorflow/tfjs";
import { Adamax } from "adamax/tfjs";
import { beforeAll, describe, expect, test } from "vitest";
import { mixStream } from "../../examples/speech/mixture.ts";
import { disposeBatch, Network, toBatch } from "../../examples/speech/network.ts";
import { normal, seeded } from "../../examples/speech/random.ts";
import { splitOf } from "../../examples/speech/recording.ts";
import { loadRecordings } from "../../examples/speech/recordings.ts";
import { siSdr } from "../../examples/speech/si-sdr.ts";
import { analyse, synthesise } from "../../examples/speech/spectrogram.ts";
import { trainStep } from "../../examples/speech/training.ts";
import { dataMatMul, matMul, useWasm } from "../../examples/tfjs-wasm.ts";

const numbers = (seed: number, length: number) => {
  const random = seeded(seed);
  return Float32Array.from({ length }, () => normal(random));
};

const someFrames = () => {
  const [count, bins] = [8, 129];
  return toBatch({
    count,
    features: numbers(1, count * 645),
    targets: numbers(2, count * bins).map((value) => Math.min(1, Math.abs(value))),
    weights: numbers(3, count * bins).map(Math.abs),
  });
};

describe("the network", () => {
  beforeAll(useWasm);

  test.for([
    ["matMul", matMul],
    ["dataMatMul", dataMatMul],
  ] as const)("the gradient of %s is TensorFlow.js' own to the last bits", ([, product]) => {
    const a = tf.tensor2d(numbers(1, 32 * 24), [32, 24]);
    const b = tf.tensor2d(numbers(2, 24 * 16), [24, 16]);
    const target = tf.tensor2d(numbers(3, 32 * 16), [32, 16]);
    const loss = (multiply: typeof matMul) => (right: tf.Tensor) =>
      tf.losses.meanSquaredError(target, multiply(a, right as tf.Tensor2D));
    const ours = tf.grad(loss(product))(b).dataSync();
    const stock = tf
      .grad(loss((left, right) => tf.matMul(left, right)))(b)
      .dataSync();
    const largest = Math.max(...stock.map(Math.abs));
    for (const [i, value] of stock.entries()) expect(Math.abs(ours[i]! - value)).toBeLessThan(1e-6 * largest); // sums in another order
  });

  test("gradients reach the first layer through both products", () => {
    const network = new Network(1);
    const batch = someFrames();
    const { grads } = tf.variableGrads(() => network.loss(network.mask(batch.features), batch), network.variables);
    for (const { name } of network.variables) expect(tf.norm(grads[name]!).dataSync()[0], name).toBeGreaterThan(0);
    network.dispose();
  });
});

describe("the optimizer in it", () => {
  beforeAll(useWasm);

  // TensorFlow.js' wasm backend keeps packed copies of the matrices it has multiplied by. Weights changed behind its back are not seen.
  test("the losses of five steps are those of TensorFlow.js' own Adamax", () => {
    const losses = (optimizer: tf.Optimizer) => {
      const network = new Network(1);
      const batch = someFrames();
      const values = Array.from({ length: 5 }, () => trainStep(network, optimizer, batch).loss);
      network.dispose();
      disposeBatch(batch);
      return values;
    };
    const [ours, stock] = [losses(new Adamax({ learningRate: 0.004 })), losses(tf.train.adamax(0.004))];
    for (const [step, loss] of ours.entries()) expect(Math.abs(loss / stock[step]! - 1), `step ${step}`).toBeLessThan(1e-5);
  });
});

describe("the sounds", () => {
  test("at least 60 recordings are shipped, and every part has some", () => {
    const parts = loadRecordings();
    expect(parts.train.length + parts.validation.length + parts.test.length).toBeGreaterThanOrEqual(60);
    for (const [split, recordings] of Object.entries(parts)) {
      expect(recordings.length, split).toBeGreaterThanOrEqual(10);
      for (const { name } of recordings) expect(splitOf(name)).toBe(split);
    }
  });

  test("a sound survives its spectrogram", () => {
    const sound = numbers(4, 5000);
    expect(siSdr(synthesise(analyse(sound), sound.length), sound)).toBeGreaterThan(100); // float32 bins
  });

  test("equal seeds give equal mixtures, other seeds others", () => {
    const voices = loadRecordings().test.map(({ samples }) => samples);
    const mixture = (seed: number) => mixStream(10, { random: seeded(seed), voices }).noisy;
    expect(mixture(1)).toEqual(mixture(1));
    expect(mixture(1)).not.toEqual(mixture(2));
  });
});

test("the short run ends with a table, a page that needs nothing else, and sounds", { timeout: 100_000 }, async () => {
  const started = Date.now();
  const env = { ...process.env, TSX_TSCONFIG_PATH: "tsconfig.build.json" }; // "adamax" is dist, not src
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", "examples/speech/main.ts", "--quick"], {
    env,
  });
  expect(stdout).toMatch(/network +[+−]\d/);
  for (const label of ["TensorFlow.js Adamax", "Adamax", "Adamax, clipping and averaging"])
    expect(stdout).toContain(`  ${label} `);
  expect(stdout).toMatch(/Best on this stream: .+, \d\.\d\d dB before/);
  const page = readFileSync("examples/speech/out/report.html", "utf8");
  expect(statSync("examples/speech/out/report.html").mtimeMs).toBeGreaterThan(started);
  expect(page.match(/<audio/g)).toHaveLength(20);
  const text = page.replace(/data:[^"]+/g, "data:");
  expect(text.match(/(src|href)="(?!data:)/)).toBeNull();
  expect(text.match(/NaN|Infinity|undefined/)).toBeNull();
  expect(readdirSync("examples/speech/out").filter((name) => name.endsWith(".wav"))).toHaveLength(20);
});
