/** TensorFlow.js' layers format: model.json, and the files of weights that it names. */

import { Adamax } from "../../adamax.js";
import { CheckpointError, show } from "../../errors.js";
import type { Config } from "../../optimizer/configuration.js";
import { optionsFromConfig } from "../../optimizer/configuration.js";
import type { JsonValue } from "../format/json.js";
import { refuseTwice } from "../format/names.js";
import { decodeNumbers, elementBytes, elementsOf, isTypeName, type Numbers, type StoredArray } from "./arrays.js";
import type { OpenedFile } from "./files.js";
import { isNeverTrained, isObject, type JsonObject, type KerasVariable, type Layer } from "./layers.js";
import type { KerasContents, KerasModel } from "./model.js";
import { optimizerFrom } from "./store.js";

interface Spec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly group?: string;
  /** How its numbers stand in the file: as float16, or as whole numbers times `scale` plus `min`. */
  readonly quantization?: { readonly dtype: "float16" } | Steps;
}

interface Steps {
  readonly dtype: "uint8" | "uint16";
  readonly scale: number;
  readonly min: number;
}

export const readTfjs = async (json: JsonValue, { what, readFile }: OpenedFile): Promise<KerasContents> => {
  if (!isObject(json) || !Array.isArray(json.weightsManifest))
    throw new CheckpointError(
      `${what} is no model of TensorFlow.js`,
      "JSON without weightsManifest",
      "Pass the model.json that model.save wrote.",
    );
  const arrays: (StoredArray & { group: string | undefined })[] = [];
  const known = new Set<string>();
  for (const group of json.weightsManifest as JsonValue[]) {
    const { paths, weights } = checkedGroup(group, known, what);
    const bytes = joined(await Promise.all(paths.map(readFile)));
    let at = 0;
    for (const spec of weights) {
      const dtype = spec.quantization?.dtype ?? spec.dtype;
      if (!isTypeName(dtype))
        throw new CheckpointError(
          `${what} has a weight of a type that we do not read`,
          `${spec.name} of ${dtype}`,
          "Save the model without it.",
        );
      const size = elementsOf(spec.shape) * elementBytes(dtype);
      if (!(at + size <= bytes.length))
        throw new CheckpointError(
          `The files of weights of ${what} are too short`,
          `${bytes.length} bytes, where ${spec.name} ends at ${at + size}`,
          "Copy all of them whole.",
        );
      arrays.push({
        name: spec.name,
        shape: spec.shape,
        dtype: spec.dtype,
        group: spec.group,
        value: dequantized(decodeNumbers(dtype, bytes.subarray(at, at + size)), spec),
      });
      at += size;
    }
  }
  const names = new Set<string>();
  for (const { name } of arrays) {
    if (names.has(name))
      throw new CheckpointError(`${what} has two weights of one name`, show(name), "The file is damaged; write it again.");
    names.add(name);
  }
  const first = arrays.findIndex(({ name, group }) => group === "optimizer" || name === "iter");
  const model = first < 0 ? arrays : arrays.slice(0, first);
  const state = first < 0 ? null : arrays.slice(first);
  const training = isObject(json.trainingConfig) ? json.trainingConfig : null;
  const config = training ? (training.optimizer_config ?? training.optimizerConfig ?? null) : null;
  const topology = isObject(json.modelTopology)
    ? ((json.modelTopology.model_config as JsonValue | undefined) ?? json.modelTopology)
    : null;
  return {
    format: "tfjs",
    dialect: "tf_keras",
    queues: [layersIn(model, topology)],
    optimizer: optimizerFrom(isObject(config) ? (asKeras(config as Config) as JsonValue) : null, state),
    write: async (changed, format, stem) => {
      if (format !== "tfjs")
        throw new CheckpointError(
          "A model of TensorFlow.js can be written as tfjs only",
          format,
          "Read a file of that format, and write it `with` these variables.",
        );
      return written(json as Config, changed, tfjsFiles(stem));
    },
  };
};

/** The files and the weights of a group. `known` are the files of those before; this one's are added. */
const checkedGroup = (group: JsonValue, known: Set<string>, what: string): { paths: string[]; weights: Spec[] } => {
  const refuse = (received: string): never => {
    throw new CheckpointError(`The weightsManifest of ${what} cannot be read`, received, "The file is damaged.");
  };
  if (!isObject(group) || !Array.isArray(group.paths) || !Array.isArray(group.weights))
    return refuse("a group without paths and weights");
  const paths = (group.paths as JsonValue[]).map((path) => {
    if (typeof path !== "string" || /^[/\\]|^[a-z]+:|(^|[/\\])\.\.([/\\]|$)/i.test(path))
      return refuse(`a path outside of its folder, ${show(path)}`);
    const plain = path.replace(/(^|[/\\])(\.?[/\\])+/g, "$1"); // TensorFlow.js writes "./model.weights.bin" for downloads
    if (known.has(plain)) refuse(`the file ${show(path)} twice`);
    known.add(plain);
    return plain;
  });
  for (const spec of group.weights as JsonValue[]) {
    const fits = isObject(spec) && typeof spec.name === "string" && typeof spec.dtype === "string" && Array.isArray(spec.shape);
    if (!fits || !(spec.shape as JsonValue[]).every((size) => Number.isSafeInteger(size) && (size as number) >= 0))
      refuse(`a weight like ${JSON.stringify(spec).slice(0, 80)}`);
    if (!isQuantization(spec as JsonObject))
      refuse(`the quantization ${JSON.stringify((spec as JsonObject).quantization).slice(0, 80)}`);
  }
  return { paths, weights: group.weights as unknown as Spec[] };
};

const joined = (parts: readonly Uint8Array[]): Uint8Array => {
  if (parts.length === 1) return parts[0]!;
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  parts.reduce((at, part) => {
    bytes.set(part, at);
    return at + part.length;
  }, 0);
  return bytes;
};

const isQuantization = ({ dtype, quantization }: JsonObject): boolean => {
  if (quantization === undefined) return true;
  if (!isObject(quantization)) return false;
  if (quantization.dtype === "float16") return dtype === "float32";
  return (
    (quantization.dtype === "uint8" || quantization.dtype === "uint16") &&
    (dtype === "float32" || dtype === "int32") &&
    Number.isFinite(quantization.scale) &&
    Number.isFinite(quantization.min)
  );
};

const dequantized = (value: Numbers, { dtype, quantization }: Spec): Numbers => {
  if (!quantization || quantization.dtype === "float16") return value;
  const { scale, min } = quantization;
  const numbers = value as Uint8Array | Uint16Array;
  return dtype === "float32"
    ? Float32Array.from(numbers, (stored) => stored * scale + min)
    : Int32Array.from(numbers, (stored) => Math.round(stored * scale + min));
};

const layersIn = (arrays: readonly StoredArray[], topology: JsonValue): Layer[] => {
  const frozen = new Set<string>();
  const config = isObject(topology) && isObject(topology.config) ? topology.config : {};
  for (const layer of (Array.isArray(config.layers) ? config.layers : []) as JsonValue[])
    if (isObject(layer) && isObject(layer.config) && layer.config.trainable === false) frozen.add(String(layer.config.name));
  const layers = new Map<string, KerasVariable[]>();
  for (const array of arrays) {
    const [layer] = array.name.split("/");
    const variables = layers.get(layer!) ?? [];
    variables.push({ ...array, trainable: !isNeverTrained(array) && !frozen.has(layer!) });
    layers.set(layer!, variables);
  }
  return [...layers.values()].map((variables) => ({ variables }));
};

/** adamax/tfjs writes className for the class of a schedule, and { name } for a pattern: TensorFlow.js changes letters elsewhere. */
const asKeras = (config: Config): Config => {
  const inner = config.config as Config | undefined;
  if (typeof config.class_name !== "string" || !inner) return config;
  const rate = (inner.learning_rate ?? null) as Config | number | null;
  const plain = { ...inner };
  if (typeof rate === "object" && rate !== null && "className" in rate) {
    const { className, ...rest } = rate;
    plain.learning_rate = { class_name: className, ...rest };
  }
  if (Array.isArray(inner.groups))
    plain.groups = inner.groups.map((group: Config) => ({ ...group, names: (group.names as unknown[]).map(asPattern) }));
  if (Array.isArray(inner.exclude_from_weight_decay))
    plain.exclude_from_weight_decay = inner.exclude_from_weight_decay.map(asPattern);
  return { ...config, config: plain };
};

const asPattern = (pattern: unknown): unknown => {
  const { name, flags } = (pattern ?? {}) as { name?: unknown; flags?: unknown };
  if (name === undefined) return pattern;
  return flags ? { source: name, flags } : name;
};

/** The names of a model's two files. Several models in one folder need others than TensorFlow.js' usual ones: those that its downloads have. */
export const tfjsFiles = (stem?: string) =>
  stem === undefined
    ? { model: "model.json", weights: "weights.bin" }
    : { model: `${stem}.json`, weights: `${stem}.weights.bin` };

const written = (
  json: Config,
  { variables, optimizer }: KerasModel,
  names: ReturnType<typeof tfjsFiles>,
): Map<string, Uint8Array> => {
  const state = (optimizer?.state ?? []).map(({ name, shape, value, dtype }, i): StoredArray => {
    if (i === 0) return { name: "iter", shape: [], dtype: "int32", value: Int32Array.of(Number(value[0])) };
    const [kind, ...variable] = name.split("/");
    return { name: `${variable.join("/")}/${kind}`, shape, dtype, value };
  });
  refuseTwice([...variables, ...state].map(({ name }) => name));
  const specs: Spec[] = [];
  const parts: Uint8Array[] = [];
  for (const [group, arrays] of [
    ["model", variables],
    ["optimizer", state],
  ] as const)
    for (const { name, shape, value, dtype } of arrays) {
      const plain = value instanceof Float64Array ? Float32Array.from(value) : value;
      specs.push({
        name,
        shape: [...shape],
        dtype: /float/.test(dtype) ? "float32" : dtype,
        ...(group === "optimizer" ? { group } : {}),
      });
      parts.push(new Uint8Array(plain.buffer as ArrayBuffer, plain.byteOffset, plain.byteLength));
    }
  const model: Config = { ...json, weightsManifest: [{ paths: [names.weights], weights: specs }] };
  if (optimizer?.config) {
    optionsFromConfig(Adamax.rule, optimizer.config, {}); // what it cannot read, it shall not write
    model.trainingConfig = {
      loss: null,
      metrics: [],
      ...(json.trainingConfig as Config),
      optimizer_config: forTfjs(optimizer.config),
    };
  }
  return new Map([
    [names.model, new TextEncoder().encode(JSON.stringify(model))],
    [names.weights, joined(parts)],
  ]);
};

const forTfjs = ({ class_name, config }: Config): Config => {
  const { learning_rate: rate, groups, exclude_from_weight_decay: excluded, ...plain } = config as Config;
  if (Array.isArray(groups))
    plain.groups = groups.map((group: Config) => ({ ...group, names: (group.names as unknown[]).map(asNamed) }));
  if (Array.isArray(excluded)) plain.exclude_from_weight_decay = excluded.map(asNamed);
  if (typeof rate !== "object" || rate === null) return { class_name, config: { ...plain, learning_rate: rate } };
  const { class_name: className, ...rest } = rate as Config;
  return { class_name, config: { ...plain, learning_rate: { className, ...rest } } };
};

const asNamed = (pattern: unknown): unknown => {
  const { source, flags } = (pattern ?? {}) as { source?: unknown; flags?: unknown };
  return typeof pattern === "string" ? { name: pattern } : { name: source, flags };
};
