/** CRC-32 in pieces: about 1.5 GiB a second. It finds accidents, not forgery. */

const SLICES = 16;
const NONE = new Int32Array(0);

/** `table[256 * s + byte]`: what `byte` adds to the remainder when s more bytes follow it. */
const tableOf = (polynomial: number): Int32Array => {
  const table = new Int32Array(256 * SLICES);
  for (let byte = 0; byte < 256; byte++) {
    let remainder = byte;
    for (let bit = 0; bit < 8; bit++) remainder = remainder & 1 ? (remainder >>> 1) ^ polynomial : remainder >>> 1;
    table[byte] = remainder;
  }
  for (let i = 256; i < table.length; i++) table[i] = (table[i - 256]! >>> 8) ^ table[table[i - 256]! & 255]!;
  return table;
};

/** The checksum of what `before` is the checksum of, followed by `bytes`. In [0, 2^32). */
type Checksum = (bytes: Uint8Array, before?: number) => number;

const checksumWith =
  (table: Int32Array): Checksum =>
  (bytes, before = 0) => {
    let remainder = ~before;
    let at = 0;
    const single = (end: number) => {
      for (; at < end; at++) remainder = (remainder >>> 8) ^ table[(remainder ^ bytes[at]!) & 255]!;
    };
    single(Math.min(bytes.length, -bytes.byteOffset & 3));

    const count = ((bytes.length - at) >> 4) << 2;
    const words = count === 0 ? NONE : new Int32Array(bytes.buffer, bytes.byteOffset + at, count); // so few bytes may not be aligned
    for (let i = 0; i < words.length; i += 4) {
      const a = words[i]! ^ remainder;
      const b = words[i + 1]!;
      const c = words[i + 2]!;
      const d = words[i + 3]!;
      // biome-ignore format: a table
      remainder =
      table[3840 + (a & 255)]! ^ table[3584 + ((a >>> 8) & 255)]! ^ table[3328 + ((a >>> 16) & 255)]! ^ table[3072 + (a >>> 24)]! ^
      table[2816 + (b & 255)]! ^ table[2560 + ((b >>> 8) & 255)]! ^ table[2304 + ((b >>> 16) & 255)]! ^ table[2048 + (b >>> 24)]! ^
      table[1792 + (c & 255)]! ^ table[1536 + ((c >>> 8) & 255)]! ^ table[1280 + ((c >>> 16) & 255)]! ^ table[1024 + (c >>> 24)]! ^
      table[768 + (d & 255)]! ^ table[512 + ((d >>> 8) & 255)]! ^ table[256 + ((d >>> 16) & 255)]! ^ table[d >>> 24]!;
    }
    at += words.length * 4;
    single(bytes.length);
    return ~remainder >>> 0;
  };

/** That of zlib, PNG and Python's zlib.crc32. */
export const crc32 = checksumWith(tableOf(0xedb88320));
/** Castagnoli's, which LevelDB and TensorFlow use. */
export const crc32c = checksumWith(tableOf(0x82f63b78));
