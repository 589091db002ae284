/** Run the program again, and it goes on. */

import { readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  Adamax,
  type AdamaxOptions,
  type Callback,
  earlyStopping,
  type FitOptions,
  fit,
  logEpochs,
  reduceLROnPlateau,
  type TrainingPlace,
  terminateOnNaN,
  Variable,
} from "adamax";
import { CheckpointManager } from "adamax/checkpoint";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, type Mock, test, vi } from "vitest";
import { folder, trained } from "../checkpoint/helpers.js";
import { Killed, killed } from "./killing.js";
import { type Plan, run } from "./resumable.js";

vi.setConfig({ testTimeout: 120_000 });
let warn: Mock;
beforeEach(() => {
  warn = vi.spyOn(console, "warn").mockImplementation(() => {});
});
afterEach(() => void vi.restoreAllMocks());

const plans: fc.Arbitrary<Plan> = fc.record({
  epochs: fc.integer({ min: 1, max: 6 }),
  examples: fc.integer({ min: 1, max: 21 }),
  everyEpochs: fc.integer({ min: 1, max: 3 }),
  everyBatches: fc.option(fc.integer({ min: 1, max: 5 })),
  options: fc.record({
    learningRate: fc.constant(0.5),
    useEma: fc.boolean(),
    gradientAccumulationSteps: fc.constantFrom(null, 2, 3),
    weightDecay: fc.constantFrom(null, 0.1),
    clipnorm: fc.constantFrom(null, 0.5),
  }) as fc.Arbitrary<AdamaxOptions>,
  data: fc.constantFrom("array", "generator", "async generator"),
  validation: fc.boolean(),
  patience: fc.constantFrom(1, 2, 99),
  restoreBestWeights: fc.boolean(),
});

test("killed at any steps, up to five times, and run again: bits, history and log of the run that was never killed", async () => {
  await fc.assert(
    fc.asyncProperty(plans, fc.array(fc.integer({ min: 1, max: 25 }), { maxLength: 5 }), async (plan, kills) => {
      const { steps: _, ...expected } = await run(folder(), plan);
      const path = folder();
      for (const kill of kills) await killed(run(path, plan, killed.at(kill)));
      const { steps: __, ...last } = await run(path, plan);
      expect(last).toEqual(expected);
      const { steps, ...again } = await run(path, plan);
      expect(again).toEqual(expected);
      expect(steps).toBe(0);
    }),
    { numRuns: 40 },
  );
});

type Given = Partial<FitOptions<number, Variable>>;

/** A training of three batches an epoch that can be run again and again, as by new processes. `fail` throws at that step of a run. */
const program = (given: Given = {}, saving: object = {}) => {
  const path = folder();
  const open = () => new CheckpointManager(path, { keep: 99 });
  const run = async (more: Given = {}, { fail = Infinity, ...savingMore }: { fail?: number; [name: string]: unknown } = {}) => {
    const w = new Variable(Float32Array.of(0), { name: "w" });
    using optimizer = new Adamax({ learningRate: 0.1 });
    let steps = 0;
    const history = await fit({
      optimizer,
      data: [1, 2, 3],
      loss: (batch: number) => {
        if (++steps === fail) throw new Killed();
        return { loss: (w.value[0]! - batch) ** 2, gradients: [[Float32Array.of(2 * (w.value[0]! - batch)), w]] as const };
      },
      epochs: 2,
      progress: "none",
      ...given,
      ...more,
      checkpoints: { manager: open(), variables: [w], ...saving, ...savingMore },
    } as FitOptions<number, Variable>);
    return { history, w: w.value[0]!, steps };
  };
  return { path, run, list: () => open().list(), manager: open };
};

describe("when it is saved", () => {
  test("after each epoch; every so many epochs and batches; always after the last one", async () => {
    const { run, list } = program({ epochs: 4 });
    await run();
    expect((await list()).map(({ iterations }) => iterations)).toEqual([12, 9, 6, 3]);
    const rarely = program({ epochs: 5 }, { everyEpochs: 2, everyBatches: 2 });
    await rarely.run();
    expect((await rarely.list()).map(({ iterations }) => iterations)).toEqual([15, 14, 12, 11, 8, 6, 5, 2]);
  });

  test("with your own JSON and the numbers of the epoch; within an epoch nothing is best", async () => {
    const metrics = { big: () => 7 };
    const validation = { data: [1], loss: () => ({ loss: 0.5 }) };
    const { run, list, manager } = program({ epochs: 1, metrics, validation }, { everyBatches: 2, user: () => ({ seed: 7 }) });
    const { history } = await run();
    const [last, within] = await list();
    expect(last!.metrics).toEqual({ loss: history.epochs[0]!.loss, big: 7, valLoss: 0.5, valBig: 7 });
    expect(within!.metrics).toEqual({ loss: NaN, big: NaN, valLoss: NaN, valBig: NaN });
    const { optimizer } = trained({ learningRate: 0.1 }, 0, { w: { shape: [1] } });
    const place = (await manager().loadNewest({ optimizer }))!.user as unknown as TrainingPlace;
    expect(place).toMatchObject({ epoch: 1, batch: 0, own: { seed: 7 } });
  });

  test.each([
    [
      "a folder that cannot be made",
      (path: string) => new CheckpointManager(join(path, "file", "checkpoints")),
      /cannot be made\. Received: E/,
    ],
    [
      "a metric that is not measured",
      (path: string) => new CheckpointManager(path, { best: "valLoss" }),
      /metrics: loss\. Pass metrics/,
    ],
  ])("%s is found before training begins", async (_, managerIn, message) => {
    const path = folder();
    writeFileSync(join(path, "file"), "");
    const { run } = program();
    let steps = 0;
    const loss = () => {
      steps++;
      throw new Error("it trains");
    };
    await expect(run({ loss }, { manager: managerIn(path), resume: false })).rejects.toThrow(message);
    expect(steps).toBe(0);
  });

  test("a training with nothing left to do asks nothing of the folder", async () => {
    const { run } = program();
    await run();
    const prepare = vi.spyOn(CheckpointManager.prototype, "prepare");
    expect((await run()).steps).toBe(0);
    expect(prepare).not.toHaveBeenCalled();
    await run({ epochs: 3 });
    expect(prepare).toHaveBeenCalledWith(["loss"]);
  });

  test("a manager alone saves what the optimizer was built for", async () => {
    const w = new Variable(Float32Array.of(0), { name: "w" });
    const manager = new CheckpointManager(folder());
    const train = async () => {
      using optimizer = new Adamax({ learningRate: 0.1 });
      optimizer.build([w]);
      const loss = () => ({ loss: 1, gradients: [[Float32Array.of(1), w]] as const });
      await fit({ optimizer, data: [1], loss, epochs: 2, checkpoints: manager, progress: "none" });
      return optimizer.iterations;
    };
    expect([await train(), await train(), (await manager.list()).length]).toEqual([2, 2, 2]);
  });
});

describe("how it goes on", () => {
  test("data is asked for the epochs that are left, and in an array nothing is touched that was trained", async () => {
    const touched: string[] = [];
    const data = (epoch: number) => {
      const batches: number[] = [];
      for (const i of [0, 1, 2])
        Object.defineProperty(batches, i, {
          get: () => {
            touched.push(`${epoch}.${i}`);
            return i;
          },
        });
      return batches;
    };
    const { run } = program({ epochs: 3, data }, { everyBatches: 1 });
    await killed(run({}, { fail: 6 })); // 1.0 1.1 1.2 2.0 2.1 2.2: five are saved
    touched.length = 0;
    await run();
    expect(touched).toEqual(["2.2", "3.0", "3.1", "3.2"]);
  });

  test("callbacks hear of what is left, and history has all of it", async () => {
    const told: string[] = [];
    const listener: Callback = {
      onTrainBegin: () => void told.push("train"),
      onEpochBegin: (epoch, { history }) => void told.push(`epoch ${epoch} after ${history.epochs.length}`),
      onBatchEnd: ({ epoch, batch }) => void told.push(`${epoch}.${batch}`),
      onEpochEnd: ({ epoch, batches }) => void told.push(`end ${epoch} of ${batches}`),
      onTrainEnd: ({ history }) => void told.push(`end after ${history.epochs.map(({ epoch }) => epoch)}`),
    };
    const { run } = program({ epochs: 3, callbacks: [listener] }, { everyBatches: 1 });
    await killed(run({}, { fail: 6 }));
    told.length = 0;
    const { history } = await run();
    const rest = ["epoch 3 after 2", "3.1", "3.2", "3.3", "end 3 of 3"];
    expect(told).toEqual(["train", "epoch 2 after 1", "2.3", "end 2 of 3", ...rest, "end after 1,2,3"]);
    expect(history.resumedFrom).toBe("checkpoint-000006.safetensors"); // after the fifth batch: the end of epoch 1 has one of its own
  });

  test("one that is finished trains nothing, and says so; with more epochs it goes on", async () => {
    const { run } = program({ epochs: 2 });
    const first = await run();
    expect(first.history.resumedFrom).toBeUndefined();
    const again = await run();
    expect([again.steps, again.w, again.history.epochs]).toEqual([0, first.w, first.history.epochs]);
    expect((await run({ epochs: 3 })).steps).toBe(3);
    expect((await run({ epochs: 1 })).steps).toBe(0);
  });

  test("the progress says from where, and counts the time that is left for what is left", async () => {
    const path = folder();
    const train = async (epochs: number, fail = Infinity) => {
      const w = new Variable(Float32Array.of(0), { name: "w" });
      const text: string[] = [];
      let now = 0;
      const terminal = { write: (more: string) => void text.push(more), isTTY: true, columns: 100 };
      const checkpoints = { manager: new CheckpointManager(path), variables: [w], everyBatches: 1 };
      const loss = (batch: number) => {
        if (batch === fail) throw new Killed();
        now += 1000;
        return { loss: 1, gradients: [[Float32Array.of(1), w]] as const };
      };
      await killed(
        fit({ optimizer: new Adamax(), data: [1, 2, 3, 4], loss, epochs, checkpoints }, { clock: () => now, terminal }),
      );
      return text.join("");
    };
    await train(1, 3);
    const text = await train(1);
    expect(text).toContain("goes on from checkpoint-000002.safetensors, in epoch 1, after 2 batches\n");
    expect(text).toContain("3/4  loss 1  1.0 s left");
    expect(text).toContain("epoch 1/1  loss 1  learning rate 0.001  4.0 s\n"); // with the two seconds of then
    expect(await train(2)).toContain("goes on from checkpoint-000005.safetensors, after epoch 1\n");
    expect(await train(2)).toBe("checkpoint-000010.safetensors: all 2 epochs are trained, nothing is left to do\n");
  });

  test("stopped by a signal, it goes on where it was; the averages of the cut epoch are not in the checkpoint", async () => {
    const straight = await program({ epochs: 3 }).run();
    const { run } = program({ epochs: 3 }, { everyEpochs: 9 });
    const controller = new AbortController();
    const stopper: Callback = { onBatchEnd: ({ epoch, batch }) => void (epoch === 2 && batch === 2 && controller.abort()) };
    const cut = await run({ signal: controller.signal, callbacks: [stopper] });
    expect(cut.history.epochs.map(({ batches }) => batches)).toEqual([3, 2]);
    const { history, w, steps } = await run();
    expect([w, steps, history.epochs.map(({ loss }) => loss)]).toEqual([
      straight.w,
      4,
      straight.history.epochs.map(({ loss }) => loss),
    ]);
  });

  test("stopped before an epoch has a batch, it goes on after the one before", async () => {
    const stopper: Callback = { onEpochBegin: (epoch, training) => void (epoch === 3 && training.stop()) };
    const { run, list } = program({ epochs: 4 }, { everyEpochs: 9 });
    const { history } = await run({ callbacks: [stopper] });
    const [{ iterations, metrics } = { iterations: 0, metrics: {} }] = await list();
    expect([iterations, metrics]).toEqual([6, { loss: history.epochs[1]!.loss }]);
    expect((await run()).steps).toBe(6);
  });

  test("stopped by a callback, it goes on as well, unless the callback remembers", async () => {
    const stopper: Callback = {
      onBatchEnd: ({ epoch, batch }, training) => void (epoch === 1 && batch === 2 && training.stop()),
    };
    const { run } = program({ epochs: 2, callbacks: [stopper] });
    expect((await run()).steps).toBe(2);
    expect((await run()).steps).toBe(4);
    const nan = program({ epochs: 2, data: [1, NaN, 3], callbacks: [terminateOnNaN()] });
    const first = await nan.run();
    const again = await nan.run();
    expect([again.steps, again.history.stoppedBy]).toEqual([0, "callback"]);
    expect(await nan.list()).toHaveLength(1); // nothing new to save
    expect(again.history.epochs).toEqual(first.history.epochs.map((epoch) => ({ ...epoch, seconds: expect.any(Number) })));
  });

  test("where it is stopped, it is saved once", async () => {
    const stopper: Callback = { onBatchEnd: ({ batch }, training) => void (batch === 2 && training.stop()) };
    const { run, list } = program({ callbacks: [stopper] }, { everyBatches: 2 });
    await run();
    expect(await list()).toHaveLength(1);
  });

  test("early stopping that gets more patience goes on", async () => {
    const stopping = (patience: number) => ({ callbacks: [earlyStopping({ monitor: () => 1, patience })] });
    const { run } = program({ epochs: 9 });
    expect((await run(stopping(2))).history.epochs).toHaveLength(3);
    expect((await run(stopping(2))).steps).toBe(0);
    expect((await run(stopping(4))).history.epochs).toHaveLength(5);
  });

  test("numbers that JSON lacks come back: losses of NaN, and a best of infinity", async () => {
    const states: unknown[] = [];
    const keeper: Callback = {
      name: "keeper",
      state: () => [Infinity, -0, NaN, { deep: [-Infinity] }],
      restore: (state) => void states.push(state),
    };
    const { run } = program({ epochs: 1, data: [NaN], callbacks: [keeper] });
    const first = await run();
    const again = await run();
    expect(again.history.epochs).toEqual(first.history.epochs);
    expect(again.history.epochs[0]!.loss).toBe(NaN);
    expect(states).toEqual([[Infinity, -0, NaN, { deep: [-Infinity] }]]);
  });

  test("a history of 150,000 epochs comes back", async () => {
    const length = 150_000;
    const epoch = Array.from({ length }, (_, i) => i + 1);
    const training = { history: { epoch, loss: epoch }, sums: { count: 0, totals: {} }, seconds: 0, seen: [], callbacks: [] };
    const user = { epoch: length, batch: 0, own: null, by: "fit", training };
    const manager = { save: async () => "", loadNewest: async () => ({ name: "last", user, skipped: [] }) };
    const { history, steps } = await program({ epochs: length }).run({}, { manager });
    expect([steps, history.epochs.length, history.epochs.at(-1)]).toEqual([0, length, { epoch: length, loss: length }]);
  });

  test("a damaged checkpoint is passed over with a warning", async () => {
    const { run, path } = program({ epochs: 2 });
    await run();
    const newest = join(path, "checkpoint-000002.safetensors");
    truncateSync(newest, readFileSync(newest).length - 1);
    expect((await run()).steps).toBe(3);
    expect(warn.mock.calls.flat().join()).toMatch(/checkpoint-000002.* is damaged.*goes on from checkpoint-000001/);
  });

  test("resume: false only saves", async () => {
    const { run, list } = program({ epochs: 1 }, { resume: false });
    expect([(await run()).steps, (await run()).steps]).toEqual([3, 3]);
    expect(await list()).toHaveLength(2);
  });

  test("a log is cut where the checkpoint was, and begins anew if it was lost", async () => {
    const log = join(folder(), "log.csv");
    const { run, path } = program({ epochs: 4, callbacks: [logEpochs(log)] }, { everyEpochs: 2 });
    await killed(run({}, { fail: 11 })); // in epoch 4: epoch 3 is in the log, and not in a checkpoint
    const column = () =>
      readFileSync(log, "utf8")
        .trimEnd()
        .split("\n")
        .map((line) => line.split(",")[0]);
    expect(column()).toEqual(["epoch", "1", "2", "3"]);
    await run();
    expect(column()).toEqual(["epoch", "1", "2", "3", "4"]);
    rmSync(join(path, "checkpoint-000002.safetensors"));
    rmSync(log);
    await run();
    expect(column()).toEqual(["epoch", "3", "4"]);
  });
});

describe("what cannot go on says so", () => {
  const stateful = (name: string, restored: string[] = []): Callback => ({
    name,
    state: () => name,
    restore: (state) => void restored.push(`${name} ${state}`),
  });

  test("data that has fewer batches than it had, or a generator that was used up", async () => {
    const { run } = program({ epochs: 1 }, { everyBatches: 1 });
    await killed(run({}, { fail: 3 }));
    for (const data of [[1], () => [1].values()])
      await expect(run({ data })).rejects.toThrow(/data must give the same batches again.*Received: 1 in epoch 1, of which 2/);
  });

  test("a checkpoint that another program saved", async () => {
    const { run, manager } = program({ epochs: 1 });
    const { optimizer } = trained({ learningRate: 0.1 }, 2, { w: { shape: [1] } });
    await manager().save({ optimizer, user: { epoch: 1 } });
    await expect(run()).rejects.toThrow(/checkpoint-000001.safetensors does not say where a training by fit was.*initialEpoch/);
    await manager().save({ optimizer, user: { epoch: 1, batch: 0, by: "fit", training: { sums: 1 } } });
    await expect(run()).rejects.toThrow("does not say where");
  });

  test("variables that nobody named", async () => {
    const { run, list } = program({ epochs: 1 });
    const other = new Variable(Float32Array.of(0), { name: "other" });
    await expect(run({}, { variables: [] })).rejects.toThrow(/must know what to load into.*variables: \[ ... \]/);
    let steps = 0;
    const callbacks = [{ onBatchEnd: () => void steps++ }];
    await expect(run({ callbacks }, { variables: [other] })).rejects.toThrow(/name every variable that is trained.*"w"/);
    expect([steps, await list()]).toEqual([0, []]); // found in the first step, and not when it is saved
  });

  test("callbacks that came and went are said, and keep to their names", async () => {
    const { run } = program({ epochs: 1 });
    await run({ callbacks: [stateful("a"), stateful("b"), stateful("b")] });
    const restored: string[] = [];
    await run({ callbacks: [stateful("b", restored), stateful("c", restored), stateful("a", restored)] });
    expect(restored).toEqual(["b b", "a a"]);
    expect(warn.mock.calls.flat()).toEqual([
      "adamax: checkpoint-000001.safetensors has no state of the callback c, which begins afresh.",
      "adamax: checkpoint-000001.safetensors has state of a callback b, and there is none here.",
    ]);
  });

  test("a metric that comes in the middle of an epoch is the mean over the batches that measured it, and says so; one that goes leaves nothing", async () => {
    const { run } = program({ epochs: 1 }, { everyBatches: 1 });
    await killed(run({ metrics: { old: () => 5 } }, { fail: 3 }));
    const { history } = await run({ metrics: { ten: () => 10 } });
    expect(history.epochs[0]).toMatchObject({ batches: 3, ten: 10 });
    expect(history.epochs[0]).not.toHaveProperty("old");
    expect(warn.mock.calls.flat()).toEqual([
      "adamax: checkpoint-000002.safetensors has no ten of epoch 1, whose mean will be over the batches that are left.",
    ]);
  });

  test.each([
    ["variables", (value: number, name: string) => new Variable(Float32Array.of(value), { name })],
    ["arrays", (value: number) => Float32Array.of(value)],
  ])(
    "the %s may be named in another order: the averages of those that were trained are written, and no others",
    async (_, make) => {
      const path = folder();
      const run = async (isReversed: boolean) => {
        const [a, b] = [make(0, "a"), make(5, "b")];
        const optimizer = new Adamax({ learningRate: 0.1, useEma: true, emaMomentum: 0.5 });
        optimizer.build([a, b]);
        await fit<number, Variable | Float32Array>({
          optimizer,
          data: [1],
          epochs: 2,
          loss: () => ({ loss: 1, gradients: [[Float32Array.of(1), a]] }),
          checkpoints: { manager: new CheckpointManager(path), variables: isReversed ? [b, a] : [a, b] },
          progress: "none",
        });
        return [a, b].map((one) => (one instanceof Variable ? one.value[0] : one[0]));
      };
      const first = await run(false);
      expect(first).toEqual([expect.closeTo(-0.125, 6), 5]);
      expect(await run(true)).toEqual(first); // finished: nothing is trained
    },
  );

  test("callbacks that watch different things do not get the state of each other, nor logs the place in another file", async () => {
    const { run, path } = program({ epochs: 2, metrics: { acc: () => 0.5 } });
    const callbacks = () => [
      earlyStopping({ monitor: "loss", patience: 9 }),
      earlyStopping({ monitor: "acc", patience: 9 }),
      reduceLROnPlateau({ monitor: "loss" }),
      reduceLROnPlateau({ monitor: "acc" }),
      logEpochs(join(path, "a.csv")),
      logEpochs(join(path, "b.csv")),
    ];
    await run({ callbacks: callbacks() });
    const before = readFileSync(join(path, "a.csv"), "utf8");
    const reordered = callbacks().reverse();
    await run({ callbacks: reordered });
    const best = reordered.flatMap(({ name, state }) => {
      const { best } = state!(undefined as never) as { best?: number };
      return best === undefined ? [] : [[name, best < 1]];
    });
    expect(best).toEqual([
      ["reduceLROnPlateau(acc, max)", true],
      ["reduceLROnPlateau(loss, min)", false],
      ["earlyStopping(acc, max)", true],
      ["earlyStopping(loss, min)", false],
    ]);
    expect(warn).not.toHaveBeenCalled();
    await run({ epochs: 3, callbacks: [callbacks()[5]!, callbacks()[1]!] });
    expect(readFileSync(join(path, "b.csv"), "utf8").split("\n")).toHaveLength(5);
    expect(readFileSync(join(path, "a.csv"), "utf8")).toBe(before);
    expect(warn.mock.calls.flat().map((line) => /callback (.*), and/.exec(line)?.[1])).toEqual([
      "earlyStopping(loss, min)",
      "reduceLROnPlateau(loss, min)",
      "reduceLROnPlateau(acc, max)",
      "logEpochs(csv, a.csv)",
    ]);
  });

  test.each([
    [
      "an optimizer of another library",
      { optimizer: { applyGradients: () => 1, iterations: 0, learningRate: 1 } },
      {},
      /of this library/,
    ],
    ["something that is no manager", {}, { manager: { save() {} } }, /manager of checkpoints of fit must be a CheckpointManager/],
    ["a slip in an option", {}, { everyBatch: 3 }, /Did you mean everyBatches\?/],
    ["variables of another kind", {}, { variables: [1] }, /each element a Variable/],
    ["one array for a list of them", {}, { variables: Float32Array.of(1) }, /an array, each element/],
    ["half an interval", {}, { everyEpochs: 0.5 }, /everyEpochs=0.5/],
  ] as [string, Given, object, RegExp][])("%s is refused at the door", async (_, given, saving, message) => {
    await expect(program(given).run({}, saving as never)).rejects.toThrow(message);
  });

  test("a log whose columns change", async () => {
    const log = join(folder(), "log.csv");
    const { run } = program({ callbacks: [logEpochs(log)] });
    await run({ epochs: 1 });
    await expect(run({ epochs: 2, metrics: { more: () => 1 } })).rejects.toThrow(
      /columns .*learningRate,seconds, and an epoch with/,
    );
  });
});
