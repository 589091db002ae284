/** A training that is always the same, run again after it was killed. As a program: `resumable.ts FOLDER [KILL]`; see
 *  kills.ts. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  Adamax,
  type AdamaxOptions,
  type Batches,
  type Callback,
  earlyStopping,
  fit,
  type History,
  inBatches,
  logEpochs,
  reduceLROnPlateau,
  Variable,
} from "adamax";
import { CheckpointManager } from "adamax/checkpoint";
import { everything, random } from "../checkpoint/steps.js";
import { killAt } from "./killing.js";

export interface Plan {
  readonly epochs: number;
  readonly examples: number;
  readonly everyEpochs: number;
  readonly everyBatches: number | null;
  readonly options: AdamaxOptions;
  /** How the batches of an epoch come: at once, or drawn one after the other. */
  readonly data: "array" | "generator" | "async generator";
  readonly validation: boolean;
  readonly patience: number;
  readonly restoreBestWeights: boolean;
}

export const PLAN: Plan = {
  epochs: 6,
  examples: 20,
  everyEpochs: 2,
  everyBatches: 3,
  options: { learningRate: 0.5, globalClipnorm: 1, useEma: true, emaMomentum: 0.8 },
  data: "array",
  validation: true,
  patience: 99,
  restoreBestWeights: false,
};

interface Point {
  readonly x: number;
  readonly y: number;
}

const makePoints = (count: number): Point[] => {
  const next = random(5);
  return Array.from({ length: count }, () => ({ x: next() * 2 - 1, y: next() * 3 }));
};

/** Sets the rate as it goes, in a way that depends on what it has seen: a warmup by batches in a knock-on of epochs. */
class Warmup implements Callback {
  readonly name = "warmup";
  #batches = 0;
  #sum = 0;

  onTrainBegin({ optimizer }: { optimizer: unknown }): void {
    (optimizer as Adamax).learningRate = 0.01;
    this.#batches = 0;
    this.#sum = 0;
  }
  onEpochBegin(epoch: number, { optimizer }: { optimizer: unknown }): void {
    (optimizer as Adamax).learningRate = Math.min(0.5, 0.1 * epoch);
  }
  onBatchEnd({ loss }: { loss: number }, { optimizer }: { optimizer: unknown }): void {
    this.#batches++;
    this.#sum += loss;
    (optimizer as Adamax).learningRate *= 1 - 0.01 * Math.sin(this.#batches + this.#sum);
  }
  state() {
    return [this.#batches, this.#sum];
  }
  restore([batches, sum]: [number, number]): void {
    this.#batches = batches;
    this.#sum = sum;
  }
}

export interface Outcome {
  /** Every bit of variables and optimizer. */
  readonly bits: Record<string, readonly string[]>;
  /** Without the seconds. */
  readonly history: object;
  /** The same, as the log of the training has it. */
  readonly log: string[];
  /** Names of the variables that were trained. */
  readonly seen: readonly string[];
  /** How many steps this process made. */
  readonly steps: number;
}

const withoutSeconds = ({ epochs, stoppedBy }: Pick<History, "epochs" | "stoppedBy">) => ({
  stoppedBy,
  epochs: epochs.map(({ seconds, ...rest }) => rest),
});

/** One run of the program. `onStep` may throw, or kill. */
export const run = async (folder: string, plan: Plan, onStep: (step: number) => void = () => {}): Promise<Outcome> => {
  const points = makePoints(plan.examples);
  const slope = new Variable(Float32Array.of(0.5, 0), { name: "line" });
  const bend = new Variable(Float64Array.of(0.1), { name: "bend", shape: [] });
  const used: Variable[] = [slope, bend];
  using optimizer = new Adamax(plan.options);
  let steps = 0;
  const seen: string[] = [];

  const lossOf = (batch: readonly Point[]) => {
    const [a = 0, b = 0] = slope.value;
    const [c = 0] = bend.value;
    const gradient = [0, 0, 0];
    let loss = 0;
    for (const { x, y } of batch) {
      const error = a * x + b + c * x * x - y;
      loss += error ** 2 / batch.length;
      for (const [i, factor] of [x, 1, x * x].entries()) gradient[i]! += (2 * error * factor) / batch.length;
    }
    const gradients = [
      [Float32Array.of(gradient[0]!, gradient[1]!), slope],
      [Float64Array.of(gradient[2]!), bend],
    ] as const;
    return { loss, gradients, worst: gradient[0]! };
  };
  const batches = (epoch: number) => inBatches(points, epoch, { batchSize: 4, seed: 3 });
  const drawn = {
    array: batches,
    generator: function* (epoch: number) {
      yield* batches(epoch);
    },
    "async generator": async function* (epoch: number) {
      yield* batches(epoch);
    },
  } satisfies Record<Plan["data"], Batches<Point[]>>;

  const log = join(folder, "log.jsonl");
  const manager = new CheckpointManager(folder, { keep: 2, best: plan.validation ? "valLoss" : "loss" });
  const history = await fit({
    optimizer,
    data: drawn[plan.data] as Batches<Point[]>,
    loss: (batch) => {
      onStep(++steps);
      return lossOf(batch);
    },
    metrics: { worst: (_, { worst }) => worst },
    epochs: plan.epochs,
    ...(plan.validation ? { validation: { data: [points], loss: lossOf } } : {}),
    callbacks: [
      new Warmup(),
      reduceLROnPlateau({ monitor: "loss", patience: 1, factor: 0.5, cooldown: 1 }),
      earlyStopping({
        monitor: plan.validation ? "valLoss" : "loss",
        patience: plan.patience,
        restoreBestWeights: plan.restoreBestWeights,
      }),
      logEpochs(log),
      { onTrainEnd: ({ variables }) => void seen.push(...[...variables].map((variable) => (variable as Variable).name)) },
    ],
    checkpoints: { manager, variables: used, everyEpochs: plan.everyEpochs, everyBatches: plan.everyBatches },
    progress: "none",
  });
  const bits = Object.entries(everything(optimizer, used)).map(([name, list]) => [name, list.map(String)] as const);
  const lines = readFileSync(log, "utf8").trimEnd().split("\n");
  return {
    bits: Object.fromEntries(bits),
    history: withoutSeconds(history),
    log: lines.map((line) => JSON.stringify(withoutSeconds({ stoppedBy: null, epochs: [JSON.parse(line)] }).epochs[0])),
    seen,
    steps,
  };
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder = "", kill] = process.argv.slice(2);
  const { steps: _, ...outcome } = await run(folder, PLAN, killAt(kill));
  console.log(JSON.stringify(outcome));
}
