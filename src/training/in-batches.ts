/** Arrays as batches, in an order that a restart finds again: it depends on a seed and on the number of the epoch, and on nothing else. */

import { check, checkKinds, flag, integerFrom, type Kind, optional } from "../kinds.js";

/** How examples become batches. */
export interface BatchOptions {
  /** Examples in each; the last one has the rest. An integer, 1 or more; default 32. */
  batchSize?: number;
  /** Whether each epoch has its own order. Default true. */
  shuffle?: boolean;
  /** Of the orders: an integer. Default 0. */
  seed?: number;
  /** Leaves out the last batch of an epoch where it is not full. Default false. */
  dropRemainder?: boolean;
}

const anInteger: Kind<number> = { wanted: "an integer", holds: Number.isSafeInteger };

const anArray: Kind<readonly unknown[]> = { wanted: "an array", holds: Array.isArray };

/** The examples in batches, in another order for each epoch: `data: (epoch) => inBatches(examples, epoch)`. They are not copied. */
export const inBatches = <Example>(examples: readonly Example[], epoch: number, options: BatchOptions = {}): Example[][] => {
  const { batchSize, shuffle, seed, dropRemainder } = checkKinds<BatchOptions>("inBatches", options, {
    batchSize: optional(integerFrom(1), 32),
    shuffle: optional(flag, true),
    seed: optional(anInteger, 0),
    dropRemainder: optional(flag, false),
  });
  check("inBatches", "examples", examples, anArray);
  const ordered = shuffle ? shuffled(examples, seed, check("inBatches", "epoch", epoch, anInteger)) : examples;
  const count = ordered.length / batchSize;
  return Array.from({ length: dropRemainder ? Math.floor(count) : Math.ceil(count) }, (_, i) =>
    ordered.slice(i * batchSize, (i + 1) * batchSize),
  );
};

/** The same items in another order, in a new array: the same one for the same seeds. */
export const shuffled = <Item>(items: readonly Item[], ...seeds: readonly number[]): Item[] => {
  check("shuffled", "items", items, anArray);
  const random = uniform(seeds.map((seed) => check("shuffled", "seed", seed, anInteger)));
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
};

/** Numbers in [0, 1): mulberry32, which begins where MurmurHash3 takes the seeds. */
const uniform = (seeds: readonly number[]) => {
  let state = 0;
  for (const seed of seeds)
    for (const half of [seed % 2 ** 32, Math.floor(seed / 2 ** 32)]) state = mix(Math.imul(state, 5) + 0xe6546b64 + half);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
};

const mix = (bits: number): number => {
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
};
