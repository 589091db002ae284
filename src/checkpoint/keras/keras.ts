/** Files of Keras: .keras, .weights.h5, whole models in .h5, and TensorFlow.js' model.json. */

import { CheckpointError, show } from "../../errors.js";
import type { Dialect } from "../../optimizer/configuration.js";
import type { Optimizer } from "../../optimizer/optimizer.js";
import type { Variable } from "../../variable.js";
import { type Hdf5Options, isHdf5, readHdf5 } from "./hdf5.js";
import { isLegacy, readLegacy } from "./legacy.js";
import { type KerasFormat, KerasModel } from "./model.js";
import { newWeights } from "./new-weights.js";
import { readArchive, readWeights } from "./store.js";
import { type ReadFile, readTfjs } from "./tfjs.js";

/** A path (in Node), the bytes of a file, a File or Blob of a page; or the files of a TensorFlow.js model by name, "model.json" among them. */
export type KerasSource =
  | string
  | URL
  | Uint8Array
  | ArrayBuffer
  | Blob
  | Readonly<Record<string, Uint8Array | ArrayBuffer | Blob>>;

export interface KerasOptions extends Hdf5Options {}

/** Reads the weights of a model, and its optimizer with state and configuration. The format is told from the bytes.
 *  HDF5 files need the package h5wasm, .keras files fflate too.
 *  @throws CheckpointError for what is no such file, is damaged, or cannot be carried over; it names it. */
export const readKeras = async (source: KerasSource, options: KerasOptions = {}): Promise<KerasModel> => {
  const file = await opened(source);
  try {
    return await readOpened(file, options);
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    // Whatever else a damaged file leads to.
    throw Object.assign(
      new CheckpointError(`${file.what} cannot be read`, String(error), "The file is damaged, or not of this format."),
      { cause: error },
    );
  }
};

interface OpenedFile {
  readonly bytes: Uint8Array;
  readonly what: string;
  readonly readFile: ReadFile;
}

const readOpened = async ({ bytes, what, readFile }: OpenedFile, options: KerasOptions): Promise<KerasModel> => {
  if (isHdf5(bytes)) {
    const contents = await readHdf5(bytes, what, options);
    return new KerasModel(isLegacy(contents) ? readLegacy(contents, what, options) : readWeights(contents, what, options));
  }
  if (bytes[0] === 0x50 && bytes[1] === 0x4b) return new KerasModel(await readArchive(bytes, what, options));
  const text = new TextDecoder().decode(bytes);
  if (/^\s*\{/.test(text)) return new KerasModel(await readTfjs(text, what, readFile));
  throw new CheckpointError(
    `${what} is no file of Keras`,
    `${bytes.length} bytes that are neither HDF5, an archive nor JSON`,
    "Pass a .keras, .weights.h5 or .h5 file, or a model.json.",
  );
};

/** The bytes of the model's file. `format` "weights.h5" takes the weights out of a .keras file; every other must be the one that was read.
 *  A TensorFlow.js model is several files: `await writeKeras(model)` gives them by name.
 *  @throws CheckpointError for what cannot be written. */
export function writeKeras(model: KerasModel, format: Exclude<KerasFormat, "tfjs">): Promise<Uint8Array>;
export function writeKeras(model: KerasModel, format: "tfjs"): Promise<ReadonlyMap<string, Uint8Array>>;
export function writeKeras(model: KerasModel, format?: KerasFormat): Promise<Uint8Array | ReadonlyMap<string, Uint8Array>>;
export function writeKeras(
  model: KerasModel,
  format: KerasFormat = model.format,
): Promise<Uint8Array | ReadonlyMap<string, Uint8Array>> {
  return model.bytes(format);
}

/** A model that no file holds yet, to be written as .weights.h5. Python reads it by the places of layers: name variables as Keras does,
 *  "dense/kernel", "dense/bias", "dense_1/kernel" (the class of the layer, numbered), each layer's in Keras' order; or by their path, "layers/dense/vars/0".
 *  @throws CheckpointError for names that are given twice or that no file could hold, and for what Keras' files cannot hold. */
export const kerasWeights = (
  { variables, optimizer }: { variables: Iterable<Variable>; optimizer?: Optimizer<never> },
  dialect: Dialect = "keras",
  options: KerasOptions = {},
): KerasModel => {
  const arrays = [...variables].map(({ name, shape, dtype, value }) => ({ name, shape, dtype, value: value.slice() }));
  const model = new KerasModel(newWeights(arrays, dialect, options));
  return optimizer ? model.with({ optimizer }) : model;
};

const opened = async (source: KerasSource): Promise<OpenedFile> => {
  const alone: ReadFile = async (name) => {
    throw new CheckpointError(
      "A model of TensorFlow.js is several files",
      `its model.json without ${name}`,
      "Pass its path, or all files by name: { 'model.json': bytes, ... }.",
    );
  };
  if (typeof source === "string" || source instanceof URL) {
    const { readFile } = await import("node:fs/promises");
    const path = source instanceof URL ? source : String(source);
    const read = async (from: string | URL) => {
      try {
        return await readFile(from);
      } catch (error) {
        throw new CheckpointError(`${String(from)} cannot be read`, (error as Error).message, "Check the path.");
      }
    };
    const beside: ReadFile = async (name) => read(path instanceof URL ? new URL(name, path) : path.replace(/[^/\\]*$/, name));
    return { bytes: await read(path), what: String(path), readFile: beside };
  }
  if (source instanceof Uint8Array || source instanceof ArrayBuffer || source instanceof Blob)
    return {
      bytes: await bytesOf(source),
      what: source instanceof Blob && "name" in source ? String(source.name) : "the file",
      readFile: alone,
    };
  const files = new Map(Object.entries(source ?? {}));
  const file = async (name: string): Promise<Uint8Array> => {
    const found = files.get(name);
    if (found) return bytesOf(found);
    throw new CheckpointError(
      `The file ${show(name)} is missing`,
      [...files.keys()].join(", ") || "no files",
      "Pass all files of the model by name.",
    );
  };
  return { bytes: await file("model.json"), what: "model.json", readFile: file };
};

const bytesOf = async (source: Uint8Array | ArrayBuffer | Blob): Promise<Uint8Array> => {
  if (source instanceof Uint8Array) return source;
  return new Uint8Array(source instanceof ArrayBuffer ? source : await source.arrayBuffer());
};
