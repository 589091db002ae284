/** A checkpoint of TensorFlow as arrays by their keys: an index, and files of data, with a checksum for each array. */

import { CheckpointError, show } from "../../../errors.js";
import { crc32c } from "../../format/crc32.js";
import { decodeNumbers, elementBytes, elementsOf, isTypeName, type StoredArray } from "../arrays.js";
import type { OpenedFile } from "../files.js";
import { type BundleEntry, loadReader, type OpenReader, readEntry, readHeader } from "./messages.js";
import { damaged, masked, readTable } from "./table.js";

// biome-ignore format: a table
const TYPES: Readonly<Record<number, string>> = {
  1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 8: "complex64", 9: "int64", 10: "bool",
  14: "bfloat16", 17: "uint16", 18: "complex128", 19: "float16", 20: "resource", 21: "variant", 22: "uint32", 23: "uint64",
};

export class Bundle {
  /** What it is in errors. */
  readonly what: string;
  readonly open: OpenReader;
  readonly #values: ReadonlyMap<string, Uint8Array>;
  readonly #shard: (number: number) => Promise<Uint8Array>;
  /** Bytes of each file that arrays have taken. */
  readonly #taken = new Map<Uint8Array, number>();

  /** Of the index, which gives the files beside it.
   *  @throws CheckpointError for an index that is damaged, or of another kind of machine. */
  static async open({ name, bytes, what, readFile }: OpenedFile): Promise<Bundle> {
    const open = await loadReader();
    const values = readTable(bytes, what, open);
    const { shards, isBigEndian } = readHeader(open(values.get("") ?? new Uint8Array(0)));
    if (isBigEndian)
      throw new CheckpointError(
        `${what} was written on a big-endian machine`,
        "a header that says so",
        "Load it with TensorFlow on a little-endian machine, and save it again.",
      );
    const files = new Map<number, Promise<Uint8Array>>();
    const prefix = name.replace(/^.*[/\\]|\.index$/g, "");
    const digits = (value: number) => `${value}`.padStart(5, "0");
    return new Bundle(what, open, values, (shard) => {
      if (shard >= shards) throw new Error(`file of data ${shard} of ${shards}`);
      const file = files.get(shard) ?? readFile(`${prefix}.data-${digits(shard)}-of-${digits(shards)}`);
      files.set(shard, file);
      return file;
    });
  }

  private constructor(
    what: string,
    open: OpenReader,
    values: ReadonlyMap<string, Uint8Array>,
    shard: (number: number) => Promise<Uint8Array>,
  ) {
    this.what = what;
    this.open = open;
    this.#values = values;
    this.#shard = shard;
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  /** The numbers of `key`, under another name. */
  async array(key: string, name: string): Promise<StoredArray> {
    const entry = this.#entry(key);
    const dtype = TYPES[entry.dtype] ?? `type ${entry.dtype}`;
    if (!isTypeName(dtype))
      throw new CheckpointError(`${name} of ${this.what} is not of numbers that we read`, dtype, "Save the model without it.");
    const size = elementsOf(entry.shape) * elementBytes(dtype);
    if (size !== entry.size)
      throw new CheckpointError(
        `${name} of ${this.what} has shape [${entry.shape}] of ${dtype}, which are ${size} bytes`,
        `${entry.size} bytes`,
        "The file is damaged.",
      );
    const bytes = await this.#bytes(entry, name);
    this.#compare(crc32c(bytes), entry, name);
    return { name, shape: entry.shape, dtype, value: decodeNumbers(dtype, bytes) };
  }

  /** The only text of a tensor of texts. Before the texts stand their lengths, and the checksum of these. */
  async text(key: string): Promise<Uint8Array> {
    const entry = this.#entry(key);
    const bytes = await this.#bytes(entry, key);
    if (TYPES[entry.dtype] !== "string" || elementsOf(entry.shape) !== 1) throw new Error(`${key} is not one text`);
    const reader = this.open(bytes);
    const length = reader.uint32();
    const begin = reader.pos + 4;
    if (begin + length !== bytes.length) throw new Error(`${key} is ${bytes.length - begin} bytes of ${length}`);
    const lengths = new Uint8Array(Uint32Array.of(length).buffer); // the checksum is of the number, not of how it is written
    this.#compare(crc32c(bytes.subarray(reader.pos), crc32c(lengths)), entry, key);
    return bytes.subarray(begin);
  }

  #entry(key: string): BundleEntry {
    const value = this.#values.get(key);
    if (!value)
      throw new CheckpointError(
        `${this.what} names an array that it does not hold`,
        show(key),
        "The file is damaged; write it again.",
      );
    const entry = readEntry(this.open(value));
    if (entry.isSliced)
      throw new CheckpointError(
        `${this.what} holds a variable in slices`,
        show(key),
        "Write it again without a partitioner and without MaxShardSizePolicy.",
      );
    return entry;
  }

  async #bytes({ shard, offset, size }: BundleEntry, name: string): Promise<Uint8Array> {
    const file = await this.#shard(shard);
    if (offset + size > file.length)
      throw new CheckpointError(
        `The files of data of ${this.what} are too short`,
        `${file.length} bytes, where ${name} ends at ${offset + size}`,
        "Copy all of them whole.",
      );
    const taken = (this.#taken.get(file) ?? 0) + size;
    this.#taken.set(file, taken);
    if (taken > file.length) throw new Error(`arrays of ${taken} bytes in a file of data of ${file.length}`);
    return file.subarray(offset, offset + size);
  }

  #compare(checksum: number, entry: BundleEntry, name: string): void {
    if (masked(checksum) !== entry.checksum) throw damaged(this.what, `another checksum for ${name}`);
  }
}
