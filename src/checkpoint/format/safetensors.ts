/** The safetensors format: eight bytes with the length of a header, a JSON header, then the bytes of every tensor, without holes.
 *  Little endian, as is every machine that runs JavaScript. Pure: bytes and lengths in, names and places out. */

import { CheckpointError, show } from "../../errors.js";
import type { Bytes } from "../storage/bytes.js";
import type { Source } from "../storage/source.js";
import { assertReadable, parseJson } from "./json.js";
import { refuseTwice } from "./names.js";

/** Bytes of one element. The format's dtypes of less than a byte are refused. */
// biome-ignore format: a table
export const ELEMENT_BYTES = {
  F64: 8, F32: 4, F16: 2, BF16: 2, F8_E4M3: 1, F8_E5M2: 1, I64: 8, I32: 4, I16: 2, I8: 1, U64: 8, U32: 4, U16: 2, U8: 1, BOOL: 1,
} as const;
/** The dtypes of safetensors files, as those spell them. */
export type TensorType = keyof typeof ELEMENT_BYTES;

/** "float32" for F32, as Keras and NumPy say it. */
export const typeNameOf = (dtype: TensorType): string =>
  dtype
    .replace(/^F/, "float")
    .replace(/^BF/, "bfloat")
    .replace(/^U(?=\d)/, "uint")
    .replace(/^I/, "int")
    .replace(/^BOOL/, "bool");

/** A tensor as the header names it. */
export interface TensorShape {
  readonly name: string;
  readonly dtype: TensorType;
  readonly shape: readonly number[];
}

/** Where a tensor's bytes stand in the file: [begin, end). */
export interface TensorPlace extends TensorShape {
  readonly begin: number;
  readonly end: number;
}

export interface Header {
  /** In the order of their bytes. */
  readonly tensors: readonly TensorPlace[];
  readonly metadata: ReadonlyMap<string, string>;
  /** The first bytes of the file: length and header. */
  readonly bytes: Uint8Array;
}

/** Room for about 100,000 tensors. Header and metadata are the only part that must be in memory as a whole. */
export const MOST_HEADER_BYTES = 16 * 2 ** 20;
const LENGTH_BYTES = 8;
const METADATA = "__metadata__";

export const byteLength = ({ dtype, shape }: Omit<TensorShape, "name">): number =>
  shape.reduce((product, size) => product * size, ELEMENT_BYTES[dtype]);

/** The first bytes of a file that holds these tensors, in this order.
 *  @throws CheckpointError when they need more than 16 MiB, or two have one name. */
export const encodeHeader = (tensors: readonly TensorShape[], metadata: Readonly<Record<string, string>>): Bytes => {
  refuseTwice([METADATA, ...tensors.map(({ name }) => name)]);
  let end = 0;
  const entries = tensors.map(({ name, dtype, shape }) => {
    const begin = end;
    end += byteLength({ dtype, shape });
    return [name, { dtype, shape, data_offsets: [begin, end] }];
  });
  const text = JSON.stringify(Object.fromEntries([[METADATA, metadata], ...entries]));
  assertReadable(text, "The list of tensors");
  const json = new TextEncoder().encode(text);
  const length = Math.ceil(json.length / LENGTH_BYTES) * LENGTH_BYTES; // spaces at the end: tensors begin at a multiple of 8
  if (length > MOST_HEADER_BYTES)
    throw new CheckpointError(
      "Names, configuration and your own JSON must fit into 16 MiB",
      `${length} bytes`,
      "Keep large data in files of its own.",
    );
  const bytes = new Uint8Array(LENGTH_BYTES + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, LENGTH_BYTES);
  return bytes;
};

/** Reads and checks the header, and nothing else of the file.
 *  @throws CheckpointError unless every tensor is named once, fits its shape, and all together fill the file. */
export const readHeader = async (source: Source): Promise<Header> => {
  const refuse = refuseFor(source);
  if (source.size < LENGTH_BYTES) refuse(`a file of ${source.size} bytes`);
  const length = new DataView((await source.read(0, LENGTH_BYTES)).slice().buffer).getBigUint64(0, true);
  if (length > MOST_HEADER_BYTES) refuse(`a header of ${length} bytes, more than 16 MiB`);
  const dataBegin = LENGTH_BYTES + Number(length);
  if (dataBegin > source.size) refuse(`a header of ${length} bytes in a file of ${source.size}`);
  const bytes = (await source.read(0, dataBegin)).slice();
  return { ...decodeHeader(bytes, source, refuse), bytes };
};

const decodeHeader = (bytes: Uint8Array, { name, size }: Source, refuse: Refuse): Omit<Header, "bytes"> => {
  const header = parseJson(decode(bytes.subarray(LENGTH_BYTES), refuse), `The header of ${name}`, 4);
  if (!isObject(header)) return refuse(`a header that is ${show(header)}`);
  const { [METADATA]: given = {}, ...entries } = header;
  if (!isObject(given)) return refuse(`__metadata__=${show(given)}`);
  const metadata = new Map(
    Object.entries(given).map(([key, text]) => [
      key,
      typeof text === "string" ? text : refuse(`${key}=${show(text)} in __metadata__`),
    ]),
  );
  const places = Object.entries(entries).map(([name, entry]) => placeOf(name, entry, bytes.length, refuse));
  places.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let end = bytes.length;
  for (const place of places) {
    if (place.begin !== end) refuse(`tensor ${show(place.name)} at byte ${place.begin}, where ${end} was expected`);
    end = place.end;
  }
  if (end !== size) refuse(`tensors up to byte ${end} in a file of ${size}`);
  return { tensors: places, metadata };
};

const placeOf = (name: string, entry: unknown, dataBegin: number, refuse: Refuse): TensorPlace => {
  const { dtype, shape, data_offsets: offsets, ...unknown } = isObject(entry) ? entry : {};
  const counts = (value: unknown): value is number[] =>
    Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
  if (!counts(shape) || !counts(offsets) || offsets.length !== 2 || Object.keys(unknown).length > 0)
    return refuse(`tensor ${show(name)}: ${JSON.stringify(entry).slice(0, 200)}`);
  if (typeof dtype !== "string" || !Object.hasOwn(ELEMENT_BYTES, dtype))
    return refuse(`tensor ${show(name)} of dtype ${show(dtype)}`);
  const [begin, end] = offsets as [number, number];
  const wanted = byteLength({ dtype: dtype as TensorType, shape });
  if (end - begin !== wanted) return refuse(`tensor ${show(name)} of shape [${shape}] (${wanted} bytes) in ${end - begin} bytes`);
  return { name, dtype: dtype as TensorType, shape, begin: dataBegin + begin, end: dataBegin + end };
};

const decode = (bytes: Uint8Array, refuse: Refuse): string => {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return refuse("a header that is not UTF-8");
  }
};

type Refuse = (received: string) => never;
const refuseFor =
  ({ name }: Source): Refuse =>
  (received) => {
    throw new CheckpointError(
      `${name} is not a whole safetensors file`,
      received,
      "It is damaged, or of another format (readKeras reads files of Keras): use another copy.",
    );
  };

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
