/** Random numbers that depend on nothing but what they are for: the n-th number of a kind is the same in whichever order, on whichever rank and in whichever
 *  language it is drawn. keras.py has the same lines in Python. */

/** What is drawn. */
const kinds = ["kernel", "order", "pixels", "noise"] as const;
export type Kind = (typeof kinds)[number];

/** Spreads 32 bits over 32 bits, one to one: lowbias32 (Chris Wellons, public domain). */
const mix = (bits: number): number => {
  bits = Math.imul(bits ^ (bits >>> 16), 0x7feb352d);
  bits = Math.imul(bits ^ (bits >>> 15), 0x846ca68b);
  return (bits ^ (bits >>> 16)) >>> 0;
};

/** Draws by index, each a whole number from 0 to 2^32 - 1. `at`: which of its kind, for example the epoch. */
export const draws = (seed: number, kind: Kind, at: number): ((index: number) => number) => {
  const key = mix(mix(mix(seed) + kinds.indexOf(kind)) + at);
  return (index) => mix(mix(index ^ key) + key);
};

/** From normal distributions of mean 0 and deviation 1 (Box and Muller). */
export const normals = (draw: (index: number) => number): ((index: number) => number) => {
  return (index) => {
    const [radius, angle] = [draw(2 * index), draw(2 * index + 1)];
    return Math.sqrt(-2 * Math.log((radius + 1) / 2 ** 32)) * Math.cos((2 * Math.PI * angle) / 2 ** 32);
  };
};

/** The numbers below `count`, shuffled (Fisher and Yates). */
export const shuffled = (count: number, draw: (index: number) => number): Uint32Array => {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let last = count - 1; last > 0; last--) {
    const other = Math.floor((draw(last) / 2 ** 32) * (last + 1));
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  return order;
};
