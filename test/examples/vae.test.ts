/** The short run of examples/vae, against what real Keras reached with the same first weights, order, pixels and noise. */
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";
import * as tf from "@tensorflow/tfjs";
import { describe, expect, test } from "vitest";
import { useWasm } from "../../examples/tfjs-wasm.ts";
import { Autoencoder } from "../../examples/vae/network.ts";
import { lastBound, readKeras } from "../../examples/vae/outcomes.ts";

const [keras] = readKeras().quick;

/** Of the line that begins so: the bound that its seed reached. */
const boundIn = (output: string, label: string): number =>
  Number(new RegExp(`^ *${label}.*? ([\\d.]+) +[\\d.]+ +[\\d.]+ *$`, "m").exec(output.replaceAll("\r", ""))![1]);

/** The difference that the README shows, taken back. Fails where the program does not have its lines. */
const withoutRanks = (program: string, readme: string): string => {
  const difference = /```diff\n([\s\S]*?)```/
    .exec(readme)![1]!
    .split("\n")
    .filter((line) => /^[-+]./.test(line));
  let lines = program.split("\n");
  for (const [i, line] of difference.entries()) {
    if (line.startsWith("-")) continue;
    expect(lines).toContain(line.slice(1));
    const before = difference[i - 1]?.startsWith("-") ? [difference[i - 1]!.slice(1)] : [];
    lines = lines.flatMap((one) => (one === line.slice(1) ? before : [one]));
  }
  return lines.join("\n");
};

describe("the short run", { timeout: 120_000 }, () => {
  test("over two ranks ends at the bound of Keras, with a page that needs nothing else", async () => {
    const started = Date.now();
    const { stdout } = await promisify(execFile)("bash", ["examples/vae/start.sh", "--quick"]);
    // Sums in another order make 0.0002 nats of difference after 128 steps. Any part of the recipe left out makes at least 0.018 (weight decay).
    expect(Math.abs(boundIn(stdout, "here, 2 ranks") - lastBound(keras!))).toBeLessThan(0.005);
    const file = "examples/vae/out/report.html";
    expect(statSync(file).mtimeMs).toBeGreaterThan(started);
    const page = readFileSync(file, "utf8");
    expect(page.match(/<img/g)).toHaveLength(3);
    const text = page.replace(/data:[^"]+/g, "data:");
    expect(text.match(/(src|href)="(?!data:)/)).toBeNull();
    expect(text.match(/NaN|Infinity|undefined/)).toBeNull();
  });

  test("over three ranks, whose parts of a batch are not equal and whose shares are cut inside of kernels, ends there too", async () => {
    const { stdout } = await promisify(execFile)("bash", ["examples/vae/start.sh", "--quick"], {
      env: { ...process.env, RANKS: "3" },
    });
    expect(Math.abs(boundIn(stdout, "here, 3 ranks") - lastBound(keras!))).toBeLessThan(0.005);
  });

  test("without the two lines that its README names, and their import, is a program for one process", async () => {
    const alone = withoutRanks(readFileSync("examples/vae/main.ts", "utf8"), readFileSync("examples/vae/README.md", "utf8"));
    expect(alone).not.toMatch(/createMesh|^ *mesh,$/m);
    const file = "examples/vae/out/one-process.ts"; // beside nothing that it imports
    mkdirSync("examples/vae/out", { recursive: true });
    writeFileSync(file, alone.replaceAll('from "../', 'from "../../').replaceAll('from "./', 'from "../'));
    const env = { ...process.env, TSX_TSCONFIG_PATH: "tsconfig.build.json" }; // "adamax" is dist, not src
    const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", file, "--quick"], { env });
    expect(Math.abs(boundIn(stdout, "here, 1 rank") - lastBound(keras!))).toBeLessThan(0.005);
  });

  test("without mpirun, the script that starts ranks says what to install", async () => {
    const running = promisify(execFile)("/bin/bash", ["examples/vae/start.sh"], { env: { PATH: "/nowhere" } });
    await expect(running).rejects.toThrow(/apt-get install openmpi-bin/);
  });
});

test("the bound is the cross entropy of the pixels and the divergence from the prior, worked out one digit after the other", async () => {
  await useWasm();
  const sizes = { hidden: 5, latent: 2 };
  const network = new Autoencoder(sizes, 1);
  const images = tf.tensor2d(
    Float32Array.from({ length: 3 * 784 }, (_, i) => ((i * 7) % 3 === 0 ? 1 : 0)),
    [3, 784],
  );
  const noise = tf.tensor2d([0.5, -1, 2, 0.25, -0.5, 1], [3, 2]);
  const loss = network.loss(images, noise).dataSync()[0]!;

  const [mean, logVariance] = network.encode(images).map((rows) => rows.arraySync() as number[][]);
  const latent = mean!.map((row, i) =>
    row.map((m, j) => m + Math.exp(logVariance![i]![j]! / 2) * (noise.arraySync() as number[][])[i]![j]!),
  );
  const logits = network.decode(tf.tensor2d(latent)).arraySync() as number[][];
  const entropy = logits.flatMap((row, i) =>
    row.map((logit, j) => {
      const chance = 1 / (1 + Math.exp(-logit));
      return -Math.log((images.arraySync() as number[][])[i]![j] === 1 ? chance : 1 - chance);
    }),
  );
  const divergence = mean!.flatMap((row, i) =>
    row.map((m, j) => (Math.exp(logVariance![i]![j]!) + m ** 2 - logVariance![i]![j]! - 1) / 2),
  );
  const whole = [...entropy, ...divergence].reduce((a, b) => a + b) / 3;
  expect(Math.abs(loss / whole - 1)).toBeLessThan(1e-5); // float32
  network.dispose();
});
