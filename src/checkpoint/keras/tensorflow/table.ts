/** A sorted table of keys and values, in LevelDB's format: what the index of a checkpoint is. Pure: bytes in, entries out. */

import type { BinaryReader } from "@bufbuild/protobuf/wire";
import { CheckpointError } from "../../../errors.js";
import { crc32c } from "../../format/crc32.js";
import type { OpenReader } from "./messages.js";

const MAGIC = [0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb];
const FOOTER_BYTES = 48;
/** After each block: its type, and the checksum of both. */
const [TYPE_BYTES, CHECKSUM_BYTES] = [1, 4];
const SNAPPY = 1;

/** A checkpoint has an entry for each array. */
const MOST_ENTRIES = 200_000;
/** Of all keys together: a key repeats as much of the one before as it likes. */
const MOST_KEY_BYTES = 64 * 2 ** 20;

/** Where a block is. */
interface Handle {
  readonly begin: number;
  /** In bytes, without what stands after it. */
  readonly size: number;
}
const handleIn = (reader: BinaryReader): Handle => ({ begin: reader.uint32(), size: reader.uint32() });

export const isTable = (bytes: Uint8Array): boolean =>
  bytes.length >= FOOTER_BYTES && MAGIC.every((byte, i) => bytes[bytes.length - MAGIC.length + i] === byte);

/** The values by their keys, which are views of `bytes`.
 *  @throws CheckpointError for what is compressed, or is damaged; other errors for what is no table. */
export const readTable = (bytes: Uint8Array, what: string, open: OpenReader): Map<string, Uint8Array> => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let room = bytes.length;

  /** A block's contents. */
  const block = ({ begin, size }: Handle): Uint8Array => {
    const end = begin + size + TYPE_BYTES;
    room -= size + TYPE_BYTES + CHECKSUM_BYTES;
    if (end + CHECKSUM_BYTES > bytes.length || room < 0) throw new Error(`blocks of more bytes than its ${bytes.length}`);
    if (view.getUint32(end, true) !== masked(crc32c(bytes.subarray(begin, end))))
      throw damaged(what, `another checksum for the block at byte ${begin}`);
    const type = bytes[end - TYPE_BYTES]!;
    if (type !== 0)
      throw new CheckpointError(
        `${what} is compressed`,
        type === SNAPPY ? "Snappy" : `compression ${type}`,
        "TensorFlow itself writes its checkpoints without: write it again with TensorFlow.",
      );
    return bytes.subarray(begin, end - TYPE_BYTES);
  };

  const values = new Map<string, Uint8Array>();
  const text = new TextDecoder();
  let keyBytes = MOST_KEY_BYTES;
  let entries = MOST_ENTRIES;
  const footer = open(bytes.subarray(bytes.length - FOOTER_BYTES));
  block(handleIn(footer)); // an index of blocks about blocks, which TensorFlow leaves empty
  for (const { value: handle } of entriesOf(block(handleIn(footer)), open))
    for (const { key, value } of entriesOf(block(handleIn(open(handle))), open)) {
      keyBytes -= key.length;
      if (--entries < 0 || keyBytes < 0) throw new Error("more entries or longer keys than a checkpoint has");
      values.set(text.decode(key), value);
    }
  return values;
};

/** LevelDB's: the checksum of data that holds checksums would be weak. */
export const masked = (checksum: number): number => (((checksum >>> 15) | (checksum << 17)) + 0xa282ead8) >>> 0;

export const damaged = (what: string, received: string): CheckpointError =>
  new CheckpointError(`${what} is damaged`, received, "Use another copy, or an older checkpoint.");

/** The entries of a block, in order. A key says how much of the one before it repeats, and is overwritten by the next. */
function* entriesOf(block: Uint8Array, open: OpenReader): Generator<{ key: Uint8Array; value: Uint8Array }> {
  const restarts = new DataView(block.buffer, block.byteOffset, block.byteLength).getUint32(block.length - 4, true);
  const end = block.length - 4 - 4 * restarts;
  if (end < 0) throw new Error(`a block of ${block.length} bytes with ${restarts} restarts`);
  const reader = open(block.subarray(0, end));
  let key = new Uint8Array(256);
  let length = 0;
  while (reader.pos < end) {
    const [shared, own, size] = [reader.uint32(), reader.uint32(), reader.uint32()];
    const begin = reader.pos;
    reader.pos += own + size;
    if (reader.pos > end) throw new Error(`an entry up to byte ${reader.pos} of ${end}`);
    if (shared > length) throw new Error(`a key that repeats ${shared} bytes of ${length}`);
    length = shared + own;
    if (length > key.length) {
      const longer = new Uint8Array(2 * length);
      longer.set(key);
      key = longer;
    }
    key.set(block.subarray(begin, begin + own), shared);
    yield { key: key.subarray(0, length), value: block.subarray(begin + own, begin + own + size) };
  }
}
