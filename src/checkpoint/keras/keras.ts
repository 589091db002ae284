/** Files of Keras: .keras, .weights.h5 (also in shards), whole models in .h5, TensorFlow.js' model.json, and TensorFlow's checkpoints. */

import { CheckpointError, OptionError, show } from "../../errors.js";
import { checkKinds, either, isObject, type Kind, type Kinds, optional, positive, text } from "../../kinds.js";
import type { Dialect } from "../../optimizer/configuration.js";
import { Optimizer } from "../../optimizer/optimizer.js";
import { Variable } from "../../variable.js";
import { parseJson } from "../format/json.js";
import { type KerasSource, type OpenedFile, openFile } from "./files.js";
import { type Hdf5Access, type Hdf5Options, Hdf5Worker, isHdf5, readHdf5 } from "./hdf5.js";
import { isLegacy, readLegacy } from "./legacy.js";
import { assertReadable, assertWholeHere, type KerasFormat, KerasModel } from "./model.js";
import { newWeights } from "./new-weights.js";
import { isShardList, readShards } from "./shards.js";
import { readArchive, readWeights } from "./store.js";
import { readTensorflow, type TensorflowOptions } from "./tensorflow/checkpoint.js";
import { isTable } from "./tensorflow/table.js";
import { readTfjs } from "./tfjs.js";

/** How files of Keras are read. */
export interface KerasOptions extends Hdf5Options, TensorflowOptions {}

/** Reads the weights of a model, and its optimizer with state and configuration. The format is told from the bytes.
 *  HDF5 files need the package h5wasm, .keras files fflate too; TensorFlow's checkpoints need @bufbuild/protobuf.
 *  @throws CheckpointError for what is no such file, is damaged, or cannot be carried over; it names it. */
export const readKeras = async (source: KerasSource, options: KerasOptions = {}): Promise<KerasModel> => {
  const checked = checkKinds<object>("readKeras", options, OPTIONS);
  const file = await openFile(source);
  try {
    return await readOpened(file, checked);
  } catch (error) {
    if (error instanceof CheckpointError || error instanceof OptionError) throw error;
    // Whatever else a damaged file leads to.
    throw Object.assign(
      new CheckpointError(`${file.what} cannot be read`, String(error), "The file is damaged, or not of this format."),
      { cause: error },
    );
  }
};

const instance = <Value>(wanted: string, of: abstract new (...given: never) => Value): Kind<Value> => ({
  wanted,
  holds: (value) => value instanceof of,
});
const OPTIONS: Kinds<KerasOptions & Hdf5Access> = {
  timeLimit: optional(positive, undefined!),
  workerUrl: optional(either(text, instance("a URL", URL)), undefined!),
  worker: optional(instance("a worker for HDF5", Hdf5Worker), undefined!),
  optimizer: optional(text, undefined!),
};

/** Which optimizer is meant is a question of TensorFlow's checkpoints alone.
 *  @throws OptionError where one was chosen, and there is nothing to choose. */
export const refuseChoice = (what: string, optimizer: string | undefined): void => {
  if (optimizer !== undefined)
    throw new OptionError(`${what} does not hold several optimizers`, `optimizer: ${show(optimizer)}`, "Leave it out.");
};

const readOpened = async (file: OpenedFile, options: KerasOptions): Promise<KerasModel> => {
  const { bytes, what } = file;
  if (!isTable(bytes)) refuseChoice(what, options.optimizer);
  if (isHdf5(bytes)) {
    const contents = await readHdf5(bytes, what, options);
    return new KerasModel(isLegacy(contents) ? readLegacy(contents, what, options) : readWeights(contents, what, options));
  }
  if (bytes[0] === 0x50 && bytes[1] === 0x4b) return new KerasModel(await readArchive(bytes, what, options));
  if (isTable(bytes)) return new KerasModel(await readTensorflow(file, options));
  const decoded = new TextDecoder().decode(bytes);
  if (/^\s*\{/.test(decoded)) {
    const json = parseJson(decoded, what);
    return new KerasModel(isShardList(json) ? await readShards(json, file, options) : await readTfjs(json, file));
  }
  throw new CheckpointError(
    `${what} is no file of Keras`,
    `${bytes.length} bytes that are neither HDF5, an archive, JSON nor a checkpoint's index`,
    "Pass a .keras, .weights.h5 or .h5 file, a model.json, or the .index of a TensorFlow checkpoint. What saveCheckpoint wrote, loadCheckpoint reads.",
  );
};

/** The bytes of the model's file. `format` "weights.h5" takes the weights out of a .keras file; every other must be the one that was read.
 *  A TensorFlow.js model is several files: `await writeKeras(model)` gives them by name.
 *  @throws CheckpointError for what cannot be written. */
export function writeKeras(model: KerasModel, format: Exclude<KerasFormat, "tfjs">): Promise<Uint8Array>;
export function writeKeras(model: KerasModel, format: "tfjs"): Promise<ReadonlyMap<string, Uint8Array>>;
export function writeKeras(model: KerasModel, format?: KerasFormat): Promise<Uint8Array | ReadonlyMap<string, Uint8Array>>;
export function writeKeras(model: KerasModel, format?: KerasFormat): Promise<Uint8Array | ReadonlyMap<string, Uint8Array>> {
  if (model instanceof KerasModel) return model.bytes(format);
  throw new OptionError("writeKeras takes a model", show(model), "Pass what readKeras, kerasWeights or model.with gave.");
}

/** A model that no file holds yet, to be written as .weights.h5. Python reads it by the places of layers: name variables as Keras does,
 *  "dense/kernel", "dense/bias", "dense_1/kernel" (the class of the layer, numbered), each layer's in Keras' order; or by their path, "layers/dense/vars/0".
 *  @throws CheckpointError for names that are given twice or that no file could hold, and for what Keras' files cannot hold. */
export const kerasWeights = (
  given: { variables: Iterable<Variable>; optimizer?: Optimizer<never> },
  dialect: Dialect = "keras",
  options: KerasOptions = {},
): KerasModel => {
  const { variables, optimizer } = checkKinds("kerasWeights", listed(given), GIVEN);
  const list = [...variables];
  if (list.length === 0) throw new CheckpointError("A file of Keras holds weights", "no variables", "Give those of the model.");
  assertReadable(list);
  list.forEach(assertWholeHere);
  const arrays = list.map(({ name, shape, dtype, value }) => ({ name, shape, dtype, value: value.slice() }));
  const model = new KerasModel(newWeights(arrays, dialect, options));
  return optimizer ? model.with({ variables: list, optimizer }) : model; // a list may have wholes of what ranks hold parts of
};

/** What can be gone through only once is looked at twice. */
const listed = <Given extends { variables: Iterable<Variable> }>(given: Given): Given =>
  isObject(given) && isList(given.variables) ? { ...given, variables: [...given.variables] } : given;

const isList = (value: unknown): boolean => isObject(value) && Symbol.iterator in (value as object);

const GIVEN: Kinds<{ variables: Iterable<Variable>; optimizer?: Optimizer<never> }> = {
  variables: {
    wanted: "variables",
    holds: (value) => isList(value) && [...(value as Iterable<unknown>)].every((one) => one instanceof Variable),
  },
  optimizer: optional(
    { wanted: "an optimizer of this library", holds: (value) => value instanceof Optimizer } as Kind<Optimizer<never>>,
    undefined!,
  ),
};
