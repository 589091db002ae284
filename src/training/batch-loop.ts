/** Once over the batches of an epoch. */

import { OptionError } from "../errors.js";
import type { Batches } from "./options.js";
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

/** `each` is awaited for one batch after the other, until they end, or the training is stopped. */
export const batchLoop = (stopped: () => boolean, clock: () => number, { wait, wasEndedBy }: Waiting) => {
  const pause = pauses(clock);
  return async <Batch>(pass: Pass<Batch>, each: (batch: Batch) => Promise<void>): Promise<void> => {
    const { batches, name, epoch, done = 0, most = Infinity } = pass;
    let count = done;
    let open: Reader<Batch> | undefined;
    const close = async () => {
      const reader = open;
      open = undefined;
      await reader?.close();
    };
    if (stopped()) return;
    try {
      const reader = readerOf(await wait(typeof batches === "function" ? batches(epoch) : batches));
      open = reader;
      for (let skipped = reader.skip?.(done) ?? 0; skipped < done; skipped++) {
        if ((await wait(reader.next())).done) throw tooFew(pass, skipped);
        await pause();
      }
      while (count < most) {
        const { done: ended, value } = await wait(reader.next());
        if (ended) open = undefined;
        if (ended || stopped()) break;
        await each(value as Batch);
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

const tooFew = ({ name, epoch, done }: Pass<unknown>, count: number) =>
  new OptionError(
    `${name} must give the same batches again when a training goes on in the middle of an epoch`,
    `${count} in epoch ${epoch}, of which ${done} had been trained`,
    "Pass an array, or a function that makes the batches of an epoch from its number alone.",
  );
