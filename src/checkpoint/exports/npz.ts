/** NumPy's .npz: an archive of .npy files, each an array. */

import { CheckpointError, show } from "../../errors.js";
import { unpack } from "../format/zip.js";
import { decodeNumbers, elementBytes, elementsOf, type StoredArray } from "../keras/arrays.js";

// biome-ignore format: a table
const TYPES = {
  f8: "float64", f4: "float32", f2: "float16", b1: "bool",
  i1: "int8", i2: "int16", i4: "int32", i8: "int64", u1: "uint8", u2: "uint16", u4: "uint32", u8: "uint64",
} as const;

const MAGIC = "\x93NUMPY";
/** NumPy itself refuses to read longer ones. */
const MOST_HEADER_BYTES = 10_000;
const HEADER =
  /^\{'descr': '([<>|])(\w{1,8})', 'fortran_order': (True|False), 'shape': \(((?:\d{1,16}, ?)*(?:\d{1,16})?)\), ?\}\s*$/;

const ARCHIVE = [0x50, 0x4b, 0x03, 0x04];
/** Whether a file that begins with these bytes is an archive. Two of them would not tell it from a safetensors file. */
export const isArchive = (bytes: Uint8Array): boolean => ARCHIVE.every((byte, i) => bytes[i] === byte);

/** The arrays of the archive, by name.
 *  @throws CheckpointError for what is no such archive, is damaged, or holds something else than plain numbers. */
export const readNpz = async (bytes: Uint8Array, what: string): Promise<StoredArray[]> => {
  const arrays: StoredArray[] = [];
  for (const [file, content] of await unpack(bytes, what)) {
    if (!file.endsWith(".npy"))
      throw new CheckpointError(
        `${what} is not NumPy's`,
        `an archive with ${show(file)}`,
        "Pass what np.savez or np.savez_compressed wrote.",
      );
    arrays.push(decodeNpy(content, file.slice(0, -".npy".length), what));
  }
  return arrays;
};

const decodeNpy = (bytes: Uint8Array, name: string, what: string): StoredArray => {
  const refuse = (received: string, remedy = "The file is damaged, or not NumPy's."): never => {
    throw new CheckpointError(`The array ${show(name)} of ${what} cannot be read`, received, remedy);
  };
  const text = (begin: number, end: number) => String.fromCharCode(...bytes.subarray(begin, end));
  if (text(0, MAGIC.length) !== MAGIC || bytes.length < 12) refuse("bytes that do not begin as an array of NumPy");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const begin = bytes[MAGIC.length] === 1 ? 10 : 12; // version 1 has two bytes for the length, later ones four
  const length = begin === 10 ? view.getUint16(8, true) : view.getUint32(8, true);
  const data = begin + length;
  if (length > MOST_HEADER_BYTES || data > bytes.length) refuse(`a header of ${length} bytes in ${bytes.length}`);
  const header = text(begin, data);
  const [, order, type, fortran, sizes] = HEADER.exec(header) ?? refuse(`the header ${show(header.slice(0, 200))}`);
  if (!Object.hasOwn(TYPES, type!))
    refuse(`the type ${show(`${order}${type}`)}`, "Save numbers that NumPy itself has: bfloat16 as np.float32.");
  if (fortran === "True") refuse("elements in Fortran's order", "Save np.ascontiguousarray(array).");
  const dtype = TYPES[type as keyof typeof TYPES];
  const shape = sizes!
    .split(",")
    .filter((size) => size.trim() !== "")
    .map(Number);
  const wanted = elementsOf(shape) * elementBytes(dtype);
  if (wanted !== bytes.length - data) refuse(`${bytes.length - data} bytes for shape [${shape}] of ${dtype} (${wanted})`);
  return { name, shape, dtype, value: decodeNumbers(dtype, bytes.subarray(data), order === ">") };
};
