/** A worker that reads and writes HDF5 files in memory. Runs as a worker thread of Node and as a Web Worker. */

import type { Attribute, Dataset, File, Group } from "h5wasm";
import * as library from "h5wasm";
import { decodeNumbers, elementBytes, elementsOf, isTypeName, type Numbers } from "./arrays.js";
import type { Hdf5, Hdf5Answer, Hdf5Attribute, Hdf5Dataset, Hdf5Object, Hdf5Request } from "./hdf5.js";

/** In the module's own file system, which is memory in Node too. */
const PATH = "/file.h5";
/** Beyond the file's size: what a damaged or hostile file may claim to hold. */
const MOST_BYTES_MORE = 32 * 2 ** 20;
const MOST_OBJECTS = 1_000_000;
const DEEPEST = 64;
/** Measured: 67 bytes for each. */
const LISTED_CHUNK_BYTES = 100;

interface Port {
  postMessage(answer: Hdf5Answer, transfer?: ArrayBuffer[]): void;
  on(event: "message", listener: (request: Hdf5Request) => void): void;
}
const port = (globalThis as { process?: typeof import("node:process") }).process?.getBuiltinModule?.("node:worker_threads")
  ?.parentPort as Port | null | undefined;
const answer = (message: Hdf5Answer): void => (port ? port.postMessage(message) : globalThis.postMessage(message));

const serve = (request: Hdf5Request): Hdf5Answer => {
  try {
    return request.kind === "read"
      ? { kind: "read", contents: read(request.bytes) }
      : { kind: "written", bytes: write(request.contents) };
  } catch (error) {
    return { kind: "failed", text: String((error as Error)?.message ?? error).split("\n")[0]! };
  }
};

/** How large the library's memory may become, in bytes. A damaged length makes HDF5 ask for any amount; it is told that there is none. */
let mostMemory = Infinity;
const { grow } = WebAssembly.Memory.prototype;
WebAssembly.Memory.prototype.grow = function (pages) {
  if (this.buffer.byteLength + pages * 2 ** 16 > mostMemory) throw new RangeError(`no memory beyond ${mostMemory} bytes`);
  return grow.call(this, pages);
};
/** What the library has at first, and what HDF5 needs besides the numbers that it unpacks. */
const LIBRARY_BYTES = 64 * 2 ** 20;

const read = (bytes: Uint8Array): Hdf5 => {
  mostMemory = LIBRARY_BYTES + 2 * (bytes.length + MOST_BYTES_MORE); // the numbers, and a chunk of them
  library.FS!.writeFile(PATH, bytes, { canOwn: true } as never); // what came in a message is ours: no copy
  const file = new library.File(PATH, "r");
  try {
    if (file.file_id <= 0n) throw new Error("no HDF5 file, or one that was cut off");
    return contentsOf(file, bytes.length);
  } finally {
    if (file.file_id > 0n) file.close();
    library.FS!.unlink(PATH);
  }
};

const contentsOf = (file: File, size: number): Hdf5 => {
  const contents = new Map<string, Hdf5Object>();
  let room = size + MOST_BYTES_MORE;
  const claim = (size: number, path: string) => {
    room -= size;
    if (!(room >= 0)) throw new Error(`${path} claims more bytes than the file can hold`);
  };
  const visit = (group: Group, path: string, depth: number): void => {
    if (depth > DEEPEST) throw new Error(`groups nested deeper than ${DEEPEST}`);
    contents.set(path, { attributes: attributesOf(group, path, claim) });
    if (contents.size > MOST_OBJECTS) throw new Error(`more than ${MOST_OBJECTS} objects`);
    for (const name of group.keys()) {
      const child = group.get(name);
      const inside = path === "" ? name : `${path}/${name}`;
      if (child instanceof library.Group) visit(child, inside, depth + 1);
      else if (child instanceof library.Dataset)
        contents.set(inside, {
          attributes: attributesOf(child, inside, claim),
          dataset: datasetOf(child, inside, claim),
        });
      // Links to other files are not followed.
    }
  };
  visit(file, "", 0);
  return contents;
};

type Claim = (size: number, path: string) => void;

const attributesOf = (object: Group | Dataset, path: string, claim: Claim): Map<string, Hdf5Attribute> => {
  const attributes = new Map<string, Hdf5Attribute>();
  for (const [name, attribute] of Object.entries<Attribute>(object.attrs)) {
    const shape = attribute.shape ?? [];
    claim(elementsOf(shape) * 8, `${path}@${name}`);
    const { value } = attribute;
    if (typeof value === "string") attributes.set(name, { shape: [], value: [value] });
    else if (Array.isArray(value) && value.every((item) => typeof item === "string"))
      attributes.set(name, { shape, value: value as string[] });
    else if (typeof value === "number") attributes.set(name, { shape: [], value: Float64Array.of(value) });
    else if (typeof value === "bigint") attributes.set(name, { shape: [], value: BigInt64Array.of(value) });
    else if (ArrayBuffer.isView(value)) attributes.set(name, { shape, value: value as Numbers });
  }
  return attributes;
};

/** HDF5's classes of types. */
const [INTEGER, FLOAT, STRING, OPAQUE] = [0, 1, 3, 5];

const datasetOf = (dataset: Dataset, path: string, claim: Claim): Hdf5Dataset => {
  const { type, size, signed, littleEndian, total_size: total, shape: given, chunks } = dataset.metadata;
  const shape = given ?? [0];
  if (elementsOf(shape) !== total && given) throw new Error(`${path} has shape [${shape}] and ${total} elements`);
  claim(total * size, path);
  if (chunks) claim(bytesOfChunks(shape, chunks, size), path);
  if (type === STRING) {
    const { value } = dataset;
    return { shape, dtype: "string", value: Array.isArray(value) ? (value as string[]) : [String(value)] };
  }
  const name = type === INTEGER ? `${signed ? "" : "u"}int${8 * size}` : type === FLOAT ? `float${8 * size}` : "";
  // Keras: a bfloat16 is opaque to HDF5, and named in an attribute.
  const dtype = type === OPAQUE && size === 2 && "dtype" in dataset.attrs ? String(dataset.attrs.dtype!.value) : name;
  if (!isTypeName(dtype) || elementBytes(dtype) !== size)
    return { shape, dtype: `HDF5 type ${type} of ${size} bytes`, value: null };
  return {
    shape,
    dtype,
    value:
      total === 0
        ? decodeNumbers(dtype, new Uint8Array(0))
        : decodeNumbers(dtype, rawBytes(dataset, total * size), type !== OPAQUE && !littleEndian),
  };
};

/** What HDF5 needs to read chunks: it unpacks one as a whole, and keeps a list of all. */
const bytesOfChunks = (shape: readonly number[], chunks: readonly number[], size: number): number => {
  const count = elementsOf(shape.map((length, axis) => Math.ceil(length / chunks[axis]!)));
  return elementsOf(chunks) * size + count * LISTED_CHUNK_BYTES;
};

/** As they stand in the file: h5wasm itself does not know float16 and opaque types. */
const rawBytes = (dataset: Dataset, size: number): Uint8Array => {
  const { Module } = library;
  const pointer = Module._malloc(size);
  if (pointer === 0) throw new Error(`no memory for ${size} bytes`);
  try {
    Module.get_dataset_data(dataset.file_id, dataset.path, null, null, null, BigInt(pointer));
    return Module.HEAPU8.slice(pointer, pointer + size);
  } finally {
    Module._free(pointer);
  }
};

const write = (contents: Hdf5): Uint8Array => {
  mostMemory = Infinity;
  const file: File = new library.File(PATH, "w");
  try {
    for (const [path, object] of contents) writeObject(file, path, object);
  } finally {
    file.flush();
    file.close();
  }
  const bytes = library.FS!.readFile(PATH) as Uint8Array;
  library.FS!.unlink(PATH);
  return bytes;
};

const writeObject = (file: File, path: string, { attributes, dataset }: Hdf5Object): void => {
  const [, folder, name] = /^(?:(.*)\/)?([^/]*)$/s.exec(path)!;
  const parent = folder ? (file.get(folder) as Group) : file;
  const made = path === "" ? file : dataset ? writeDataset(parent, name!, path, dataset) : parent.create_group(name!);
  for (const [key, { shape, value }] of attributes) {
    if (isStrings(value))
      made.create_attribute(
        key,
        value.length === 0 ? new Float64Array(0) : [...value],
        [...shape],
        value.length === 0 ? "<d" : null,
      );
    else made.create_attribute(key, value, [...shape]);
  }
};

const isStrings = (value: readonly string[] | Numbers): value is readonly string[] => Array.isArray(value);

const writeDataset = (parent: Group, name: string, path: string, { shape, dtype, value }: Hdf5Dataset): Dataset => {
  if (value === null) throw new Error(`${path} is of a type that we do not write: ${dtype}`);
  return parent.create_dataset({ name, data: isStrings(value) ? [...value] : value, shape: [...shape] });
};

const start = async (): Promise<void> => {
  await library.ready;
  const receive = (request: Hdf5Request) => answer(serve(request));
  if (port) port.on("message", receive);
  else globalThis.onmessage = ({ data }: MessageEvent<Hdf5Request>) => receive(data);
  answer({ kind: "ready", text: "" });
};

void start();
