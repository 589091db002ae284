/** A source of uniform numbers in [0, 1). Handed to everything that draws, so that equal seeds give equal runs. */
export type Random = () => number;

/** mulberry32 (Tommy Ettinger, public domain): 32 bits of state, period 2^32, enough for noise and shuffles. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** FNV-1a of a text and a seed, spread over 32 bits: splits and sub-seeds that do not depend on the order of files. */
export function hash(text: string, seed = 0): number {
  let value = (0x811c9dc5 ^ seed) >>> 0;
  for (const byte of new TextEncoder().encode(text)) value = Math.imul(value ^ byte, 0x01000193);
  value = Math.imul(value ^ (value >>> 16), 0x45d9f3b);
  return (value ^ (value >>> 15)) >>> 0;
}

export const between = (random: Random, low: number, high: number): number => low + (high - low) * random();

/** A whole number in [0, count). */
export const below = (random: Random, count: number): number => Math.floor(random() * count);

export function pick<T>(random: Random, from: readonly T[]): T {
  const item = from[below(random, from.length)];
  if (item === undefined) throw new RangeError("Nothing to pick from: the list is empty.");
  return item;
}

/** Mean 0, deviation 1, a sum of four uniforms: as good as normal for noise and first weights, and ten times as fast. */
export const normal = (random: Random): number => (random() + random() + random() + random() - 2) * Math.sqrt(3);

/** Shuffles in place (Fisher-Yates). */
export function shuffle<T extends { [index: number]: number; length: number }>(random: Random, items: T): T {
  for (let last = items.length - 1; last > 0; last--) {
    const other = below(random, last + 1);
    [items[last], items[other]] = [items[other]!, items[last]!];
  }
  return items;
}
