/** `adamax convert`: any readable format to any writable one. */

import { mkdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Adamax, type AdamaxOptions } from "../adamax.js";
import { readAdamaxExport } from "../checkpoint/exports/adamax-export.js";
import { kerasWeights, readKeras, writeKeras } from "../checkpoint/keras/keras.js";
import type { KerasFormat, KerasModel } from "../checkpoint/keras/model.js";
import { loadCheckpoint } from "../checkpoint/load.js";
import { saveCheckpoint } from "../checkpoint/save.js";
import { atomicWrite } from "../checkpoint/storage/atomic-write.js";
import { CheckpointError, OptionError, show } from "../errors.js";
import { type Config, optionsFromConfig } from "../optimizer/configuration.js";
import type { Optimizer } from "../optimizer/optimizer.js";
import type { Variable } from "../variable.js";
import { kindOf, PATIENT } from "./contents.js";
import { refuseExisting } from "./files.js";
import type { Progress } from "./terminal.js";

interface ConvertOptions {
  readonly force?: boolean;
  readonly into?: string;
  readonly options?: string;
  readonly optimizer?: string;
}

/** What a file holds, ready to be written. */
interface Loaded {
  readonly optimizer: Optimizer<never>;
  readonly variables: readonly Variable[];
}

export const convert = async (
  from: string,
  to: string,
  { force = false, into, options, optimizer: which }: ConvertOptions,
  progress: Progress,
): Promise<number> => {
  const format = formatOf(to);
  await refuseExisting(to, force);
  const given = options === undefined ? undefined : optionsIn(options);
  progress.say(`reading ${from}`);
  const kind = await kindOf(from);
  const source =
    kind === "keras" ? await readKeras(from, { ...PATIENT, ...(which === undefined ? {} : { optimizer: which }) }) : null;
  const load = async (): Promise<Loaded> => {
    if (source) return source.restore(given && !source.optimizer?.config ? new Adamax(given) : (given ?? {}));
    if (kind === "export") return (await readAdamaxExport(from)).restore(given ?? {});
    const onProgress = progress.of(`reading ${from}`);
    const { optimizer, variables } = await loadCheckpoint(from, {
      optimizer: Adamax,
      onProgress,
      ...(given ? { options: given } : {}),
    });
    return { optimizer, variables: [...variables.values()] };
  };
  const write = async (written: Uint8Array | ReadonlyMap<string, Uint8Array>): Promise<void> => {
    await mkdir(dirname(to), { recursive: true });
    if (written instanceof Uint8Array) return atomicWrite(to, piecesOf(written, progress.of(`writing ${to}`)));
    // The file that names the others comes last, so that it never names one that is not there.
    for (const [name, bytes] of [...written].reverse()) {
      const path = name === "model.json" ? to : join(dirname(to), name);
      await atomicWrite(path, piecesOf(bytes, progress.of(`writing ${path}`)));
    }
  };
  if (format === "checkpoint") {
    const loaded = await load();
    await mkdir(dirname(to), { recursive: true });
    await saveCheckpoint(to, { ...loaded, onProgress: progress.of(`writing ${to}`) });
  } else if (into !== undefined) await write(await writeKeras((await readKeras(into, PATIENT)).with(await load()), format));
  else if (source && (source.format === format || (format === "weights.h5" && ["keras", "weights.json"].includes(source.format))))
    await write(await writeKeras(source, format));
  else if (format === "weights.h5" && (!source || isOfTensorflow(source)))
    await write(await writeKeras(kerasWeights(await load(), "keras", PATIENT), format));
  else
    throw new CheckpointError(
      `${to} needs a model's architecture, which we do not write`,
      show(from),
      "Give a file of that format to take it from: --into FILE.",
    );
  return 0;
};

const isOfTensorflow = ({ format }: KerasModel): boolean => format === "tensorflow" || format === "saved-model";

/** In either spelling; a schedule as Keras serializes it. */
const optionsIn = (text: string): AdamaxOptions => {
  try {
    const options = optionsFromConfig(Adamax.rule, JSON.parse(text) as Config, {});
    return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as AdamaxOptions;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new OptionError("--options takes JSON", show(text), `Write it as '{"learning_rate": 0.01}'.`);
  }
};

const formatOf = (path: string): "checkpoint" | KerasFormat => {
  if (path.endsWith(".safetensors")) return "checkpoint";
  for (const format of ["weights.h5", "keras", "h5"] as const) if (path.endsWith(`.${format}`)) return format;
  if (path.endsWith(".json")) return "tfjs";
  throw new CheckpointError(
    "The format is told by the end of the name",
    show(basename(path)),
    "Name it .safetensors, .keras, .weights.h5, .h5 or .json.",
  );
};

const PIECE_BYTES = 4 * 2 ** 20;

async function* piecesOf(bytes: Uint8Array, onProgress: ReturnType<Progress["of"]>): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
    yield bytes.subarray(at, at + PIECE_BYTES);
    onProgress({ bytes: Math.min(at + PIECE_BYTES, bytes.length), total: bytes.length });
  }
}
