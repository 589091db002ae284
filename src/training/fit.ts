/** The training loop for people without a framework. */

import type { Gradient } from "../backend.js";
import { OptionError } from "../errors.js";
import { checkLoss } from "../optimizer/gradients.js";
import { internalsOf, Optimizer } from "../optimizer/optimizer.js";
import { together } from "../resuming/together.js";
import { batchLoop, firstBatch } from "./batch-loop.js";
import { Checkpointing, type Position } from "./checkpointing.js";
import { checkFitOptions, checkMetric, checkValidationLoss, type FitOptions, type FitSettings, type Metric } from "./options.js";
import { meanOverRanks, Pace, ranksOf, type StopReason } from "./pace.js";
import { ambientTerminal, progressReport, type Terminal } from "./progress.js";
import { add, meansOf, noSums, type Sums, sumsFrom, validationName } from "./sums.js";
import type { Callback, EpochResult, History, Training } from "./training.js";
import { waitingFor } from "./waiting.js";

/** What the loop takes from the machine: a clock in milliseconds, and where progress is written. */
export interface Surroundings {
  clock: () => number;
  terminal: Terminal;
}

/** Trains for `epochs` passes over `data`; for each batch, its loss and one step with its gradients.
 *
 *  When training ends (after the last epoch, by a callback's stop() or by the signal) and the optimizer keeps moving averages, they
 *  are written into the variables: nothing is left to do. When the data, the loss or a callback throws, `fit` throws the same, and
 *  the variables hold the last completed step, not the averages.
 *
 *  With an optimizer that has a mesh, every rank calls it alike, with its part of the data. Losses and metrics are those of the whole batch, every rank stops
 *  where one does, what is thrown on one is thrown on all, and one whose data ends earlier goes on without.
 *
 *  With `checkpoints`, run again after it was killed, it goes on at the batch after the newest checkpoint and ends as if it had never been;
 *  run again after it ended, it trains nothing and returns the same.
 *  @throws OptionError for options that cannot be used, for an epoch without batches, and for an optimizer that another `fit` is training;
 *  CheckpointError for a checkpoint that does not fit or cannot be written. */
export const fit = async <Batch, V, ValidationBatch = Batch, Result = unknown>(
  options: FitOptions<Batch, V, ValidationBatch, Result>,
  surroundings: Surroundings = { clock: () => performance.now(), terminal: ambientTerminal() },
): Promise<History> => {
  let begun: object | null = null;
  try {
    const settings = await together(ranksOf(options?.optimizer), "fit", () => {
      const settings = checkFitOptions(options);
      if (inTraining.has(settings.optimizer))
        throw new OptionError(
          "An optimizer is trained by one fit at a time",
          "one that another fit is training now",
          "Await that one first, or give each an optimizer of its own.",
        );
      begun = settings.optimizer;
      inTraining.add(begun);
      return settings;
    });
    return await train(settings, surroundings);
  } finally {
    if (begun) inTraining.delete(begun);
  }
};

/** Of two trainings at once, the steps and the averages of each would be the other's as well. */
const inTraining = new WeakSet<object>();

const train = async <Batch, V, ValidationBatch, Result>(
  settings: FitSettings<Batch, V, ValidationBatch, Result>,
  { clock, terminal }: Surroundings,
): Promise<History> => {
  const { optimizer, data, loss, epochs, initialEpoch, metrics, validation, validationSteps, signal } = settings;
  const waiting = waitingFor(signal);
  const { wait } = waiting;
  /** Why this rank wants to stop. Alone, it has stopped. */
  let wish: StopReason | null = null;
  const wishNow = () => {
    if (signal?.aborted) wish ??= "signal";
    return wish;
  };
  const pace = new Pace(
    optimizer,
    wishNow,
    (reason) => {
      history.stoppedBy ??= reason;
    },
    waiting.wasEndedBy,
  );
  const progress = progressReport(pace.rank === 0 ? settings.progress : "none", terminal, clock, data);
  const callbacks: Callback<V>[] = [progress, ...settings.callbacks];
  const variables = new Set<V>();
  const history: { -readonly [Name in keyof History]: History[Name] } & { epochs: EpochResult[] } = {
    epochs: [],
    stoppedBy: null,
  };
  const stop = () => {
    wish ??= "callback";
    if (pace.isAlone) history.stoppedBy ??= "callback";
  };
  const { rank } = pace;
  const training: Training<V> & { variables: Set<V> } = { optimizer, variables, epochs, history, rank, stop };
  const ranks = ranksOf(optimizer);
  const { checkpoints } = settings;
  const checkpointing = await together(ranks, "fit", () => checkpoints && new Checkpointing(checkpoints, training, callbacks));
  const position: Position = { epoch: initialEpoch, sums: noSums(), seconds: 0 };
  let steps = 0;

  const tell = async (call: (callback: Callback<V>) => void | Promise<void>) => {
    const all = async () => {
      for (const callback of callbacks) await call(callback);
      return [];
    };
    // They may be on one rank alone, which writes logs.
    if (!pace.isAlone || settings.callbacks.length > 0) await pace.meet("callbacks", 0, all);
    else await all();
  };
  const stopped = () => {
    if (pace.isAlone && wishNow()) history.stoppedBy ??= wish;
    return history.stoppedBy !== null;
  };
  const overBatches = batchLoop(stopped, clock, waiting, pace);

  const names = ["loss", ...Object.keys(metrics)];
  /** With those of its validation, what is measured of an epoch. */
  const ofEpoch = [...names, ...(validation ? names.map(validationName) : [])];
  /** The numbers, in the order of their names. */
  const measure = async (batch: Batch | ValidationBatch, result: { readonly loss: number }): Promise<number[]> => {
    const measured = [result.loss];
    for (const [name, metric] of Object.entries(metrics) as [string, Metric<unknown, unknown>][])
      measured.push(checkMetric(name, await wait(metric(batch, result))));
    return measured;
  };
  const named = (numbers: readonly number[]) => Object.fromEntries(numbers.map((number, i) => [names[i]!, number]));
  const label = (what: string) => `${what} of batch ${position.sums.count + 1} of epoch ${position.epoch + 1}`;
  /** Of the rank's last batch. Where it has none any more, they say which variables the others train; they count nothing. */
  let pairs: readonly (readonly [Gradient, V])[] | null = null;
  /** A training that goes on within an epoch may have passed over all that this rank has of it. */
  const pairsOfAnother = async () => {
    const another = await firstBatch(data, [position.epoch + 1, 1], wait);
    if (!another) throw noBatchAtAll();
    return [...checkLoss("fit", await wait(loss(another.value))).gradients];
  };
  /** One step. Returns what was measured before it, of all ranks; null when all have stopped. */
  const step = async (batch: { readonly value: Batch } | null): Promise<Record<string, number> | null> => {
    let weight: number | undefined = 0;
    const told = await pace.meet(label("the loss"), 1 + names.length, async () => {
      if (!batch) {
        pairs ??= await pairsOfAnother();
        return [0, ...names.map(() => 0)];
      }
      const result = checkLoss("fit", await wait(loss(batch.value)));
      const measured = await measure(batch.value, result);
      pairs = [...result.gradients]; // they are read twice
      weight = result.weight;
      return [weight ?? 1, ...measured];
    });
    if (!pace.isAlone && stopped()) return null;
    optimizer.applyGradients(pairs!, weight === undefined ? undefined : { weight });
    const seen = variables.size;
    for (const [, variable] of pairs!) variables.add(variable);
    if (variables.size > seen) checkpointing?.assertNamed();
    if (pace.isAlone) pairs = null; // gradients are the caller's
    steps++;
    return named(meanOverRanks(told));
  };
  /** Goes through an epoch, or through what is left of it. */
  const trainEpoch = (epoch: number, secondsNow: () => number): Promise<void> => {
    const { sums } = position;
    return overBatches({ batches: data, name: "data", epoch, done: sums.count }, async (batch) => {
      const measured = await step(batch);
      if (!measured) return;
      add(sums, measured);
      const { loss: meanLoss, ...means } = meansOf(sums) as { loss: number };
      const result = { epoch, batch: sums.count, loss: measured.loss!, meanLoss, ...means };
      await tell((callback) => callback.onBatchEnd?.(result, training));
      if (checkpointing?.isDue("everyBatches", sums.count)) await saveWithin(secondsNow());
    });
  };
  const validateEpoch = async (epoch: number, { data, loss }: NonNullable<typeof validation>): Promise<Sums> => {
    const sums = noSums();
    if (optimizer instanceof Optimizer) internalsOf(optimizer).life.assert("step"); // where a callback has swapped, this would swap back
    if (optimizer.useEma) optimizer.swapAverages();
    try {
      await overBatches({ batches: data, name: "validation.data", epoch, most: validationSteps }, async (batch) => {
        let count = 1; // of what is measured: a loss alone, or metrics as well
        const told = await pace.meet(`the validation after epoch ${epoch}`, 2 + names.length, async () => {
          if (!batch) return [0, 0, ...names.map(() => 0)];
          const result = checkValidationLoss(await wait(loss(batch.value)));
          const numbers = typeof result === "number" ? [result] : await measure(batch.value, result);
          const weight = (typeof result === "number" ? undefined : result.weight) ?? 1;
          return [weight, numbers.length, ...names.map((_, i) => numbers[i] ?? 0)];
        });
        if (!pace.isAlone && stopped()) return;
        count = Math.max(...told.map(([, length]) => length!));
        add(sums, named(meanOverRanks(told.map(([weight, , ...numbers]) => [weight!, ...numbers.slice(0, count)]))));
      });
    } finally {
      if (optimizer.useEma) optimizer.swapAverages();
    }
    return sums;
  };

  const saveAfter = async ({ epoch: _, batches, learningRate, seconds, ...measured }: EpochResult) =>
    checkpointing?.save(position, measured as Record<string, number>);
  /** Within an epoch nothing is the best: a mean over some of its batches compares with no other. */
  const saveWithin = async (seconds: number) =>
    checkpointing?.save({ ...position, seconds }, Object.fromEntries(ofEpoch.map((name) => [name, NaN])));
  /** Before there is something to save. */
  const prepareSaving = async (): Promise<number[]> => {
    await checkpointing?.prepare(ofEpoch);
    return [];
  };
  /** Returns whether an epoch was begun. */
  const goOn = async (): Promise<boolean> => {
    const found = checkpointing?.settings.resume ? await checkpointing.load() : null;
    if (!checkpointing || !found) return false;
    const { name, history: past, epoch, seconds } = found;
    const sums = sumsFrom(found.sums, names);
    Object.assign(position, { epoch, sums, seconds });
    for (const result of past) history.epochs.push(result); // too many for one call, it may be
    history.resumedFrom = name;
    const isWithin = sums.count > 0 && epoch < epochs;
    if (isWithin) {
      await tell((callback) => callback.onEpochBegin?.(epoch + 1, training));
      await checkpointing.load(); // again: a rate that was set just now had been set before the checkpoint as well
    }
    await together(ranks, "callbacks", () => checkpointing.restore(found, names));
    progress.goesOn({ name, epoch, batch: sums.count }, epochs);
    return isWithin;
  };

  try {
    if (!pace.isAlone) await pace.assertSame(factsOf(settings), names);
    await tell((callback) => callback.onTrainBegin?.(training));
    await together(ranks, "callbacks", () => checkpointing?.begin());
    let begun = await goOn();
    if (!history.resumedFrom && initialEpoch >= epochs)
      progress.goesOn({ name: `initialEpoch ${initialEpoch}`, epoch: initialEpoch, batch: 0 }, epochs);
    if (checkpointing && position.epoch < epochs) await pace.meet("the folder of checkpoints", 0, prepareSaving);
    const updatesBefore = optimizer.iterations;
    while (position.epoch < epochs && (begun || !stopped())) {
      const epoch = position.epoch + 1;
      const begin = clock() - 1000 * position.seconds;
      const secondsNow = () => (clock() - begin) / 1000;
      if (!begun) await tell((callback) => callback.onEpochBegin?.(epoch, training));
      begun = false;
      await trainEpoch(epoch, secondsNow);
      if (position.sums.count === 0) break; // stopped before the first batch
      const validated = validation && !stopped() ? await validateEpoch(epoch, validation) : undefined;
      const isCut = stopped();

      const result = {
        epoch,
        batches: position.sums.count,
        ...meansOf(position.sums),
        ...(validated && !isCut ? meansOf(validated, validationName) : {}),
        learningRate: optimizer.learningRate,
        seconds: secondsNow(),
      } as EpochResult;
      history.epochs.push(result);
      if (isCut) break;
      Object.assign(position, { epoch, sums: noSums(), seconds: 0 });
      await tell((callback) => callback.onEpochEnd?.(result, training));
      if (epoch === epochs || checkpointing?.isDue("everyEpochs", epoch)) await saveAfter(result);
    }
    const last = history.epochs.at(-1);
    if (last && stopped()) await (position.sums.count > 0 ? saveWithin(last.seconds) : saveAfter(last));
    if (optimizer.useEma && history.epochs.length > 0) optimizer.finalizeVariableValues(variables);
    await tell((callback) => callback.onTrainEnd?.(training));
    if (steps > 0 && optimizer.iterations === updatesBefore) warnOfOpenWindow(optimizer, steps);
    return history;
  } finally {
    progress.close();
    waiting.end();
  }
};

type Facts = Pick<
  FitSettings<unknown, unknown, unknown, unknown>,
  "epochs" | "initialEpoch" | "validationSteps" | "checkpoints"
> & {
  readonly validation?: object;
};
/** What of its options ranks must have alike. */
const factsOf = ({
  epochs,
  initialEpoch,
  validation,
  validationSteps = Infinity,
  checkpoints,
}: Facts): Readonly<Record<string, number>> => ({
  epochs,
  initialEpoch,
  "validation (1: there is one)": validation ? 1 : 0,
  validationSteps,
  "checkpoints (1: there are some)": checkpoints ? 1 : 0,
  "resume of checkpoints": checkpoints?.resume ? 1 : 0,
  "everyEpochs of checkpoints": checkpoints?.everyEpochs ?? Infinity,
  "everyBatches of checkpoints": checkpoints?.everyBatches ?? Infinity,
});

const noBatchAtAll = () =>
  new OptionError(
    "data must give each rank at least one batch in the first epoch",
    "none on this rank",
    "Give it a part of the data, so that it knows which variables are trained.",
  );

/** As in Keras, micro-batches that do not fill a window wait for more: in a training that fills none, nothing has moved. */
const warnOfOpenWindow = (optimizer: unknown, steps: number): void => {
  const window = optimizer instanceof Optimizer ? optimizer.settings.gradientAccumulationSteps : null;
  if (window !== null)
    console.warn(
      `adamax: fit made no update. Received: ${steps} batches, where gradientAccumulationSteps=${window} of them make one. ` +
        "They wait for the next call; train on more batches, or accumulate fewer.",
    );
};
