import { expect, test } from "vitest";
import { crc32, crc32c } from "../../src/checkpoint/format/crc32.js";
import { random } from "./steps.js";

/** Bit by bit, as the polynomials are defined. */
const slowly = (polynomial: number, bytes: Uint8Array): number => {
  let remainder = 0xffffffff;
  for (const byte of bytes) {
    remainder ^= byte;
    for (let bit = 0; bit < 8; bit++) remainder = remainder & 1 ? (remainder >>> 1) ^ polynomial : remainder >>> 1;
  }
  return ~remainder >>> 0;
};

test.each([
  ["crc32", crc32, 0xedb88320, 0xcbf43926],
  ["crc32c", crc32c, 0x82f63b78, 0xe3069283],
] as const)(
  "%s is that of its polynomial, for every length and place in a buffer, in one piece and in two",
  (_, sum, polynomial, check) => {
    expect(sum(new TextEncoder().encode("123456789"))).toBe(check);
    const next = random(3);
    const bytes = Uint8Array.from({ length: 64 }, () => 256 * next());
    for (let begin = 0; begin < 8; begin++)
      for (let end = begin; end <= bytes.length; end++) {
        const part = bytes.subarray(begin, end);
        const expected = slowly(polynomial, part);
        expect(sum(part), `[${begin}, ${end})`).toBe(expected);
        const cut = (end - begin) >> 1;
        expect(sum(part.subarray(cut), sum(part.subarray(0, cut)))).toBe(expected);
      }
  },
);
