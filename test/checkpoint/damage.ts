/** What happens to files: general damage, and damage that knows the format. All of it reproducible. */

export type Random = () => number;

/** An integer in [0, limit). */
export const below = (next: Random, limit: number): number => Math.floor(next() * limit);
export const pick = <T>(list: readonly T[], next: Random): T => list[below(next, list.length)]!;

/** `count` bits of [begin, end) turned over. */
export const flipped = (bytes: Uint8Array, begin: number, end: number, count: number, next: Random): Uint8Array => {
  const out = bytes.slice();
  for (let i = 0; i < count; i++) out[begin + below(next, end - begin)]! ^= 1 << below(next, 8);
  return out;
};

/** Zeros or ones, as of a sector that was lost. */
export const blanked = (bytes: Uint8Array, begin: number, next: Random): Uint8Array => {
  const out = bytes.slice();
  const at = begin + below(next, bytes.length - begin);
  return out.fill(pick([0, 255], next), at, at + 1 + below(next, 600));
};

/** Two blocks of [begin, length) in each other's place. */
export const exchanged = (bytes: Uint8Array, begin: number, next: Random): Uint8Array => {
  const out = bytes.slice();
  const size = Math.min(4 * (1 + below(next, 40)), Math.floor((bytes.length - begin) / 2));
  const [a, b] = [begin + below(next, bytes.length - begin - size), begin + below(next, bytes.length - begin - size)];
  out.set(bytes.subarray(a, a + size), b);
  out.set(bytes.subarray(b, b + size), a);
  return out;
};

export const lengthened = (bytes: Uint8Array, next: Random): Uint8Array =>
  new Uint8Array([...bytes, ...Array.from({ length: 1 + below(next, 40) }, () => below(next, 256))]);

const WORDS = [0n, 1n, 2n, 7n, 2n ** 15n, 2n ** 16n, 2n ** 28n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 40n, 2n ** 63n, 2n ** 64n - 1n];

/** A number of 2, 4 or 8 bytes that could be a length, an offset or a count (it is not 0, and no larger than twice the file) gets another value:
 *  a special one, a neighbour, or another offset of the file. */
export const renumbered = (bytes: Uint8Array, begin: number, next: Random, align = 1): Uint8Array => {
  const out = bytes.slice();
  const view = new DataView(out.buffer);
  const size = pick([2, 4, 8], next);
  const read = (at: number) =>
    size === 8 ? view.getBigUint64(at, true) : BigInt(size === 4 ? view.getUint32(at, true) : view.getUint16(at, true));
  for (let tries = 0; tries < 2000; tries++) {
    const at = begin + align * below(next, Math.floor((bytes.length - begin - size) / align));
    const old = read(at);
    if (old === 0n || old > BigInt(2 * bytes.length)) continue;
    const value = pick([...WORDS, old - 1n, old + 1n, 2n * old, BigInt(at), BigInt(below(next, bytes.length))], next);
    if (size === 8) view.setBigUint64(at, BigInt.asUintN(64, value), true);
    else if (size === 4) view.setUint32(at, Number(BigInt.asUintN(32, value)), true);
    else view.setUint16(at, Number(BigInt.asUintN(16, value)), true);
    return out;
  }
  return out;
};

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
const VALUES: readonly Json[] = [
  null,
  true,
  -1,
  0,
  0.5,
  3,
  2 ** 31,
  2 ** 53,
  1e300,
  "",
  "x",
  "__proto__",
  "../../escape",
  [],
  {},
  [[]],
  [0, -1],
];

/** JSON with one value, key or list changed. */
export const editedJson = (text: string, next: Random): string => {
  const root = JSON.parse(text) as Json;
  const places: [parent: Record<string, Json>, key: string][] = [];
  const visit = (value: Json): void => {
    if (typeof value !== "object" || value === null) return;
    for (const key of Object.keys(value)) {
      places.push([value as Record<string, Json>, key]);
      visit((value as Record<string, Json>)[key]!);
    }
  };
  visit(root);
  const [parent, key] = pick(places, next);
  const value = parent[key]!;
  const kind = below(next, 6);
  if (kind === 0) parent[key] = pick(VALUES, next);
  else if (kind === 1) delete parent[key];
  else if (kind === 2 && Array.isArray(value)) parent[key] = [...value, ...value].slice(below(next, value.length + 1));
  else if (kind === 3) parent[key] = pick(places, next)[0][pick(places, next)[1]] ?? null;
  else if (kind === 4) {
    const other = pick(["__proto__", "constructor", "toString", "class_name", "config", "layers", "name"], next);
    Object.defineProperty(parent, other, { value, enumerable: true, configurable: true, writable: true });
  } else
    parent[key] =
      typeof value === "number" ? pick([-value, value * 1000, value + 0.5, 1 / (value + 1)], next) : pick(VALUES, next);
  try {
    return JSON.stringify(root);
  } catch {
    return text.slice(0, below(next, text.length)); // a value inside itself
  }
};

/** JSON that is no JSON any more, or nested deep, or with a key __proto__. */
export const brokenJson = (text: string, next: Random): string => {
  const at = below(next, text.length + 1);
  const depth = pick([10, 150, 1000, 100_000], next);
  const braces = [...text.matchAll(/[{[]/g)].map(({ index }) => index + 1);
  const inside = pick(braces, next);
  const put = (place: number, piece: string): string => text.slice(0, place) + piece + text.slice(place);
  return pick(
    [
      () => text.slice(0, at),
      () => put(at, pick(["{", "]", '"', "1", ",", "null", "\u0000", "\\"], next)),
      () => put(inside, text[inside - 1] === "{" ? '"__proto__":{"polluted":true},' : '{"__proto__":{"polluted":true}},'),
      () =>
        put(
          inside,
          text[inside - 1] === "{"
            ? `"x":${"[".repeat(depth)}${"]".repeat(depth)},`
            : `${"[".repeat(depth)}${"]".repeat(depth)},`,
        ),
      () => '{"a":'.repeat(depth),
      () => put(inside, text[inside - 1] === "{" ? '"x":1e999,' : "1e999,"),
    ],
    next,
  )();
};
