/** Run the program again, and it goes on: with TensorFlow.js. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { earlyStopping, OptionError } from "adamax";
import { CheckpointManager } from "adamax/checkpoint";
import { Adamax, checkpoints, resume } from "adamax/tfjs";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { Killed, killed } from "../training/killing.js";
import { tf, use, usual } from "./backends.js";
import { compile, data, twoLayers, weightsOf } from "./models.js";
import { PLAN, type Plan, run } from "./resumable.js";

vi.setConfig({ testTimeout: 120_000 });
beforeEach(() => use(usual));
afterEach(() => tf.disposeVariables());

const folder = (): string => {
  const path = mkdtempSync(join(tmpdir(), "adamax-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
};

const plans: fc.Arbitrary<Plan> = fc.record({
  epochs: fc.integer({ min: 1, max: 5 }),
  examples: fc.integer({ min: 1, max: 17 }),
  everyEpochs: fc.integer({ min: 1, max: 3 }),
  everyBatches: fc.option(fc.integer({ min: 1, max: 4 })),
  options: fc.record({ learningRate: fc.constant(0.1), useEma: fc.boolean(), weightDecay: fc.constantFrom(null, 0.1) }),
  data: fc.constantFrom("tensors", "dataset", "batches of a dataset"),
  metrics: fc.boolean(),
  validation: fc.boolean(),
  patience: fc.constantFrom(0, 1, 2, 99),
  list: fc.constantFrom("alone", "first", "last", "between", "after plain objects", "before plain objects"),
});

/** Runs the program until each of the kills has come, and then to its end, twice. */
const assertResumes = async (plan: Plan, kills: readonly number[]): Promise<void> => {
  const { steps: _, ...expected } = await run(folder(), plan);
  const path = folder();
  for (const kill of kills) await killed(run(path, plan, killed.at(kill)));
  const { steps: __, ...last } = await run(path, plan);
  expect(last).toEqual(expected);
  const { steps, ...again } = await run(path, plan);
  expect(again).toEqual(expected);
  expect(steps).toBe(0);
};

test("killed at any steps, up to five times, and run again: bits and history of the run that was never killed", async () => {
  await fc.assert(fc.asyncProperty(plans, fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 5 }), assertResumes), {
    numRuns: 25,
  });
});

const cases: [what: string, changes: Partial<Plan>, kills: number[]][] = [
  ["a dataset that goes on from epoch to epoch", { data: "batches of a dataset", everyEpochs: 1 }, [8]],
  ["an early stop", { patience: 0, list: "last" }, [3, 7]],
  ["statistics of normalisation, which a forward pass moves", { metrics: true, everyBatches: 2 }, [13]],
  ["epochs of one batch", { examples: 3 }, [2, 1, 1]],
];
test.each(cases)("%s", (_, changes, kills) => assertResumes({ ...PLAN, ...changes }, kills));

test("on wasm, too", async () => {
  await use("wasm");
  await assertResumes({ ...PLAN, everyBatches: 2 }, [3, 6, 6]);
});

test("going on leaves no tensor behind", async () => {
  for (const examples of [3, 18]) {
    const path = folder();
    await killed(run(path, { ...PLAN, examples, everyBatches: 1 }, killed.at(4)));
    tf.disposeVariables();
    const { numTensors } = tf.memory();
    await run(path, { ...PLAN, examples });
    expect(tf.memory().numTensors).toBe(numTensors);
  }
});

/** A model with 4 batches an epoch. `told` is what a callback hears, `measured` how often its metric is computed. */
const setting = (path = folder()) => {
  const manager = new CheckpointManager(path, { keep: 9 });
  const told: string[] = [];
  const counts = { measured: 0 };
  class Listener extends tf.Callback {
    override async onTrainBegin() {
      told.push("train");
    }
    override async onEpochBegin(epoch: number) {
      told.push(`epoch ${epoch}`);
    }
    override async onBatchEnd(batch: number) {
      told.push(`${batch}`);
    }
    override async onEpochEnd(epoch: number) {
      told.push(`end ${epoch}`);
    }
  }
  const model = twoLayers();
  const metric = (_: tf.Tensor, output: tf.Tensor) => {
    counts.measured++;
    return output.mean();
  };
  model.compile({ optimizer: new Adamax({ learningRate: 0.1 }), loss: "meanSquaredError", metrics: [metric] });
  const { xs, ys } = data();
  const fit = (args: tf.ModelFitArgs, options: Parameters<typeof checkpoints>[1] = {}, more: tf.Callback[] = []) =>
    model.fit(xs, ys, {
      batchSize: 8,
      shuffle: false,
      verbose: 0,
      callbacks: [...more, new Listener(), checkpoints(manager, options)],
      ...args,
    });
  return { manager, model, told, counts, fit, path, xs, ys };
};

/** Fails after so many steps of all. */
const failing = (steps: number): tf.Callback =>
  new (class extends tf.Callback {
    override async onBatchEnd() {
      if (--steps === 0) throw new Killed();
    }
  })();

test("other callbacks hear nothing of what was done before, and of tensors one batch of each such epoch is gone through", async () => {
  const first = setting();
  await killed(first.fit({ epochs: 5 }, { everyBatches: 1 }, [failing(15)])); // in epoch 3, at the third batch; two are saved
  const second = setting(first.path);
  await second.fit({ epochs: 4 });
  expect(second.told).toEqual(["train", "epoch 3", "2", "3", "end 3"]);
  expect(second.counts.measured).toBe(3 + 4);
});

test("a training that is finished says so, unless it shall be silent", async () => {
  const first = setting();
  await first.fit({ epochs: 2 });
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  onTestFinished(() => log.mockRestore());
  const second = setting(first.path);
  await second.fit({ epochs: 2, verbose: 1 });
  expect(second.told).toEqual(["train"]);
  expect(second.model.optimizer.iterations).toBe(8);
  expect(log.mock.calls).toEqual([["adamax: checkpoint-000002.safetensors: all 2 epochs are trained, nothing is left to do"]]);
});

test("a training that was stopped within an epoch goes on there; one that early stopping ended does not", async () => {
  const straight = setting();
  await straight.fit({ epochs: 3 });
  const first = setting();
  const stopping = new (class extends tf.Callback {
    override async onBatchEnd() {
      if (this.model.optimizer.iterations === 6) this.model.stopTraining = true;
    }
  })();
  const { epoch } = await first.fit({ epochs: 3 }, {}, [stopping]);
  expect(epoch).toEqual([0, 1]); // TensorFlow.js counts the one that was cut short
  const second = setting(first.path);
  const history = await second.fit({ epochs: 3 });
  expect(weightsOf(second.model)).toEqual(weightsOf(straight.model));
  expect(history.history).toEqual((straight.model as unknown as { model: tf.LayersModel }).model.history.history as object);
});

test.each([
  "as the epoch begins that would go on",
  "while one before it is gone through",
  "in the last batch that is gone through",
])("stopped before it is where it was, %s: nothing is trained, and the next run goes on", async (when) => {
  const straight = setting();
  await straight.fit({ epochs: 3 });
  const first = setting();
  await killed(first.fit({ epochs: 3 }, { everyBatches: 1 }, [failing(7)])); // in epoch 2; two of its batches are saved
  const second = setting(first.path);
  let drawn = 0;
  const dataset = tf.data.generator(function* () {
    for (let batch = 0; batch < 4; batch++) {
      drawn++;
      if (drawn === { "while one before it is gone through": 2, "in the last batch that is gone through": 6 }[when])
        second.model.stopTraining = true;
      yield { xs: second.xs.slice([8 * batch, 0], [8, -1]), ys: second.ys.slice([8 * batch, 0], [8, -1]) };
    }
  });
  const stopping = new (class extends tf.Callback {
    override async onEpochBegin() {
      if (when.startsWith("as")) second.model.stopTraining = true;
    }
  })();
  const manager = checkpoints(second.manager, { everyBatches: 1 });
  await second.model.fitDataset(dataset, { epochs: 3, verbose: 0, callbacks: [stopping, manager] });
  expect(second.model.optimizer.iterations).toBe(6);
  const third = setting(first.path);
  await third.fit({ epochs: 3 });
  expect(weightsOf(third.model)).toEqual(weightsOf(straight.model));
});

test("a model that was stopped goes on in the same process, too", async () => {
  const { fit, model } = setting();
  const stopping = new (class extends tf.Callback {
    override async onEpochEnd() {
      this.model.stopTraining = true;
    }
  })();
  await fit({ epochs: 3 }, {}, [stopping]);
  expect(model.optimizer.iterations).toBe(4);
  const { epoch } = await fit({ epochs: 3 });
  expect([model.optimizer.iterations, epoch]).toEqual([12, [0, 1, 2]]);
});

test("with initialEpoch, the training goes on from a checkpoint that is further", async () => {
  const first = setting();
  await first.fit({ epochs: 2 });
  const second = setting(first.path);
  await second.fit({ epochs: 3, initialEpoch: 2 });
  expect(second.told).toEqual(["train", "epoch 2", "0", "1", "2", "3", "end 2"]);
  expect(second.counts.measured).toBe(4);
});

test("within an epoch, batches of another size go on after the same examples", async () => {
  const first = setting();
  await killed(first.fit({ epochs: 1 }, { everyBatches: 1 }, [failing(4)])); // three are saved, of 8 each
  const second = setting(first.path);
  await second.fit({ epochs: 1, batchSize: 4 });
  expect(second.told).toEqual(["train", "epoch 0", "6", "7", "end 0"]);
  expect(second.model.optimizer.iterations).toBe(3 + 2);
});

test("a checkpoint that knows no number of examples, as that of ranks, goes on after as many batches", async () => {
  const first = setting();
  const { save } = first.manager;
  vi.spyOn(first.manager, "save").mockImplementation((content) => {
    Object.assign((content as unknown as { user: { training: object } }).user.training, { examples: null });
    return save.call(first.manager, content);
  });
  await killed(first.fit({ epochs: 1 }, { everyBatches: 1 }, [failing(4)]));
  const second = setting(first.path);
  await second.fit({ epochs: 1, batchSize: 4 });
  expect(second.told).toEqual(["train", "epoch 0", "3", "4", "5", "6", "7", "end 0"]);
});

test("two early stoppings get their own state back, in whatever order they stand", async () => {
  const path = folder();
  const stoppings = () =>
    (["min", "max"] as const).map((mode) => tf.callbacks.earlyStopping({ monitor: "loss", patience: 9, mode }));
  await setting(path).fit({ epochs: 2 }, {}, stoppings());
  const again = stoppings().reverse();
  await setting(path).fit({ epochs: 2 }, {}, again);
  const [most, least] = again.map((one) => (one as unknown as { best: number }).best);
  expect(most).toBeGreaterThan(least!);
});

test("resume: false only saves", async () => {
  const first = setting();
  await first.fit({ epochs: 1 });
  const second = setting(first.path);
  await second.fit({ epochs: 1 }, { resume: false });
  expect(second.model.optimizer.iterations).toBe(4);
  expect((await second.manager.list()).map(({ iterations }) => iterations)).toEqual([4, 4]);
});

test("the model that resume loaded from another checkpoint is not overwritten by the newest", async () => {
  const { path, fit } = setting();
  await fit({ epochs: 2 });
  const { model, xs, ys } = setting();
  const manager = new CheckpointManager(path, { best: "loss", mode: "max" }); // the first
  const place = await resume(model, manager, { from: "best" });
  expect(place).toMatchObject({ name: "checkpoint-000001.safetensors", epoch: 1 });
  const args = { epochs: 3, initialEpoch: 1, verbose: 0 as const, batchSize: 8 };
  await expect(model.fit(xs, ys, { ...args, callbacks: checkpoints(manager) })).rejects.toThrow(
    /resumed from checkpoint-000001.*checkpoint-000002.*resume: false/,
  );
  await resume(model, manager, { from: "best" });
  await model.fit(xs, ys, { ...args, callbacks: checkpoints(manager, { resume: false }) });
  expect(model.optimizer.iterations).toBe(12);
});

describe("what cannot go on says so", () => {
  test("data that is shorter than it was", async () => {
    const first = setting();
    await killed(first.fit({ epochs: 2 }, { everyBatches: 1 }, [failing(4)])); // three are saved
    const { model, manager, xs, ys } = setting(first.path);
    const args = { epochs: 2, batchSize: 8, verbose: 0 as const, callbacks: checkpoints(manager) };
    await expect(model.fit(xs.slice([0, 0], [16, -1]), ys.slice([0, 0], [16, -1]), args)).rejects.toThrow(
      /same batches again.*fewer than the 3 batches of epoch 1 that checkpoint-000003/,
    );
  });

  test("batches of which none ends where it was", async () => {
    const first = setting();
    await killed(first.fit({ epochs: 2 }, { everyBatches: 1 }, [failing(4)]));
    await expect(setting(first.path).fit({ epochs: 2, batchSize: 16 })).rejects.toThrow(
      /a batch that ends after 32 examples of epoch 1, and checkpoint-000003\.safetensors was made after 24\. .*\(3 up to there\)/,
    );
  });

  test("a checkpoint that was saved in another way", async () => {
    const { manager, fit, path } = setting();
    vi.spyOn(manager, "save").mockImplementation((content) =>
      new CheckpointManager(path).save({ ...content, user: { epoch: 1 } }),
    );
    await fit({ epochs: 1 });
    await expect(setting(path).fit({ epochs: 2 })).rejects.toThrow(
      /does not say where a training by model.fit was.*saved in another way.*initialEpoch/,
    );
  });

  test("an initialEpoch after the checkpoint's", async () => {
    const first = setting();
    await first.fit({ epochs: 2 });
    await expect(setting(first.path).fit({ epochs: 5, initialEpoch: 3 })).rejects.toThrow(
      /initialEpoch=3, and checkpoint-000002/,
    );
  });

  test.each([
    [
      "a folder that cannot be made",
      (path: string) => new CheckpointManager(join(path, "file", "in it")),
      /cannot be made\. Received: E/,
    ],
    [
      "a metric that is not measured",
      (path: string) => new CheckpointManager(path, { best: "val_loss" }),
      /metrics: loss, metric\. Pass/,
    ],
  ])("%s, before training begins", async (_, managerIn, message) => {
    const { model, xs, ys, path } = setting();
    writeFileSync(join(path, "file"), "");
    const callbacks = checkpoints(managerIn(path), { resume: false });
    await expect(model.fit(xs, ys, { verbose: 0, callbacks })).rejects.toThrow(message);
    expect(model.optimizer.iterations).toBe(0);
    await model.fit(xs, ys, {
      verbose: 0,
      validationSplit: 0.5,
      callbacks: checkpoints(new CheckpointManager(join(path, "new"), { best: "val_loss" })),
    });
    expect(await new CheckpointManager(join(path, "new")).list()).toHaveLength(1);
  });

  test("something that is no manager, another option, a callback of the core", async () => {
    const two = [checkpoints(new CheckpointManager("x")), checkpoints(new CheckpointManager("x"))];
    await expect(setting().fit({ epochs: 1, callbacks: two })).rejects.toThrow("A fit saves to one manager");
    expect(() => checkpoints("folder" as never)).toThrow(/CheckpointManager.*Received: "folder"/);
    expect(() => checkpoints(new CheckpointManager("x"), { everyEpoch: 1 } as never)).toThrow("Did you mean everyEpochs");
    const { fit } = setting();
    await expect(fit({ epochs: 1 }, {}, [earlyStopping() as never])).rejects.toThrow(OptionError);
  });
});

test("two models that share an optimizer are not fitted at the same time", async () => {
  const optimizer = new Adamax({ learningRate: 0.1, useEma: true });
  const models = [twoLayers(), twoLayers()].map((model) => compile(model, optimizer));
  const { xs, ys } = data();
  const fits = models.map((model) => model.fit(xs, ys, { epochs: 2, verbose: 0 }));
  const outcomes = await Promise.allSettled(fits);
  expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  expect((outcomes[1] as PromiseRejectedResult).reason.message).toMatch(/one fit at a time/);
  await models[1]!.fit(xs, ys, { verbose: 0 }); // now it may
});

test("a fit whose batches fill no window of micro-batches warns that nothing has moved", async () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
  onTestFinished(() => warn.mockRestore());
  const model = compile(twoLayers(), new Adamax({ gradientAccumulationSteps: 3 }));
  const { xs, ys } = data();
  await model.fit(xs, ys, { batchSize: 16, verbose: 0 });
  expect(warn.mock.calls.flat().join()).toMatch(/no update.*2 batches.*gradientAccumulationSteps=3/);
  warn.mockClear();
  await model.fit(xs, ys, { batchSize: 16, verbose: 0 }); // the third one fills it
  expect(model.optimizer.iterations).toBe(1);
  expect(warn).not.toHaveBeenCalled();
});
