/** Once over the batches of an epoch. */

import { OptionError } from "../errors.js";
import type { Batches } from "./options.js";
import type { Pace } from "./pace.js";
import { type Reader, readerOf } from "./reading.js";
import { pauses, type Waiting } from "./waiting.js";

interface Pass<Batch> {
  readonly batches: Batches<Batch>;
  /** Of the option that they come from. */
  readonly name: string;
  readonly epoch: number;
  /** Batches of this epoch that were trained before a restart: they are passed over. Default 0. */
  readonly done?: number;
  /** Ends after so many. Default: when the batches end. */
  readonly most?: number | undefined;
}

/** `each` is awaited for one batch after the other, until they end, or the training is stopped. Ranks go through theirs together: one that has no more is
 *  called without a batch, as long as another has. */
export const batchLoop = (stopped: () => boolean, clock: () => number, { wait, wasEndedBy }: Waiting, pace: Pace) => {
  const pause = pauses(clock);
  return async <Batch>(pass: Pass<Batch>, each: (batch: { readonly value: Batch } | null) => Promise<void>): Promise<void> => {
    const { batches, name, epoch, done = 0, most = Infinity } = pass;
    let count = done;
    let open: Reader<Batch> | undefined;
    let batch: { readonly value: Batch } | null = null;
    const close = async () => {
      const reader = open;
      open = undefined;
      await reader?.close();
    };
    if (stopped()) return;
    /** The next batch of this rank; 0 where there is none. */
    const read = async (): Promise<readonly number[]> => {
      batch = null;
      if (!open) return [0];
      const { done: ended, value } = await wait(open.next());
      if (ended) open = undefined;
      else batch = { value: value as Batch };
      return [batch ? 1 : 0];
    };
    const begin = async (): Promise<readonly number[]> => {
      open = readerOf(await wait(typeof batches === "function" ? batches(epoch) : batches));
      for (let skipped = open.skip?.(done) ?? 0; open && skipped < done; skipped++) {
        if ((await wait(open.next())).done) {
          if (pace.isAlone) throw tooFew(pass, skipped);
          open = undefined; // others have more
        }
        await pause();
      }
      return [];
    };
    try {
      await pace.meet(`the data of epoch ${epoch}`, 0, begin);
      while (count < most && !stopped()) {
        const told = await pace.meet(`batch ${count + 1} of epoch ${epoch}`, 1, read);
        if (stopped() || told.every(([has]) => has === 0)) break;
        await each(batch);
        if (stopped() && !pace.isAlone) break;
        count++;
        await pause();
      }
      await wait(close());
    } catch (error) {
      close().catch(() => {}); // not awaited: it may never end, and what was thrown says more
      // The data or the loss may listen to the same signal, and throw what it says: that is a stop, too.
      if (!wasEndedBy(error)) throw error;
    }
    if (count === 0 && !stopped())
      throw new OptionError(
        `${name} must give at least one batch in each epoch. Received: none in epoch ${epoch}. ` +
          "If it can be read only once, pass an array, or a function that opens it anew for each epoch.",
      );
  };
};

/** The first batch of the first of these epochs that has one. */
export const firstBatch = async <Batch>(
  batches: Batches<Batch>,
  epochs: readonly number[],
  wait: Waiting["wait"],
): Promise<{ readonly value: Batch } | null> => {
  for (const epoch of epochs) {
    const reader = readerOf(await wait(typeof batches === "function" ? batches(epoch) : batches));
    const { done, value } = await wait(reader.next());
    await wait(reader.close());
    if (!done) return { value };
  }
  return null;
};

const tooFew = ({ name, epoch, done }: Pass<unknown>, count: number) =>
  new OptionError(
    `${name} must give the same batches again when a training goes on in the middle of an epoch`,
    `${count} in epoch ${epoch}, of which ${done} had been trained`,
    "Pass an array, or a function that makes the batches of an epoch from its number alone.",
  );
