/** `adamax convert`: any readable format to any writable one. */

import { mkdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Adamax, type AdamaxOptions } from "../adamax.js";
import { isFunctionRate } from "../checkpoint/compare.js";
import { readAdamaxExport } from "../checkpoint/exports/adamax-export.js";
import { inspectCheckpoint } from "../checkpoint/inspect.js";
import { kerasWeights, readKeras, refuseChoice } from "../checkpoint/keras/keras.js";
import type { KerasFormat, KerasModel } from "../checkpoint/keras/model.js";
import { tfjsFiles } from "../checkpoint/keras/tfjs.js";
import { loadCheckpoint } from "../checkpoint/load.js";
import { type SaveOptions, saveCheckpoint } from "../checkpoint/save.js";
import { atomicWrite } from "../checkpoint/storage/atomic-write.js";
import { CheckpointError, firstOf, OptionError, show } from "../errors.js";
import { type Config, optionsFromConfig } from "../optimizer/configuration.js";
import type { Optimizer } from "../optimizer/optimizer.js";
import type { Variable } from "../variable.js";
import { kindOf, PATIENT } from "./contents.js";
import { refuseExisting, refusePart } from "./files.js";
import type { Progress } from "./terminal.js";
import { UsageError } from "./usage.js";

interface ConvertOptions {
  readonly force?: boolean;
  readonly into?: string;
  readonly options?: string;
  readonly optimizer?: string;
}

/** What a file holds, ready to be written. */
interface Loaded {
  readonly model: { readonly optimizer: Optimizer<never>; readonly variables: readonly Variable[] };
  /** What only a checkpoint holds besides: where a training was, say. */
  readonly more?: Pick<SaveOptions, "user" | "metrics">;
}

export const convert = async (
  from: string,
  to: string,
  { force = false, into, options, optimizer: which }: ConvertOptions,
  progress: Progress,
): Promise<number> => {
  const format = formatOf(to);
  if (format === "checkpoint" && into !== undefined)
    throw new UsageError("--into is for files of Keras: a checkpoint of this library holds no architecture.");
  const stem = basename(to, ".json"); // names of their own for files that belong together
  const files = format === "tfjs" ? Object.values(tfjsFiles(stem)).map((name) => join(dirname(to), name)) : [to];
  for (const file of files) await refuseExisting(file, force);
  await refusePart(to, from);
  const given = options === undefined ? undefined : optionsIn(options);
  progress.say(`reading ${from}`);
  const kind = await kindOf(from);
  if (kind !== "keras") refuseChoice(from, which);
  const source =
    kind === "keras" ? await readKeras(from, { ...PATIENT, ...(which === undefined ? {} : { optimizer: which }) }) : null;
  const load = async (): Promise<Loaded> => {
    if (source) return ofKeras(from, source, given);
    if (kind === "checkpoint") return ofCheckpoint(from, given, progress);
    const exported = await readAdamaxExport(from);
    return { model: namingOptions(() => exported.restore(given ?? {})) };
  };
  const write = async (model: KerasModel, format: KerasFormat): Promise<void> => {
    const written = await model.bytes(format, stem);
    await mkdir(dirname(to), { recursive: true });
    if (written instanceof Uint8Array) return atomicWrite(to, piecesOf(written, progress.of(`writing ${to}`)));
    // The file that names the others comes last, so that it never names one that is not there.
    for (const [name, bytes] of [...written].reverse()) {
      const path = join(dirname(to), name);
      await atomicWrite(path, piecesOf(bytes, progress.of(`writing ${path}`)));
    }
  };
  if (format === "checkpoint") {
    const { model, more } = await load();
    await mkdir(dirname(to), { recursive: true });
    await saveCheckpoint(to, { ...model, ...more, onProgress: progress.of(`writing ${to}`) });
  } else if (into !== undefined) await write((await architectureOf(into, to, format)).with((await load()).model), format);
  else if (source && canBe(source, format)) await write(source, format);
  else if (format === "weights.h5" && (!source || isOfTensorflow(source))) {
    const { model } = await load();
    warnOfNames(model.variables);
    await write(kerasWeights(model, "keras", PATIENT), format);
  } else
    throw new CheckpointError(
      `${to} needs a model's architecture, which we do not write`,
      show(from),
      "Give a file of that format to take it from: --into FILE.",
    );
  return 0;
};

const OPTIONS = `--options '{"learning_rate": 0.001}'`;

const ofKeras = (from: string, source: KerasModel, given: AdamaxOptions | undefined): Loaded => {
  const holdsOptions = source.optimizer?.config;
  if (!holdsOptions && !given)
    throw new CheckpointError(`${from} does not hold the options of an optimizer`, "no --options", `Give them: ${OPTIONS}.`);
  const model = namingOptions(() => source.restore(given && !holdsOptions ? new Adamax(given) : (given ?? {})));
  warnOfRate(from, given?.learningRate, model.optimizer);
  return { model };
};

/** A file without options may have the rate all the same, in its state, which is loaded. */
const warnOfRate = (from: string, given: AdamaxOptions["learningRate"], { learningRate }: Optimizer<never>): void => {
  if (typeof given === "number" && Math.fround(given) !== Math.fround(learningRate))
    console.warn(
      `adamax: the state in ${from} has a learning rate of its own, which stays. Received: ${learningRate}, and ${given} in --options. ` +
        "To go on with another one, set optimizer.learningRate once it is loaded.",
    );
};

const ofCheckpoint = async (from: string, given: AdamaxOptions | undefined, progress: Progress): Promise<Loaded> => {
  const { config } = (await inspectCheckpoint(from)).optimizer;
  if (isFunctionRate(config.learning_rate) && given?.learningRate === undefined)
    throw new CheckpointError(
      `The learning rate of ${from} was a function, which no file can hold`,
      "no learning_rate in --options",
      `Give one: ${OPTIONS}.`,
    );
  const { optimizer, variables, user, metrics } = await loadCheckpoint(from, {
    optimizer: Adamax,
    onProgress: progress.of(`reading ${from}`),
    ...(given ? { options: given } : {}),
  });
  return { model: { optimizer, variables: [...variables.values()] }, more: { user, metrics } };
};

/** Where the library asks for options, it means those of a call. */
const namingOptions = (restore: () => Loaded["model"]): Loaded["model"] => {
  try {
    return restore();
  } catch (error) {
    if (error instanceof CheckpointError || error instanceof OptionError)
      error.message += ` This command takes options as ${OPTIONS}.`;
    throw error;
  }
};

const canBe = (source: KerasModel, format: KerasFormat): boolean =>
  source.format === format || (format === "weights.h5" && ["keras", "weights.json"].includes(source.format));

const architectureOf = async (into: string, to: string, format: KerasFormat): Promise<KerasModel> => {
  const model = await readKeras(into, PATIENT);
  if (canBe(model, format)) return model;
  throw new CheckpointError(
    `${to} cannot take its architecture from a file of another format`,
    `--into ${into}, of the format ${model.format}`,
    "Give one of the format of OUT, or name OUT like it.",
  );
};
/** The names that Keras gives layers by their class. */
const BY_CLASS =
  /^(dense|einsum_dense|embedding|(depthwise_|separable_)?conv\dd(_transpose)?|(batch|layer|group|unit)_normalization|lstm|gru|simple_rnn|bidirectional|multi_head_attention|p_re_lu)(_\d+)?$/;

/** Python looks into a .weights.h5 file for the class of each layer, whatever the layer is called. */
const warnOfNames = (variables: readonly Variable[]): void => {
  const layers = new Set(variables.map(({ name }) => name.split("/").slice(0, -1).join("/") || name));
  const others = [...layers].filter((layer) => !layer.split("/").some((part) => BY_CLASS.test(part)));
  if (others.length > 0)
    console.warn(
      `adamax: Keras finds weights by the class of their layer, numbered (dense, dense_1, conv2d), and will not find ${firstOf(others)}. ` +
        "This library does. For Keras, name the variables so and write them with kerasWeights.",
    );
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
