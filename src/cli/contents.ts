/** What a file holds, whatever its format: named arrays, and the optimizer's configuration. */

import { readAdamaxExport } from "../checkpoint/exports/adamax-export.js";
import { isArchive } from "../checkpoint/exports/npz.js";
import { readHeader, typeNameOf } from "../checkpoint/format/safetensors.js";
import { readTensors } from "../checkpoint/format/tensors.js";
import { inspectCheckpoint } from "../checkpoint/inspect.js";
import { decodeNumbers, isTypeName, type Numbers, type StoredArray } from "../checkpoint/keras/arrays.js";
import { type KerasOptions, readKeras, refuseChoice } from "../checkpoint/keras/keras.js";
import type { KerasModel, KerasReadFormat } from "../checkpoint/keras/model.js";
import { innerConfig } from "../checkpoint/keras/optimizer.js";
import { isTable } from "../checkpoint/keras/tensorflow/table.js";
import { nodeFiles } from "../checkpoint/storage/node.js";
import { openSource } from "../checkpoint/storage/source.js";
import { CheckpointError } from "../errors.js";
import type { Config } from "../optimizer/configuration.js";

export interface Contents {
  readonly path: string;
  readonly format: "checkpoint" | "export" | KerasReadFormat;
  readonly className: string | null;
  /** The optimizer's own keys, in Keras' spelling; null: the file has none. */
  readonly config: Config | null;
  /** Steps made, counted as Keras does: each micro-batch is one. null: no optimizer. */
  readonly steps: number | null;
  /** What else a reader should know. */
  readonly note?: string;
  /** "dense/kernel" for a weight, "momentum/dense/kernel" for the optimizer's. */
  readonly arrays: readonly (StoredArray & { readonly of: "model" | "optimizer" })[];
}

const HDF5 = [0x89, 0x48, 0x44, 0x46];
const JSON_OBJECT = 0x7b; // no safetensors file: those begin with the length of a header, a multiple of 8

/** A path, a file of a page, or the files of a model by name. */
export type Given = string | Blob | Readonly<Record<string, Blob>>;
type File = string | Blob;

/** Who reads a file: told from its first bytes, and for a safetensors file from its header.
 *  @throws CheckpointError when it cannot be read. */
export const kindOf = async (given: Given): Promise<"keras" | "checkpoint" | "export"> => {
  if (!isFile(given) || (typeof given === "string" && (await isModelOfFiles(given)))) return "keras";
  const source = await openSource(given);
  try {
    const bytes = await source.read(0, Math.min(300, source.size));
    if (isArchive(bytes)) return firstEntry(bytes).endsWith(".npy") ? "export" : "keras";
    if (HDF5.every((byte, i) => bytes[i] === byte) || bytes[0] === JSON_OBJECT) return "keras";
    const hasHeader = bytes[8] === JSON_OBJECT; // where that of a safetensors file begins
    const begin = [...bytes.subarray(0, 4)]; // `bytes` holds what was read last
    if (isTable(await source.read(Math.max(0, source.size - 48), source.size))) return "keras";
    if (!hasHeader) throw unknown(source.name, begin);
    const { metadata } = await readHeader(source);
    return metadata.has("optimizer") && !metadata.has("variables") ? "export" : "checkpoint";
  } finally {
    await source.close();
  }
};

const unknown = (name: string, begin: readonly number[]): CheckpointError =>
  new CheckpointError(
    `${name} is of no format that is known here`,
    begin.length === 0 ? "an empty file" : `bytes that begin with ${begin.join(", ")}`,
    "Known are .safetensors, .keras, .h5, .npz, TensorFlow.js' model.json and TensorFlow's .index. If it is called so, it is damaged: use another copy.",
  );

const isFile = (given: Given): given is File => typeof given === "string" || given instanceof Blob;

/** A SavedModel is a folder; a checkpoint of TensorFlow may be called without its .index. */
const isModelOfFiles = async (path: string): Promise<boolean> => {
  const { stat } = await nodeFiles();
  const found = await stat(path).catch(() => null);
  return found ? found.isDirectory() : (await stat(`${path}.index`).catch(() => null)) !== null;
};

/** The name of an archive's first entry. */
const firstEntry = (bytes: Uint8Array): string => new TextDecoder().decode(bytes.subarray(30, 30 + (bytes[26] ?? 0)));

/** In milliseconds. On a busy machine a file may take long and be whole; who waits before a terminal can stop it. */
export const PATIENT: KerasOptions = { timeLimit: 30_000 };

/** `given`: what is read, where `path` is only its name. */
export const readContents = async (path: string, options: KerasOptions = {}, given: Given = path): Promise<Contents> => {
  const kind = await kindOf(given);
  if (kind !== "keras") refuseChoice(path, options.optimizer);
  if (kind === "keras" || !isFile(given)) return ofKeras(path, await readKeras(given, { ...PATIENT, ...options }));
  return kind === "export" ? ofExport(path, given) : ofCheckpoint(path, given);
};

const ofExport = async (path: string, file: File): Promise<Contents> => {
  const { className, settings, steps, variables, state } = await readAdamaxExport(file);
  const { learningRate, beta1, beta2, epsilon, weightDecay, problems } = settings;
  const config = { learning_rate: learningRate, beta_1: beta1, beta_2: beta2, epsilon, weight_decay: weightDecay };
  return {
    path,
    format: "export",
    className,
    config,
    steps,
    note: [
      "Its norm has epsilon inside: max(beta_2 * norm, |g| + epsilon); converting takes epsilon out.",
      ...problems.map(({ what }) => `Not carried over: ${what}.`),
    ].join(" "),
    arrays: [
      ...variables.map((one) => ({ ...one, of: "model" }) as const),
      ...state.map((one) => ({ ...one, of: "optimizer" }) as const),
    ],
  };
};

const ofKeras = (path: string, { format, variables, optimizer }: KerasModel): Contents => ({
  path,
  format,
  className: optimizer?.className ?? null,
  config: optimizer?.config ? settingsOf(optimizer.config) : null,
  steps: optimizer?.state[0] ? Number(optimizer.state[0].value[0]) : null,
  arrays: [
    ...variables.map((one) => ({ ...one, of: "model" }) as const),
    ...(optimizer?.state.map((one) => ({ ...one, of: "optimizer" }) as const) ?? []),
  ],
});

/** The optimizer's own keys; the fixed scale that tf_keras puts around it is an option here. */
const settingsOf = (config: Config): Config => {
  const { dynamic, initial_scale: scale } = (config.config ?? {}) as Config;
  return { ...innerConfig(config), ...(dynamic === false ? { loss_scale_factor: scale } : {}) };
};

const ofCheckpoint = async (path: string, file: File): Promise<Contents> => {
  const { optimizer } = await inspectCheckpoint(file);
  const source = await openSource(file);
  try {
    const header = await readHeader(source);
    const bytes = new Map<string, Uint8Array>();
    const tensors = header.tensors.slice(0, -1); // the last one holds the checksums
    for (const { name, begin, end } of tensors) bytes.set(name, new Uint8Array(end - begin));
    await readTensors(source, header, ({ name }, at, piece) => bytes.get(name)!.set(piece, at));
    const arrays = tensors.map(({ name, shape, dtype }) => {
      const type = typeNameOf(dtype);
      const value: Numbers = isTypeName(type) ? decodeNumbers(type, bytes.get(name)!) : bytes.get(name)!;
      return {
        name: name.replace(/^(variables|optimizer)\//, ""),
        shape,
        dtype: type,
        value,
        of: name.startsWith("optimizer/") ? "optimizer" : "model",
      } as const;
    });
    return {
      path,
      format: "checkpoint",
      className: optimizer.className,
      config: optimizer.config,
      steps: optimizer.calls,
      arrays,
    };
  } finally {
    await source.close();
  }
};
