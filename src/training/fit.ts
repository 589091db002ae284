/** The training loop for people without a framework. */

import { OptionError } from "../errors.js";
import { checkLoss } from "../optimizer/gradients.js";
import { type Batches, checkFitOptions, checkValidationLoss, type FitOptions } from "./options.js";
import { ambientTerminal, progressReport, type Terminal } from "./progress.js";
import type { Callback, EpochResult, History, Training } from "./training.js";

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
 *  @throws OptionError for options that cannot be used, and for an epoch without batches. */
export const fit = async <Batch, V, ValidationBatch = Batch>(
  options: FitOptions<Batch, V, ValidationBatch>,
  { clock, terminal }: Surroundings = { clock: () => performance.now(), terminal: ambientTerminal() },
): Promise<History> => {
  const { optimizer, data, loss, epochs, validation, signal, ...settings } = checkFitOptions(options);
  const progress = progressReport(settings.progress, terminal, clock, data);
  const callbacks: Callback<V>[] = [progress, ...settings.callbacks];
  const variables = new Set<V>();
  const history = { epochs: [] as EpochResult[], stoppedBy: null as History["stoppedBy"] };
  const stop = () => {
    history.stoppedBy ??= "callback";
  };
  const training: Training<V> = { optimizer, variables, epochs, history, stop };

  const tell = async (call: (callback: Callback<V>) => void | Promise<void>) => {
    for (const callback of callbacks) await call(callback);
  };
  const stopped = () => {
    if (signal?.aborted) history.stoppedBy ??= "signal";
    return history.stoppedBy !== null;
  };
  const overBatches = batchLoop(stopped, pauses(clock), signal);

  const step = async (batch: Batch): Promise<number> => {
    const { loss: value, gradients } = checkLoss("fit", await loss(batch));
    const pairs = Array.isArray(gradients) ? gradients : [...gradients]; // it is read twice
    optimizer.applyGradients(pairs);
    for (const [, variable] of pairs) variables.add(variable);
    return value;
  };
  const train = (epoch: number): Promise<Sum> =>
    overBatches(data, "data", epoch, async (batch, { total, count }) => {
      const value = await step(batch);
      const result = { epoch, batch: count + 1, loss: value, meanLoss: (total + value) / (count + 1) };
      await tell((callback) => callback.onBatchEnd?.(result, training));
      return value;
    });
  const validate = async (epoch: number, { data, loss }: NonNullable<typeof validation>): Promise<Sum> => {
    if (optimizer.useEma) optimizer.swapAverages();
    try {
      return await overBatches(data, "validation.data", epoch, async (batch) => checkValidationLoss(await loss(batch)));
    } finally {
      if (optimizer.useEma) optimizer.swapAverages();
    }
  };

  try {
    await tell((callback) => callback.onTrainBegin?.(training));
    for (let epoch = 1; epoch <= epochs && !stopped(); epoch++) {
      const begin = clock();
      await tell((callback) => callback.onEpochBegin?.(epoch, training));
      const trained = await train(epoch);
      if (trained.count === 0) break; // stopped before the first batch
      const validated = validation && !stopped() ? await validate(epoch, validation) : undefined;

      const result: EpochResult = {
        epoch,
        batches: trained.count,
        loss: trained.total / trained.count,
        ...(validated && !stopped() ? { valLoss: validated.total / validated.count } : {}),
        learningRate: optimizer.learningRate,
        seconds: (clock() - begin) / 1000,
      };
      history.epochs.push(result);
      if (!stopped()) await tell((callback) => callback.onEpochEnd?.(result, training));
    }
    if (optimizer.useEma && history.epochs.length > 0) optimizer.finalizeVariableValues();
    await tell((callback) => callback.onTrainEnd?.(training));
    return history;
  } finally {
    progress.close();
  }
};

/** The values of the batches so far. */
interface Sum {
  total: number;
  count: number;
}

/** Goes once over batches and sums a value of each, until they end or the training is stopped. */
const batchLoop =
  (stopped: () => boolean, pause: () => Promise<void> | undefined, signal: AbortSignal | undefined) =>
  async <Batch>(batches: Batches<Batch>, name: string, epoch: number, measure: (batch: Batch, soFar: Sum) => Promise<number>) => {
    const sum: Sum = { total: 0, count: 0 };
    try {
      for await (const batch of await (typeof batches === "function" ? batches(epoch) : batches)) {
        if (stopped()) break;
        sum.total += await measure(batch, sum);
        sum.count += 1;
        await pause();
      }
    } catch (error) {
      // The data or the loss may listen to the same signal, and throw what it says: that is a stop, too.
      if (!signal?.aborted || (error !== signal.reason && (error as Error | null)?.name !== "AbortError")) throw error;
    }
    if (sum.count === 0 && !stopped())
      throw new OptionError(
        `${name} must give at least one batch in each epoch. Received: none in epoch ${epoch}. ` +
          "If it can be read only once, pass an array, or a function that opens it anew for each epoch.",
      );
    return sum;
  };

/** Gives timers, input and the signal their turn every 20 ms: a loop that awaits only resolved promises would starve them.
 *  By a message and not a timer, because browsers slow those down, in background pages to one a second. */
const pauses = (clock: () => number) => {
  let last = clock();
  return () => {
    if (clock() - last < 20) return undefined;
    return new Promise<void>((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        last = clock();
        resolve();
      };
      port2.postMessage(null);
    });
  };
};
