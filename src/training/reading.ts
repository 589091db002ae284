/** Batches one after the other, from wherever they come. */

import { OptionError, show } from "../errors.js";
import { isObject } from "../kinds.js";
import type { Source } from "./options.js";

export interface Reader<Batch> {
  /** The next batch, or a result that is done. */
  next(): Promise<IteratorResult<Batch, unknown>>;
  /** Where a batch can be gone to at once: passes over so many, or all. Returns how many. */
  skip?(count: number): number;
  /** No more are wanted. */
  close(): Promise<void>;
}

/** @throws OptionError for what cannot be gone through. */
export const readerOf = <Batch>(source: Source<Batch>): Reader<Batch> => {
  if (!isObject(source) || !(Symbol.iterator in source || Symbol.asyncIterator in source))
    throw new OptionError(
      "The batches of an epoch must be an iterable or async iterable",
      show(source),
      "Return one from the function that is the data.",
    );
  return Array.isArray(source) ? arrayReader(source) : iteratorReader(source);
};

const arrayReader = <Batch>(batches: readonly Batch[]): Reader<Batch> => {
  let at = 0;
  return {
    async next() {
      return at < batches.length ? { done: false, value: await batches[at++]! } : { done: true, value: undefined };
    },
    skip(count) {
      at = Math.min(count, batches.length);
      return at;
    },
    async close() {},
  };
};

const iteratorReader = <Batch>(source: Source<Batch>): Reader<Batch> => {
  const isAsync = Symbol.asyncIterator in source;
  const iterator = isAsync ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  if (typeof iterator?.next !== "function") throw noIterator(iterator);
  return {
    async next() {
      const result = await iterator.next();
      if (!isObject(result)) throw noIterator(result);
      return result.done || isAsync ? result : { done: false, value: await result.value }; // as for await does
    },
    async close() {
      await iterator.return?.();
    },
  };
};

const noIterator = (received: unknown) =>
  new OptionError(
    "Batches come from an iterator, whose next() gives { done, value }",
    show(received),
    "Write it as a generator: function* () { yield batch; }.",
  );
