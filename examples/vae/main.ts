/** A variational autoencoder on MNIST, over as many ranks as mpirun started, on TensorFlow.js' wasm backend. `--quick` is the short form that the tests run. */

import { mkdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { schedules } from "adamax";
import { createMesh } from "adamax/mesh";
import { Adamax } from "adamax/tfjs";
import { Progress } from "../speech/progress.ts";
import { table } from "../speech/text.ts";
import { useWasm } from "../tfjs-wasm.ts";
import { testBatch, trainingGreys } from "./data.ts";
import type { Autoencoder } from "./network.ts";
import { lastBound, mean, type Outcome, readKeras, spread } from "./outcomes.ts";
import { reconstructions, samples, walks } from "./pictures.ts";
import { readPlan } from "./plan.ts";
import { reportPage } from "./report.ts";
import { train } from "./training.ts";

const mesh = await createMesh([["batch", -1]]);
const isFirst = mesh.rank === 0; // of the ranks: the one that speaks

const length = process.argv.includes("--quick") ? "quick" : "full";
const plan = readPlan(length);

/** The recipe of those who train such models. */
const newOptimizer = (): Adamax => {
  const { learningRate, lastShare, weightDecay, globalClipnorm } = plan.optimizer;
  const steps = plan.epochs * Math.floor(plan.digits / plan.batchSize);
  const optimizer = new Adamax({
    mesh,
    learningRate: new schedules.CosineDecay({
      initialLearningRate: 0,
      warmupTarget: learningRate,
      warmupSteps: plan.warmupSteps,
      decaySteps: steps - plan.warmupSteps,
      alpha: lastShare,
    }),
    weightDecay,
    globalClipnorm,
    useEma: true,
    emaMomentum: plan.emaMomentum,
  });
  optimizer.excludeFromWeightDecay({ names: ["bias"] });
  return optimizer;
};

const keras = readKeras();
await useWasm();
const started = performance.now();
const greys = trainingGreys(plan.digits);
const test = testBatch(plan.testDigits, plan.network.latent);
const ranks = mesh.size === 1 ? "1 rank" : `${mesh.size} ranks`;
const say = (text: string) => isFirst && console.log(text);

const outcomes: Outcome[] = [];
let network: Autoencoder | undefined;
for (const seed of plan.seeds) {
  const progress = new Progress(`Seed ${seed}, ${ranks}`, plan.epochs);
  network?.dispose();
  const tell = (epoch: number, bound: number) => {
    if (isFirst) progress.update(epoch, `${bound.toFixed(2)} nats`);
  };
  const optimizer = newOptimizer();
  const trained = train({ plan, seed, optimizer, ranks: mesh, greys, test, tell });
  optimizer.dispose();
  network = trained.network;
  outcomes.push({ seed, bounds: trained.bounds });
}
const seconds = (performance.now() - started) / 1000;

const reached = [outcomes, keras[length]].map((trainings) => trainings.map(lastBound));
const [ours, theirs] = reached as [number[], number[]];
say(`\nNegative ELBO on ${plan.testDigits} test digits after ${plan.epochs} epochs over ${plan.digits}, in nats for one digit:`);
const row = (label: string, values: readonly number[]) => [
  label,
  ...values.map((value) => value.toFixed(3)),
  mean(values).toFixed(3),
  spread(values).toFixed(3),
];
say(
  table([
    ["", ...plan.seeds.map((seed) => `seed ${seed}`), "mean", "from least to most"],
    row(`here, ${ranks}`, ours),
    row("Keras", theirs),
  ]),
);
say(`Keras: ${keras.madeBy}, by keras.py, from keras.json.`);

if (isFirst) {
  const out = fileURLToPath(new URL("out", import.meta.url));
  const pictures = {
    samples: samples(network!, plan.network.latent, 20, 8, 1),
    reconstructions: reconstructions(network!, test, 20, 3),
    walks: walks(network!, test, 20, 6),
  };
  mkdirSync(out, { recursive: true });
  for (const [name, { png }] of Object.entries(pictures)) writeFileSync(join(out, `${name}.png`), png);
  const page = join(out, "report.html");
  writeFileSync(
    page,
    reportPage({ plan, length, ranks, seconds, outcomes, keras: keras[length], madeBy: keras.madeBy, pictures }),
  );
  console.log(`\n${relative(process.cwd(), page)}: samples, reconstructions and curves. ${seconds.toFixed(0)} s of training.`);
}
