import { Adamax, schedules, Variable } from "adamax";
import { expect, test } from "vitest";
import { OptionError } from "../../src/errors.js";
import { earlyStopping, terminateOnNaN } from "../../src/training/callbacks.js";
import { fit } from "../../src/training/fit.js";
import type { BatchLoss } from "../../src/training/options.js";
import type { Callback, TrainableOptimizer } from "../../src/training/training.js";

interface Weight {
  value: Float32Array;
}

/** w -= gradient; the average is the mean of w and the average before. Powers of two, so every number below is exact. */
class FakeOptimizer implements TrainableOptimizer<Weight> {
  iterations = 0;
  finalized = 0;
  swaps = 0;
  readonly average = new Float32Array(1);
  constructor(
    readonly weight: Weight,
    readonly useEma = false,
  ) {}
  get learningRate() {
    return 2 ** -this.iterations;
  }
  applyGradients(pairs: Iterable<readonly [gradient: unknown, variable: Weight]>) {
    for (const [gradient, { value }] of pairs) value[0]! -= (gradient as Float32Array)[0]!;
    this.average[0] = (this.average[0]! + this.weight.value[0]!) / 2;
    return ++this.iterations;
  }
  swapAverages() {
    this.swaps++;
    [this.weight.value[0], this.average[0]] = [this.average[0]!, this.weight.value[0]!];
  }
  finalizeVariableValues() {
    this.finalized++;
    this.weight.value.set(this.average);
  }
}

const setting = (useEma = false) => {
  const weight: Weight = { value: new Float32Array(1) };
  const optimizer = new FakeOptimizer(weight, useEma);
  /** A batch is its loss, and moves the weight by -1. */
  const loss = (batch: number): BatchLoss<Weight> => ({ loss: batch, gradients: [[Float32Array.of(1), weight]] });
  return { weight, optimizer, loss, progress: "none" as const };
};

test("an epoch is one pass over the data, and history has the mean loss, the learning rate after it and its batches", async () => {
  const { optimizer, loss, progress } = setting();
  const history = await fit({ optimizer, data: [4, 2], loss, epochs: 2, progress });
  expect(history).toEqual({
    stoppedBy: null,
    epochs: [
      { epoch: 1, batches: 2, loss: 3, learningRate: 0.25, seconds: expect.any(Number) },
      { epoch: 2, batches: 2, loss: 3, learningRate: 0.0625, seconds: expect.any(Number) },
    ],
  });
});

const sources: [what: string, data: Parameters<typeof fit<number, Weight>>[0]["data"]][] = [
  ["an array", [1, 2]],
  ["a set", new Set([1, 2])],
  [
    "a generator function",
    function* () {
      yield* [1, 2];
    },
  ],
  [
    "an async generator function",
    async function* () {
      yield* [1, 2];
    },
  ],
  ["a function that promises an array", async () => [1, 2]],
  [
    "an async iterable",
    {
      [Symbol.asyncIterator]: async function* () {
        yield* [1, 2];
      },
    },
  ],
];
test.each(sources)("%s serves as data for several epochs", async (_, data) => {
  const { optimizer, loss, progress } = setting();
  expect(await fit({ optimizer, data, loss, epochs: 3, progress })).toMatchObject({
    epochs: [{ loss: 1.5 }, { loss: 1.5 }, { loss: 1.5 }],
  });
});

test.each([5, null, undefined, "ab"])("a data function that gives %s is refused in words, for validation too", async (given) => {
  const optimizer = new Adamax();
  const w = new Variable(new Float32Array(1));
  const loss = () => ({ loss: 0, gradients: [[new Float32Array(1), w] as const] });
  const data = (() => given) as never;
  const message = /The batches of an epoch must be an iterable.*Return one from the function/;
  await expect(fit({ optimizer, data, loss, progress: "none" })).rejects.toThrow(message);
  const validation = { data, loss: () => 0 };
  await expect(fit({ optimizer, data: [1], loss, validation, progress: "none" })).rejects.toThrow(message);
});

test("a data function gets the number of the epoch, from 1", async () => {
  const { optimizer, loss, progress } = setting();
  const history = await fit({ optimizer, data: (epoch) => [epoch], loss, epochs: 3, progress });
  expect(history.epochs.map((epoch) => epoch.loss)).toEqual([1, 2, 3]);
});

test("a loss may be async, and may give its pairs by a generator", async () => {
  const { optimizer, weight, progress } = setting();
  const loss = async (batch: number) => ({
    loss: batch,
    gradients: (function* () {
      yield [Float32Array.of(batch), weight] as const;
    })(),
  });
  await fit({ optimizer, data: [1, 2], loss, progress });
  expect(weight.value[0]).toBe(-3);
});

test("seconds are the clock's, with the validation", async () => {
  const { optimizer, loss } = setting();
  let now = 0;
  const terminal = { write() {}, isTTY: false, columns: 80 };
  const validation = {
    data: [1],
    loss: () => {
      now += 500;
      return 0;
    },
  };
  const history = await fit(
    {
      optimizer,
      data: [1, 2],
      loss: (batch) => {
        now += 1000;
        return loss(batch);
      },
      validation,
    },
    { clock: () => now, terminal },
  );
  expect(history.epochs[0]!.seconds).toBe(2.5);
});

test("when training ends, the averages are in the variables", async () => {
  const { optimizer, weight, loss, progress } = setting(true);
  await fit({ optimizer, data: [1, 1], loss, progress });
  expect(weight.value[0]).toBe(-1.25); // w: -1, -2; average: -0.5, -1.25
});

test("without averages, nothing is finalized or swapped", async () => {
  const { optimizer, loss, progress } = setting(false);
  await fit({ optimizer, data: [1], loss, validation: { data: [1], loss: () => 0 }, progress });
  expect(optimizer).toMatchObject({ finalized: 0, swaps: 0 });
});

test("validation sees the averages, and the training goes on from the variables' own values", async () => {
  const { optimizer, weight, loss, progress } = setting(true);
  const seen: number[] = [];
  const validation = {
    data: ["a", "b"],
    loss: (batch: string) => {
      seen.push(weight.value[0]!);
      return batch === "a" ? 1 : 3;
    },
  };
  const after: number[] = [];
  const callbacks = [{ onEpochEnd: () => void after.push(weight.value[0]!) }];
  const history = await fit({ optimizer, data: [1], loss, epochs: 2, validation, callbacks, progress });
  expect(seen).toEqual([-0.5, -0.5, -1.25, -1.25]);
  expect(after).toEqual([-1, -2]);
  expect(history.epochs.map(({ valLoss }) => valLoss)).toEqual([2, 2]);
});

const failing = {
  async onEpochEnd() {
    throw new Error("broken");
  },
};
const broken = (): never => {
  throw new Error("broken");
};
const failures: [who: string, options: (loss: (batch: number) => BatchLoss<Weight>) => object, weight: number][] = [
  ["the loss", (loss) => ({ loss: (batch: number) => (batch === 3 ? broken() : loss(batch)) }), -2],
  [
    "the data",
    () => ({
      data: () =>
        (function* () {
          yield* [1, 2];
          broken();
        })(),
    }),
    -2,
  ],
  [
    "a callback after a batch",
    () => ({ callbacks: [{ onBatchEnd: ({ batch }: { batch: number }) => batch === 2 && broken() }] }),
    -2,
  ],
  ["a callback after an epoch", () => ({ callbacks: [failing] }), -3],
  ["the validation", () => ({ validation: { data: [1], loss: broken } }), -3],
  ["the validation's data", () => ({ validation: { data: broken, loss: () => 0 } }), -3],
];
test.each(failures)(
  "when %s throws, fit throws the same and the variables hold the last completed step",
  async (_, options, last) => {
    const { optimizer, weight, loss, progress } = setting(true);
    await expect(fit({ optimizer, data: [1, 2, 3], loss, progress, ...options(loss) } as never)).rejects.toThrow("broken");
    expect(weight.value[0]).toBe(last);
    expect(optimizer.finalized).toBe(0);
  },
);

test("callbacks are called in order, each awaited, with the variables seen so far", async () => {
  const { optimizer, loss, weight, progress } = setting(true);
  const log: string[] = [];
  const logger = (name: string): Callback<Weight> => ({
    async onTrainBegin({ variables }) {
      await null;
      log.push(`${name} train ${variables.size}`);
    },
    onEpochBegin: (epoch) => void log.push(`${name} epoch ${epoch}`),
    onBatchEnd: ({ epoch, batch, loss, meanLoss }) => void log.push(`${name} batch ${epoch}.${batch}: ${loss} ${meanLoss}`),
    onEpochEnd: ({ loss }, { variables }) => void log.push(`${name} mean ${loss}, ${variables.has(weight)}`),
    onTrainEnd: () => void log.push(`${name} end ${weight.value[0]}`), // the average already
  });
  await fit({ optimizer, data: [4, 2], loss, callbacks: [logger("a"), logger("b")], progress });
  const one = (name: string) => [
    `${name} train 0`,
    `${name} epoch 1`,
    `${name} batch 1.1: 4 4`,
    `${name} batch 1.2: 2 3`,
    `${name} mean 3, true`,
    `${name} end -1.25`,
  ];
  expect(log).toEqual(one("a").flatMap((line, i) => [line, one("b")[i]]));
});

test("a signal ends the training before the next batch; the averages are written and the cut epoch is in the history", async () => {
  const { optimizer, weight, loss, progress } = setting(true);
  const controller = new AbortController();
  let epochEnds = 0;
  const callbacks = [
    {
      onBatchEnd: ({ epoch, batch }: { epoch: number; batch: number }) => {
        if (epoch === 2 && batch === 1) controller.abort();
      },
      onEpochEnd: () => {
        epochEnds++;
      },
    },
  ];
  const validation = { data: [1], loss: () => 7 };
  const history = await fit({
    optimizer,
    data: [1, 1],
    loss,
    epochs: 5,
    validation,
    callbacks,
    signal: controller.signal,
    progress,
  });
  expect(history).toMatchObject({ stoppedBy: "signal", epochs: [{ batches: 2, valLoss: 7 }, { batches: 1 }] });
  expect(history.epochs[1]).not.toHaveProperty("valLoss");
  expect(epochEnds).toBe(1);
  expect(weight.value[0]).toBe(-2.125); // w: -1, -2, -3; average: -0.5, -1.25, -2.125
});

test("a signal during the validation leaves the variables swapped back", async () => {
  const { optimizer, weight, loss, progress } = setting(true);
  const controller = new AbortController();
  const validation = {
    data: [1, 1],
    loss: () => {
      controller.abort();
      return 7;
    },
  };
  const history = await fit({ optimizer, data: [1], loss, epochs: 2, validation, signal: controller.signal, progress });
  expect(optimizer.swaps).toBe(2);
  expect(weight.value[0]).toBe(-0.5);
  expect(history.epochs).toHaveLength(1);
  expect(history.epochs[0]).not.toHaveProperty("valLoss"); // a mean of some batches is not the validation's
});

test("a signal that has fired before the training lets no step happen", async () => {
  const { optimizer, loss, progress } = setting(true);
  expect(await fit({ optimizer, data: [1], loss, signal: AbortSignal.abort(), progress })).toEqual({
    epochs: [],
    stoppedBy: "signal",
  });
  expect(optimizer).toMatchObject({ iterations: 0, finalized: 0 });
});

test("data that hears the same signal, and throws what it says, counts as a stop", async () => {
  const { optimizer, loss, progress } = setting();
  const controller = new AbortController();
  const data = async function* () {
    yield 1;
    controller.abort();
    controller.signal.throwIfAborted();
  };
  expect(await fit({ optimizer, data, loss, epochs: 2, signal: controller.signal, progress })).toMatchObject({
    stoppedBy: "signal",
    epochs: [{ batches: 1 }],
  });
});

test("a timer can end a training whose data and loss never wait", async () => {
  const { optimizer, loss, progress } = setting();
  const end = performance.now() + 5000;
  const data = function* () {
    while (performance.now() < end) yield 1;
  };
  expect(await fit({ optimizer, data, loss, signal: AbortSignal.timeout(60), progress })).toMatchObject({ stoppedBy: "signal" });
  expect(performance.now()).toBeLessThan(end);
});

test("a stopped training closes its data", async () => {
  const { optimizer, loss, progress } = setting();
  let closed = false;
  const data = function* () {
    try {
      for (;;) yield 1;
    } finally {
      closed = true;
    }
  };
  const stopper: Callback = {
    onBatchEnd: ({ batch }, training) => {
      if (batch === 3) training.stop();
    },
  };
  expect(await fit({ optimizer, data, loss, callbacks: [stopper], progress })).toMatchObject({
    stoppedBy: "callback",
    epochs: [{ batches: 3 }],
  });
  expect(closed).toBe(true);
});

/** Trains while the validation gives `valLosses`, one an epoch. */
const validated = (valLosses: number[], callback: Callback, useEma = false) => {
  const { optimizer, weight, loss, progress } = setting(useEma);
  const validation = { data: (epoch: number) => [valLosses[epoch - 1]!], loss: (batch: number) => batch };
  return fit({ optimizer, data: [1], loss, epochs: valLosses.length, validation, callbacks: [callback], progress }).then(
    (history) => ({ history, weight, optimizer }),
  );
};

test.each([
  ["stops after `patience` epochs that were not better", { patience: 2 }, [5, 3, 4, 3, 1], 4],
  ["counts patience anew after a better epoch", { patience: 2 }, [5, 6, 4, 5, 3, 4], 6],
  ["without patience stops at the first epoch that is not better", {}, [5, 5, 1], 2],
  ["asks for an improvement of more than minDelta", { patience: 2, minDelta: 1 }, [5, 4.5, 4, 1], 3],
  ["never takes NaN for better", { patience: 2 }, [Number.NaN, 5, Number.NaN, 6, 1], 4],
  ["with mode max wants more", { patience: 1, mode: "max" as const }, [1, 2, 3, 2, 9], 4],
  ["follows any function", { monitor: ({ epoch }: { epoch: number }) => (epoch < 3 ? -epoch : 0) }, [1, 1, 1, 1], 3],
])("early stopping %s", async (_, options, valLosses, epochs) => {
  const { history } = await validated(valLosses, earlyStopping(options));
  expect(history.epochs).toHaveLength(epochs);
});

test("early stopping can restore the weights of the best epoch", async () => {
  const { weight } = await validated([5, 3, 4, 4], earlyStopping({ patience: 2, restoreBestWeights: true }));
  expect(weight.value[0]).toBe(-2);
});

test("early stopping restores the best epoch's averages where there are averages: what finalizing then would have written", async () => {
  const { weight, optimizer } = await validated([5, 3, 4, 4], earlyStopping({ patience: 2, restoreBestWeights: true }), true);
  expect(weight.value[0]).toBe(-1.25); // average after two epochs
  expect(optimizer.finalized).toBe(1);
});

test("weights that early stopping restored are where the averages begin in the next training", async () => {
  const w = new Variable(Float32Array.of(0), { name: "w" });
  const frozen = new Variable(Float32Array.of(7), { name: "frozen" });
  const array = Float32Array.of(0);
  const optimizer = new Adamax({ learningRate: 1, useEma: true, emaMomentum: 0.5 });
  optimizer.build([w, frozen, array]);
  const train = (callbacks: Callback[]) =>
    fit<number, Variable | Float32Array>({
      optimizer,
      data: [1],
      loss: (batch) => ({ loss: w.value[0]!, gradients: [w, array].map((one) => [Float32Array.of(-batch), one] as const) }),
      epochs: 5,
      callbacks,
      progress: "none",
    });
  await train([earlyStopping({ monitor: "loss", patience: 2, restoreBestWeights: true })]);
  const restored = w.value[0]!;
  expect([restored, array[0]]).toEqual([0.5, 0.5].map(() => expect.closeTo(0.5, 5)));
  optimizer.learningRate = 0;
  await train([]);
  expect([w.value[0], array[0], frozen.value[0]]).toEqual([restored, restored, 7]);
});

test("early stopping serves in one training after another", async () => {
  const callback = earlyStopping({ patience: 1 });
  expect((await validated([1, 2, 3], callback)).history.epochs).toHaveLength(2);
  expect((await validated([5, 4, 5], callback)).history.epochs).toHaveLength(3);
});

test("a loss that is not finite shows in the history, and training goes on", async () => {
  const { optimizer, loss, progress } = setting();
  const history = await fit({ optimizer, data: (epoch) => (epoch === 1 ? [1, Number.NaN] : [1]), loss, epochs: 2, progress });
  expect(history.epochs.map((epoch) => epoch.loss)).toEqual([Number.NaN, 1]);
});

test("terminateOnNaN ends the training at the batch whose loss is not finite", async () => {
  const { optimizer, loss, progress } = setting();
  const history = await fit({
    optimizer,
    data: [1, Number.POSITIVE_INFINITY, 1],
    loss,
    epochs: 2,
    callbacks: [terminateOnNaN()],
    progress,
  });
  expect(history).toMatchObject({ stoppedBy: "callback", epochs: [{ batches: 2 }] });
});

const refused: [what: string, options: object, message: RegExp][] = [
  ["an unknown option", { epoch: 2 }, /epoch=2\. Did you mean epochs\?/],
  ["no optimizer", { optimizer: undefined }, /optimizer of fit must be an optimizer\. Received: optimizer=undefined/],
  ["half an epoch", { epochs: 1.5 }, /integer of 1 or more\. Received: epochs=1\.5/],
  ["no epochs", { epochs: 0 }, /epochs=0/],
  ["data that cannot be iterated", { data: { length: 2 } }, /an iterable or async iterable of batches/],
  ["an iterator for two epochs", { data: [1].values(), epochs: 2 }, /data of fit .* 2 epochs.*Pass an array, or a function/],
  [
    "an iterator to validate on in two epochs",
    { validation: { data: [1].values(), loss: () => 0 }, epochs: 2 },
    /validation\.data of fit/,
  ],
  ["an iterable without an iterator", { data: { [Symbol.iterator]: () => 5 } }, /Batches come from an iterator.*Received: 5/],
  [
    "an iterator that gives batches themselves",
    { data: { [Symbol.iterator]: () => ({ next: () => 7 }) } },
    /Received: 7\. Write/,
  ],
  ["an asynchronous one", { data: { [Symbol.asyncIterator]: () => ({ next: async () => null }) } }, /iterator.*Received: null/],
  ["empty data", { data: [] }, /data must give at least one batch .* none in epoch 1/],
  [
    "data that is empty the second time",
    { data: (epoch: number) => (epoch === 1 ? [1] : []), epochs: 2 },
    /none in epoch 2\. If it can be read only once/,
  ],
  ["empty validation data", { validation: { data: [], loss: () => 0 } }, /validation\.data must give at least one batch/],
  ["a validation without a loss", { validation: { data: [1] } }, /validation of fit must be \{ data, loss \}/],
  ["a callback that is not in an array", { callbacks: earlyStopping() }, /array of callbacks/],
  ["a controller for its signal", { signal: new AbortController() }, /an AbortSignal/],
  ["an unknown kind of progress", { progress: "line" }, /"auto" or "bar" or "lines" or "none"/],
  ["a loss that returns only a number", { loss: () => 1 }, /loss of fit's loss must be a number.*loss=undefined/],
  ["a loss that is an array", { loss: () => ({ loss: [1], gradients: [] }) }, /loss=\[1\]/],
  ["a validation loss that is no number", { validation: { data: [1], loss: () => "0" } }, /must return a number\. Received: "0"/],
  ["monitoring a validation that is not there", { callbacks: [earlyStopping()] }, /"valLoss".*undefined.*Give fit a validation/],
];
test.each(refused)("%s is an OptionError that says what to do", async (_, options, message) => {
  const { optimizer, loss, progress } = setting();
  const trained = fit({ optimizer, data: [1], loss, progress, ...options } as never);
  await expect(trained).rejects.toThrow(OptionError);
  await expect(trained).rejects.toThrow(message);
});

test.each([
  ["patience", { patience: -1 }, /integer of 0 or more\. Received: patience=-1/],
  ["mode", { mode: "auto" as never }, /"min" or "max"\. Received: mode="auto"/],
  ["monitor", { monitor: "val_loss" as never }, /monitor="val_loss"/],
  ["an unknown name", { restoreBestWeight: true } as never, /Did you mean restoreBestWeights\?/],
])("early stopping refuses a wrong %s", (_, options, message) => {
  expect(() => earlyStopping(options)).toThrow(OptionError);
  expect(() => earlyStopping(options)).toThrow(message);
});

test("Adamax is trained to the minimum of a parabola along a schedule, and its variable holds the averages then", async () => {
  const w = new Variable(Float32Array.of(1, -2), { name: "w" });
  const learningRate = new schedules.CosineDecay({ initialLearningRate: 0.125, decaySteps: 400 });
  const optimizer = new Adamax({ learningRate, beta2: 0.9, useEma: true, emaMomentum: 0.5 });
  const squares = (target: number) => {
    const errors = Array.from(w.value, (value) => value - target);
    return {
      loss: errors.reduce((sum, error) => sum + error * error, 0),
      gradients: [[Float32Array.from(errors, (error) => 2 * error), w]] as const,
    };
  };
  const before: number[][] = [];
  const history = await fit({
    optimizer,
    data: Array.from({ length: 20 }, () => 3),
    loss: squares,
    epochs: 20,
    validation: { data: [3], loss: (target) => squares(target).loss },
    callbacks: [{ onEpochEnd: () => void before.push([...w.value]) }],
    progress: "none",
  });
  const last = history.epochs.at(-1)!;
  expect(last.loss).toBeLessThan(1e-8);
  expect(last.valLoss).toBeCloseTo(squares(3).loss, 12); // the validation saw the averages, which are in the variable now
  expect([...w.value]).not.toEqual(before.at(-1));
  expect(history.epochs.map((epoch) => epoch.learningRate)).toEqual(history.epochs.map((_, i) => learningRate.at(20 * (i + 1))));
  expect(optimizer.iterations).toBe(400);
});

test("restoring the best weights works on Adamax' variables, in the backend's memory", async () => {
  const w = new Variable(Float32Array.of(0));
  const optimizer = new Adamax({ learningRate: 1 }); // one step is one unit for an even gradient
  const valLoss = [3, 2, 4, 4];
  const seen: number[] = [];
  await fit({
    optimizer,
    data: [1],
    loss: () => ({ loss: 0, gradients: [[Float32Array.of(1), w]] }),
    epochs: 4,
    validation: { data: (epoch) => [valLoss[epoch - 1]!], loss: (value) => value },
    callbacks: [{ onEpochEnd: () => void seen.push(w.value[0]!) }, earlyStopping({ patience: 2, restoreBestWeights: true })],
    progress: "none",
  });
  expect(seen).toHaveLength(4);
  expect(w.value[0]).toBe(seen[1]);
});

test("plain arrays are trained where they lie", async () => {
  const w = Float32Array.of(0);
  const optimizer = new Adamax({ learningRate: 1 });
  await fit({ optimizer, data: [1], loss: () => ({ loss: 0, gradients: [[Float32Array.of(1), w]] }), progress: "none" });
  expect(w[0]).toBeCloseTo(-1);
});
