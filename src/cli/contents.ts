/** What a file holds, whatever its format: named arrays, and the optimizer's configuration. */

import { readFile } from "node:fs/promises";
import { inspectCheckpoint } from "../checkpoint/inspect.js";
import { type KerasOptions, readKeras } from "../checkpoint/keras.js";
import { decodeNumbers, isTypeName, type Numbers, type StoredArray } from "../checkpoint/keras-arrays.js";
import { innerConfig, type KerasFormat, type KerasModel } from "../checkpoint/keras-model.js";
import { readHeader } from "../checkpoint/safetensors.js";
import { openSource } from "../checkpoint/source.js";
import { readTensors } from "../checkpoint/tensors.js";
import type { Config } from "../configuration.js";
import { CheckpointError } from "../errors.js";

export interface Contents {
  readonly path: string;
  readonly format: "checkpoint" | KerasFormat;
  readonly className: string | null;
  /** The optimizer's own keys, in Keras' spelling; null: the file has none. */
  readonly config: Config | null;
  /** Steps made; null: no optimizer. */
  readonly steps: number | null;
  /** "dense/kernel" for a weight, "momentum/dense/kernel" for the optimizer's. */
  readonly arrays: readonly (StoredArray & { readonly of: "model" | "optimizer" })[];
}

const KERAS = [[0x89, 0x48, 0x44, 0x46], [0x50, 0x4b], [0x7b]]; // HDF5, an archive, JSON

export const isKeras = async (path: string): Promise<boolean> => {
  const bytes = await readFile(path).catch((error: Error) => {
    throw new CheckpointError(`${path} cannot be read`, error.message, "Check the path.");
  });
  return KERAS.some((signature) => signature.every((byte, i) => bytes[i] === byte));
};

export const readContents = async (path: string, options: KerasOptions = {}): Promise<Contents> =>
  (await isKeras(path)) ? ofKeras(path, await readKeras(path, options)) : ofCheckpoint(path);

const ofKeras = (path: string, { format, variables, optimizer }: KerasModel): Contents => ({
  path,
  format,
  className: optimizer?.className ?? null,
  config: optimizer?.config ? innerConfig(optimizer.config) : null,
  steps: optimizer?.state[0] ? Number(optimizer.state[0].value[0]) : null,
  arrays: [
    ...variables.map((one) => ({ ...one, of: "model" }) as const),
    ...(optimizer?.state.map((one) => ({ ...one, of: "optimizer" }) as const) ?? []),
  ],
});

const ofCheckpoint = async (path: string): Promise<Contents> => {
  const { optimizer } = await inspectCheckpoint(path);
  const source = await openSource(path);
  try {
    const header = await readHeader(source);
    const bytes = new Map<string, Uint8Array>();
    const tensors = header.tensors.slice(0, -1); // the last one holds the checksums
    for (const { name, begin, end } of tensors) bytes.set(name, new Uint8Array(end - begin));
    await readTensors(source, header, ({ name }, at, piece) => bytes.get(name)!.set(piece, at));
    const arrays = tensors.map(({ name, shape, dtype }) => {
      const type = dtype
        .replace(/^F/, "float")
        .replace(/^BF/, "bfloat")
        .replace(/^U(?=\d)/, "uint")
        .replace(/^I/, "int");
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
      steps: optimizer.iterations,
      arrays,
    };
  } finally {
    await source.close();
  }
};
