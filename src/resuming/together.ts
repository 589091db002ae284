/** What goes wrong on one rank of a mesh goes wrong on all: else the others would wait for it. */

import type { Ranks } from "../backends/backend.js";
import { BackendError } from "../errors.js";

/** Letters of an error that travel. */
const LETTERS = 600;

/** Compares what happened on each rank; `failure`: what was thrown here, null for nothing. Every rank must call it.
 *  @throws on every rank where there was a failure on some: the same one there, and one that tells of it elsewhere. */
export const agreeThatAllIsWell = (ranks: Ranks, failure: { readonly error: unknown } | null, label: string): void => {
  if (ranks.size > 1)
    refuseFailures(
      ranks,
      ranks.gather([failure ? 1 : 0], label).map(([failed]) => failed === 1),
      failure,
    );
  if (failure) throw failure.error;
};

/** Called by all ranks, alike, with what each has said.
 *  @throws where one of them failed. */
export const refuseFailures = (ranks: Ranks, failed: readonly boolean[], failure: { readonly error: unknown } | null): void => {
  const first = failed.indexOf(true);
  if (first < 0) return;
  const text = failure ? `${failure.error}` : "";
  const letters = Array.from({ length: LETTERS }, (_, i) => (i < text.length ? text.charCodeAt(i) : 0));
  const told = ranks.gather(letters, "an error")[first]!;
  if (failure) throw failure.error;
  const words = String.fromCharCode(...told.filter((letter) => letter > 0));
  throw new BackendError(
    `Rank ${first} failed, and with it all ranks`,
    words,
    "Look there: the others would have waited for it.",
  );
};

/** Runs what every rank runs; when it throws on one, it throws on all. Between ranks, `work` must do the same until it throws. */
export const together = async <Result>(ranks: Ranks, label: string, work: () => Promise<Result>): Promise<Result> => {
  let done: { readonly result: Result } | undefined;
  let failure: { readonly error: unknown } | null = null;
  try {
    done = { result: await work() };
  } catch (error) {
    failure = { error };
  }
  agreeThatAllIsWell(ranks, failure, label);
  return done!.result;
};
