/** Checkpoints of ranks that train together: one file, as from one machine. Each rank reads what it has of the state, a piece at a time, and the first one
 *  writes; each rank loads the file, and keeps its share. */

import type { Ranks } from "../backend.js";
import { CheckpointError } from "../errors.js";
import { Optimizer } from "../optimizer/optimizer.js";
import { together } from "../resuming/together.js";
import type { Bytes } from "./storage/bytes.js";

/** Options that have not been checked. */
interface Given {
  readonly optimizer?: unknown;
  /** Of an optimizer that is to be made. */
  readonly options?: { readonly mesh?: Ranks | null };
}

/** The ranks that an optimizer trains with; null: it is one machine's. */
export const ranksOf = (given: Given | null | undefined): Ranks | null => {
  const { optimizer, options } = given ?? {};
  const ranks = optimizer instanceof Optimizer ? optimizer.settings.mesh : options?.mesh;
  return ranks && ranks.size > 1 ? ranks : null;
};

type Pieces = AsyncIterable<Bytes>;

/** `write` is called on the first rank. Every rank goes through the pieces, for each of which all bring together what they have. `between` is called before
 *  each, and after the last, with the bytes that have been written: it is the place for what may throw on one rank.
 *  @throws on every rank where it fails on one. */
export const writeOnFirst = async (
  ranks: Ranks,
  pieces: Pieces,
  between: (bytes: number) => void,
  write: (pieces: Pieces) => Promise<void>,
): Promise<void> => {
  const label = "a checkpoint";
  let bytes = 0;
  let hasAgreed = false;
  const inStep = async function* (): Pieces {
    const iterator = pieces[Symbol.asyncIterator]();
    try {
      for (;;) {
        hasAgreed = true;
        await together(ranks, label, () => between(bytes));
        hasAgreed = false;
        const { done, value } = await iterator.next();
        if (done) return;
        yield value;
        bytes += value.length;
      }
    } finally {
      await iterator.return?.();
    }
  };
  let failure: { readonly error: unknown } | null = null;
  try {
    if (ranks.rank === 0) await write(inStep());
    else for await (const _ of inStep());
  } catch (error) {
    if (hasAgreed) throw error; // so do all
    failure = { error };
  }
  await together(ranks, label, () => {
    if (failure) throw failure.error;
  });
};

/** @throws CheckpointError, on every rank, unless all have found the same: `found` are numbers that say what. */
export const assertSame = async (ranks: Ranks | null, found: readonly number[], what: string, remedy: string): Promise<void> => {
  if (!ranks) return;
  const all = await ranks.meet(what, found.length, async () => found);
  const odd = all.findIndex((numbers) => numbers.some((number, i) => number !== all[0]![i]));
  if (odd >= 0) throw new CheckpointError(`Every rank must ${what}`, `another one on rank ${odd} than on rank 0`, remedy);
};
