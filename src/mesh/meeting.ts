/** Work that ranks do each for themselves, after which they meet: what goes wrong on one goes wrong on all, or the others would wait for it. */

import { BackendError } from "../errors.js";

type Gather = (own: readonly number[], label: string) => number[][];

/** Letters of an error that travel. */
const LETTERS = 600;

/** Does a rank's own work, which comes to `count` numbers, and gives back those of every rank.
 *  @throws on every rank where it throws on one: the same there, elsewhere an error that tells of it. */
export const meet = async (
  gather: Gather,
  label: string,
  count: number,
  work: () => Promise<readonly number[]>,
): Promise<number[][]> => {
  let own: readonly number[] = new Array<number>(count).fill(0);
  let failure: { readonly error: unknown } | null = null;
  try {
    own = await work();
  } catch (error) {
    failure = { error };
  }
  const told = gather([failure ? 1 : 0, ...own], label);
  const first = told.findIndex(([failed]) => failed === 1);
  if (first < 0) return told.map(([, ...numbers]) => numbers);
  const text = failure ? `${failure.error}` : "";
  const letters = Array.from({ length: LETTERS }, (_, i) => (i < text.length ? text.charCodeAt(i) : 0));
  const words = gather(letters, "an error")[first]!.filter((letter) => letter > 0);
  if (failure) throw failure.error;
  throw new BackendError(
    `Rank ${first} failed, and with it all ranks`,
    String.fromCharCode(...words),
    "Look there: the others would have waited for it.",
  );
};
