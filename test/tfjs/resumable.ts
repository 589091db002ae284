/** A training of TensorFlow.js that is always the same, run again after it was killed. As a program: `resumable.ts FOLDER [KILL]`, on cpu; see
 *  test/training/kills.ts. */

import { fileURLToPath } from "node:url";
import { CheckpointManager } from "adamax/checkpoint";
import { Adamax, type AdamaxOptions, checkpoints } from "adamax/tfjs";
import { killAt } from "../training/killing.js";
import { tf, use } from "./backends.js";
import { wave } from "./models.js";

export interface Plan {
  readonly epochs: number;
  readonly examples: number;
  readonly everyEpochs: number;
  readonly everyBatches: number | null;
  readonly options: AdamaxOptions;
  readonly data: "tensors" | "dataset" | "batches of a dataset";
  readonly metrics: boolean;
  readonly validation: boolean;
  readonly patience: number;
  /** Where ours is among the others. */
  readonly list: "alone" | "first" | "last" | "between" | "after plain objects" | "before plain objects";
}

export const PLAN: Plan = {
  epochs: 5,
  examples: 18,
  everyEpochs: 2,
  everyBatches: 3,
  options: { learningRate: 0.1, globalClipnorm: 1, useEma: true, emaMomentum: 0.8 },
  data: "tensors",
  metrics: true,
  validation: true,
  patience: 99,
  list: "between",
};

export interface Outcome {
  /** Of weights and optimizer, each tensor's bits. */
  readonly bits: number[][];
  readonly history: { readonly epoch: number[]; readonly logs: object };
  /** How many steps this process made. */
  readonly steps: number;
}

const BATCH = 4;

const makeModel = (plan: Plan, onStep: (step: number) => void): tf.Sequential => {
  const model = tf.sequential({
    layers: [
      tf.layers.dense({ units: 5, inputShape: [3], activation: "tanh", kernelConstraint: "unitNorm" }),
      tf.layers.batchNormalization({ momentum: 0.5 }),
      tf.layers.dense({ units: 1 }),
    ],
  });
  tf.tidy(() =>
    model.setWeights(model.getWeights().map((weight, i) => tf.tensor(wave(weight.size, i).map(Math.abs), weight.shape))),
  );
  let steps = 0;
  class Watched extends Adamax {
    override applyGradients(gradients: never): void {
      onStep(++steps);
      super.applyGradients(gradients);
    }
  }
  model.compile({
    loss: "meanSquaredError",
    optimizer: new Watched(plan.options),
    ...(plan.metrics ? { metrics: [tf.metrics.meanAbsoluteError] } : {}),
  });
  return model;
};

/** Steers the rate by where the training is. */
class Steering extends tf.Callback {
  override async onEpochBegin(epoch: number): Promise<void> {
    (this.model.optimizer as Adamax).learningRate = 0.1 / (epoch + 1);
  }
  override async onBatchEnd(batch: number): Promise<void> {
    (this.model.optimizer as Adamax).learningRate *= 1 - 0.1 * Math.sin(batch);
  }
  override async onEpochEnd(): Promise<void> {
    (this.model.optimizer as Adamax).learningRate /= 2;
  }
}

/** Steers it by what it has seen. */
class Plateau extends tf.Callback {
  #known = { best: Infinity, batches: 1 };

  override async onEpochBegin(epoch: number): Promise<void> {
    this.#known.batches += epoch;
  }
  override async onBatchEnd(): Promise<void> {
    this.#known.batches++;
    (this.model.optimizer as Adamax).learningRate *= 1 + 0.1 * Math.sin(this.#known.batches);
  }
  override async onEpochEnd(_: number, logs?: tf.Logs): Promise<void> {
    const loss = ((logs!.loss as unknown as tf.Tensor).dataSync?.() ?? [logs!.loss])[0]!;
    this.#known.best = Math.min(loss, this.#known.best);
    this.#known.batches += loss > this.#known.best ? 1 : 0;
  }
  state() {
    return this.#known;
  }
  restore(state: { best: number; batches: number }): void {
    this.#known = { ...state };
  }
}

const callbacksOf = ({ list, patience, everyEpochs, everyBatches }: Plan, manager: CheckpointManager, model: tf.LayersModel) => {
  const ours = checkpoints(manager, { everyEpochs, everyBatches });
  const others = [new Steering(), new Plateau(), tf.callbacks.earlyStopping({ monitor: "loss", patience, minDelta: 15 })];
  const lower = (factor: number) => {
    (model.optimizer as Adamax).learningRate *= factor;
  };
  const plain = {
    onBatchEnd: async (batch: number) => lower(1 - 0.1 * Math.sin(batch)),
    onEpochEnd: async () => lower(0.9),
  };
  return {
    alone: ours,
    first: [ours, ...others],
    last: [...others, ours],
    between: [others[0]!, ours, ...others.slice(1)],
    "after plain objects": [plain, plain, ours],
    "before plain objects": [ours, plain],
  }[list] as tf.Callback[];
};

/** One run of the program. `onStep` may throw, or kill. */
export const run = async (folder: string, plan: Plan, onStep: (step: number) => void = () => {}): Promise<Outcome> => {
  let steps = 0;
  const model = makeModel(plan, (step) => {
    steps = step;
    onStep(step);
  });
  const xs = tf.tensor2d(wave(plan.examples * 3, 7), [plan.examples, 3]);
  const ys = tf.tidy(() => xs.sum(1, true).sin());
  const callbacks = callbacksOf(
    plan,
    new CheckpointManager(folder, { keep: 2, best: plan.validation ? "val_loss" : "loss" }),
    model,
  );
  const args = {
    epochs: plan.epochs,
    verbose: 0 as const,
    callbacks,
    ...(plan.validation ? { validationData: [xs, ys] as [tf.Tensor, tf.Tensor] } : {}),
  };
  try {
    if (plan.data === "tensors") await model.fit(xs, ys, { ...args, batchSize: BATCH, shuffle: false });
    else {
      const [x, y] = await Promise.all([xs.array(), ys.array()]);
      const examples = tf.data.array(x.map((one, i) => ({ xs: one, ys: (y as number[][])[i]! }))).shuffle(5, "seed");
      if (plan.data === "dataset")
        await model.fitDataset(examples.batch(BATCH) as never, { ...args, validationBatchSize: BATCH });
      else {
        const endless = examples.repeat().batch(BATCH);
        await model.fitDataset(endless as never, { ...args, validationBatchSize: BATCH, batchesPerEpoch: 3 });
      }
    }
    const state = await model.optimizer.getWeights();
    const bits = [...model.getWeights(), ...state.map(({ tensor }) => tensor)].map((tensor) => [
      ...new Uint32Array(tensor.dataSync().slice().buffer),
    ]);
    const { epoch, history } = (model as unknown as { model: tf.LayersModel }).model.history as tf.History;
    return { bits, history: { epoch, logs: history }, steps };
  } finally {
    model.optimizer.dispose();
    model.dispose();
    tf.dispose([xs, ys]);
  }
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder = "", kill] = process.argv.slice(2);
  await use("cpu");
  const { steps: _, ...outcome } = await run(folder, PLAN, killAt(kill));
  console.log(JSON.stringify(outcome));
}
