/** Checkpoints of models that TensorFlow.js' fit trains. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CheckpointError, OptionError } from "adamax";
import { CheckpointManager, inspectCheckpoint } from "adamax/checkpoint";
import { Adamax, checkpoints, resume } from "adamax/tfjs";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { backends, tf, use } from "./backends.js";
import { bitsOf, makeModel, trainTo } from "./checkpoint-training.js";
import { data, weightsOf } from "./models.js";

beforeEach(() => use("cpu"));
afterEach(() => tf.disposeVariables());

const folder = (): string => {
  const path = mkdtempSync(join(tmpdir(), "adamax-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
};

test("stopped after 3 epochs and resumed in a new process, twice: the bits of a fit that never stopped", async () => {
  const path = folder();
  const run = (epochs: number): number[][] =>
    JSON.parse(
      execFileSync(process.execPath, ["--import", "tsx", "test/tfjs/checkpoint-training.ts", path, `${epochs}`], {
        encoding: "utf8",
      }),
    );
  run(3);
  run(4);
  const resumed = run(6);
  const straight = makeModel();
  const { xs, ys } = data();
  await straight.fit(xs, ys, { epochs: 6, batchSize: 8, shuffle: false, verbose: 0 });
  expect(resumed).toEqual(await bitsOf(straight));
}, 60_000);

describe.each(backends)("on %s", (backend) => {
  beforeEach(() => use(backend));

  test("a second model of the process, whose layers have other names, goes on with the same bits", async () => {
    const [whole, halves] = [new CheckpointManager(folder()), new CheckpointManager(folder())];
    const straight = makeModel();
    await trainTo(straight, whole, 5);
    await trainTo(makeModel(), halves, 2);
    const again = makeModel();
    expect(again.weights[0]!.name).not.toBe(straight.weights[0]!.name);
    await trainTo(again, halves, 5);
    expect(await bitsOf(again)).toEqual(await bitsOf(straight));
  });

  test("saving and resuming leave no tensor behind, and what was taken from a weight before stays as it was", async () => {
    const manager = new CheckpointManager(folder());
    const model = makeModel();
    await trainTo(model, manager, 2);
    const taken = model.getWeights().map((weight) => weight.clone());
    const values = taken.map((weight) => [...weight.dataSync()]);
    await trainTo(model, manager, 3);
    const { numTensors } = tf.memory();
    await trainTo(model, manager, 4);
    await resume(model, manager);
    expect(tf.memory().numTensors).toBe(numTensors);
    expect(taken.map((weight) => [...weight.dataSync()])).toEqual(values);
  });

  test("steps that are tried while a checkpoint is being loaded are refused, and change nothing of what that loads", async () => {
    const manager = new CheckpointManager(folder());
    await trainTo(makeModel(), manager, 2);
    const [undisturbed, disturbed] = [makeModel(), makeModel()];
    await resume(undisturbed, manager);
    let isLoading = true;
    const loading = resume(disturbed, manager).finally(() => {
      isLoading = false;
    });
    const refusals = new Set<string>();
    while (isLoading) {
      try {
        disturbed.optimizer.applyGradients([]); // before and after the load this does nothing
      } catch (error) {
        refusals.add((error as Error).message);
      }
      await new Promise(setImmediate);
    }
    await loading;
    expect([...refusals].join()).toContain("A checkpoint is being loaded. Received: a call meanwhile");
    expect(await bitsOf(disturbed)).toEqual(await bitsOf(undisturbed));
  });
});

test("one file holds every weight, trained or not, under the names of a process of its own, and says where the training was", async () => {
  const path = folder();
  makeModel(); // takes the first numbers
  await trainTo(makeModel(), new CheckpointManager(path), 2);
  const [name] = readdirSync(path).sort().reverse();
  const { tensors, user, metrics, optimizer, variables } = await inspectCheckpoint(join(path, name!));
  const names = tensors.map((tensor) => tensor.name).filter((one) => one.startsWith("variables/"));
  expect(names.sort()).toEqual([
    "variables/batch_normalization_BatchNormalization1/beta",
    "variables/batch_normalization_BatchNormalization1/gamma",
    "variables/batch_normalization_BatchNormalization1/moving_mean",
    "variables/batch_normalization_BatchNormalization1/moving_variance",
    "variables/dense_Dense1/bias",
    "variables/dense_Dense1/kernel",
    "variables/dense_Dense2/bias",
    "variables/dense_Dense2/kernel",
    "variables/head/bias",
    "variables/head/kernel",
  ]);
  expect(variables.filter(({ trained }) => trained)).toHaveLength(6);
  expect(variables.find((one) => one.name === "dense_Dense1/kernel")).toMatchObject({ constraint: true });
  expect(user).toMatchObject({ epoch: 2, batch: 0, own: null });
  expect(metrics).toEqual({ loss: expect.any(Number) });
  expect(optimizer.iterations).toBe(8);
});

/** Counts what it was called with, in whole numbers that are not trained. */
class Counting extends tf.layers.Layer {
  static className = "Counting";
  #count!: tf.LayerVariable;
  #flags!: tf.LayerVariable;
  override build(shape: tf.Shape): void {
    this.#count = this.addWeight("count", [2], "int32", tf.initializers.zeros(), undefined, false);
    this.#flags = this.addWeight("flags", [2], "bool", tf.initializers.zeros(), undefined, false);
    super.build(shape);
  }
  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    return tf.tidy(() => {
      this.#count.write(this.#count.read().add(tf.tensor1d([1, 2 ** 25], "int32")));
      this.#flags.write(tf.tensor1d([1, 0], "bool"));
      return (Array.isArray(inputs) ? inputs[0]! : inputs).clone();
    });
  }
}

test.each(backends)("on %s, weights of whole numbers are trained beside, saved and loaded", async (backend) => {
  await use(backend);
  const made = () => {
    const dense = tf.layers.dense({ units: 1, inputShape: [3], name: "before" });
    const model = tf.sequential({ layers: [dense, new Counting({ name: "counting" })] });
    model.compile({ optimizer: new Adamax({ useEma: true }), loss: "meanSquaredError" });
    return model;
  };
  const valuesOf = (model: tf.LayersModel) => model.getWeights().map((weight) => [weight.dtype, ...weight.dataSync()]);
  const manager = new CheckpointManager(folder());
  const model = made();
  await model.fit(tf.ones([8, 3]), tf.ones([8, 1]), { epochs: 3, batchSize: 4, verbose: 0, callbacks: checkpoints(manager) });
  const again = made();
  await resume(again, manager);
  (again.optimizer as Adamax).finalizeVariableValues(); // as fit has done at its end
  expect(valuesOf(again)).toEqual(valuesOf(model));
  const [count, flags] = valuesOf(again).slice(2);
  expect(count![0]).toBe("int32");
  expect(count![1]).toBeGreaterThanOrEqual(6);
  expect(count![2]).toBe((count![1] as number) * 2 ** 25); // more than a float32 holds, where it is odd
  expect(flags).toEqual(["bool", 1, 0]);
});

test("everyEpochs, everyBatches and user do what they say; within an epoch nothing is best", async () => {
  const manager = new CheckpointManager(folder(), { keep: 100, best: "val_loss" });
  const model = makeModel();
  const { xs, ys } = data();
  let asked = 0;
  const callbacks = checkpoints(manager, { everyEpochs: 2, everyBatches: 3, user: () => ({ asked: ++asked }) });
  await model.fit(xs, ys, { epochs: 4, batchSize: 8, verbose: 0, validationData: [xs, ys], callbacks });
  const list = (await manager.list()).reverse();
  expect(list.map(({ iterations }) => iterations)).toEqual([3, 7, 8, 11, 15, 16]); // 4 batches an epoch
  expect(list.map(({ metrics }) => Number.isNaN(metrics.val_loss))).toEqual([true, true, false, true, true, false]);
  expect(await resume(model, manager)).toMatchObject({ epoch: 4, batch: 0, own: { asked: 6 } });
  const best = await resume(model, manager, { from: "best" });
  const least = list.filter(({ metrics }) => metrics.val_loss! > 0).sort((a, b) => a.metrics.val_loss! - b.metrics.val_loss!)[0]!;
  expect(best!.name).toBe(least.name);
});

test("a checkpoint within an epoch says how many batches are behind it; there is always one after the last epoch", async () => {
  const path = folder();
  const manager = new CheckpointManager(path);
  const { xs, ys } = data();
  const callbacks = checkpoints(manager, { everyEpochs: 10, everyBatches: 3 });
  await makeModel().fit(xs, ys, { epochs: 2, batchSize: 8, verbose: 0, callbacks });
  expect(await resume(makeModel(), manager)).toMatchObject({ epoch: 2, batch: 0 });
  rmSync(join(path, "checkpoint-000003.safetensors"));
  expect(await resume(makeModel(), manager)).toMatchObject({ epoch: 1, batch: 3 });
});

test("fitDataset saves too", async () => {
  const manager = new CheckpointManager(folder());
  const { xs, ys } = data();
  await makeModel().fitDataset(tf.data.array([{ xs, ys }]), { epochs: 2, verbose: 0, callbacks: checkpoints(manager) });
  expect(await manager.list()).toHaveLength(2);
});

test("an empty folder is null, and the model is as it was made", async () => {
  const model = makeModel();
  const before = weightsOf(model);
  expect(await resume(model, new CheckpointManager(folder()))).toBeNull();
  expect(weightsOf(model)).toEqual(before);
});

test("a model with more weights loads a part when the rest is named", async () => {
  const manager = new CheckpointManager(folder());
  await trainTo(makeModel(), manager, 1);
  const old = makeModel();
  await resume(old, manager); // the end of fit wrote averages into the one that was trained
  const grown = tf.sequential({ layers: [...makeModel().layers, tf.layers.dense({ units: 2, name: "top" })] });
  grown.compile({ loss: "meanSquaredError", optimizer: new Adamax({ learningRate: 0.01 }) });
  await expect(resume(grown, manager, { settings: "mine" })).rejects.toThrow("variables/top/kernel");
  await resume(grown, manager, { settings: "mine", onlyHere: [/top/], onlyInFile: [/average/] });
  expect(weightsOf(grown).slice(0, 2)).toEqual(weightsOf(old).slice(0, 2));
});

describe("what does not fit is an error that names it, and changes nothing", () => {
  const wrong: [string, () => tf.LayersModel, string][] = [
    ["another option", () => makeModel({ beta1: 0.5 }), "beta_1: 0.9 in the file, 0.5 here"],
    ["another schedule", () => makeModel({ learningRate: 0.1 }), "learning_rate: CosineDecay"],
    [
      "a constraint that was forgotten",
      () => {
        const model = makeModel();
        Object.assign(model.weights[0]!, { constraint: null });
        return model;
      },
      "constraint of dense_Dense1/kernel: one in the file",
    ],
  ];
  test.each(wrong)("%s", async (_, make, message) => {
    const manager = new CheckpointManager(folder());
    await trainTo(makeModel(), manager, 1);
    const model = make();
    const before = weightsOf(model);
    await expect(resume(model, manager)).rejects.toThrow(message);
    await expect(resume(model, manager)).rejects.toThrow(CheckpointError);
    expect(weightsOf(model)).toEqual(before);
  });

  test("an optimizer of TensorFlow.js", async () => {
    const manager = new CheckpointManager(folder());
    const model = makeModel();
    model.compile({ optimizer: "sgd", loss: "meanSquaredError" });
    await expect(resume(model, manager)).rejects.toThrow(OptionError);
    const { xs, ys } = data();
    await expect(model.fit(xs, ys, { verbose: 0, callbacks: checkpoints(manager) })).rejects.toThrow("adamax/tfjs");
  });
});
