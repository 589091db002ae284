/** What one rank refuses, none does: the others hear of it where all compare what they are about to do, in the message that they send there anyway. */

import { BackendError } from "../../errors.js";
import type { Exchange } from "./exchange.js";

/** In the place of a checksum, which is a whole number of 32 bits. */
const REFUSED = 2 ** 40;
/** In the labels of what is compared. */
const CALL = "a call of the optimizer";
/** Letters of an error that travel. */
const LETTERS = 600;

export class Refusals {
  readonly #exchange: Exchange;
  /** Thrown on all ranks, or told to them. */
  readonly #known = new WeakSet<object>();

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
  }

  /** The numbers of every rank; the first is a checksum. There are always as many where a rank may refuse. `what` is refused, `label` says what is compared.
   *  @throws BackendError, on every rank, where one refuses. */
  compare(own: Float64Array, what: string, label: string): Float64Array[] {
    const all = this.#gather(own, label);
    const first = all.findIndex(([sum]) => sum === REFUSED);
    if (first < 0) return all;
    const texts = this.#exchange.gatherTexts("", "why a rank refuses");
    throw new BackendError(
      `Rank ${first} refused ${what}, and with it all ranks`,
      texts[first]!,
      "Nothing has been changed. Look there: the others would have waited for it.",
    );
  }

  /** Does what all ranks do alike, after they have compared it: an error in it is no news to them. */
  alike<Result>(work: () => Result): Result {
    try {
      return work();
    } catch (error) {
      this.#remember(error);
      throw error;
    }
  }

  /** Tells the others that this rank did not come as far as to compare its `count` numbers. */
  tell(error: unknown, count: number): void {
    if (this.#known.has(error as object)) return;
    this.#remember(error);
    const text = `${error}`.slice(0, LETTERS);
    const own = new Float64Array(count);
    own[0] = REFUSED;
    try {
      this.#gather(own, `refused: ${text}`);
      this.#exchange.gatherTexts(text, "why a rank refuses");
    } catch {
      // The others are in another call, and know it. Here `error` says more.
    }
  }

  #gather(own: Float64Array, label: string): Float64Array[] {
    return this.#exchange.gather(own, new Array<number>(this.#exchange.size).fill(own.length), `${CALL}: ${label}`);
  }

  #remember(error: unknown): void {
    if (error === Object(error)) this.#known.add(error as object);
  }
}
