/** Weights as .weights.h5 files hold them, by themselves or in a .keras archive: numbers under the path of each layer. */

import { CheckpointError, show } from "../../errors.js";
import type { Config, Dialect } from "../../optimizer/configuration.js";
import { type JsonValue, parseJson } from "../format/json.js";
import { namer } from "../format/names.js";
import { type Entries, pack, unpack } from "../format/zip.js";
import type { Numbers, StoredArray } from "./arrays.js";
import { type Hdf5, type Hdf5Object, type Hdf5Options, readHdf5, writeHdf5 } from "./hdf5.js";
import { pythonJson, replaceInJson } from "./json.js";
import {
  compareNaturally,
  isNeverTrained,
  isObject,
  type KerasVariable,
  type Layer,
  type LayerFacts,
  layersOf,
  weightNames,
} from "./layers.js";
import type { KerasContents, KerasModel, KerasReadFormat } from "./model.js";
import { classNameOf, type KerasOptimizer } from "./optimizer.js";

const OPTIMIZER = /^optimizer(\/|$)/;
/** Beside the layers, what a compiled model keeps; and where the layers of a whole .h5 model are. */
export const NO_LAYER = /^(optimizer|metrics|_?compile_metrics|loss_tracker|_compile_loss|model_weights)(\/|$)/;
const CONTAINERS = ["layers", "_layer_checkpoint_dependencies"];

interface Store {
  readonly queues: Layer[][];
  readonly state: StoredArray[] | null;
  /** Where each variable stands, by name. */
  readonly places: ReadonlyMap<string, string>;
}

/** What lies under a path that ends in "vars". */
interface Holder {
  readonly path: string;
  /** The path of the layer, "layers/dense_1". */
  readonly layer: string;
  readonly arrays: (readonly [key: string, object: Hdf5Object])[];
}

const readStore = (contents: Hdf5, facts: ReadonlyMap<string, LayerFacts>): Store => {
  const holders = holdersOf(contents);
  const state = holders
    .filter(({ path }) => /^optimizer(\/inner_optimizer)?$/.test(path))
    .sort((a, b) => b.path.length - a.path.length)[0];
  const layers = new Map<string, Holder[]>();
  for (const holder of holders) if (!NO_LAYER.test(holder.path)) pushTo(layers, holder.layer, holder);

  const places = new Map<string, string>();
  const unique = namer((name, count) => `${name}_${count - 1}`);
  const read = [...layers].map(([path, parts]) => {
    const trainable = facts.get(path)?.trainable ?? null;
    const variables = parts
      .sort((a, b) => compareNaturally(a.path, b.path))
      .flatMap((holder) => {
        const named = `${nameOf(contents, facts, path)}${holder.path.slice(path.length)}`;
        const names = weightNames(holder.path.split("/").at(-1)!, holder.arrays.length, facts.get(path)?.config);
        return holder.arrays.map(([key, object], i): KerasVariable => {
          const place = [holder.path, "vars", key].filter(Boolean).join("/");
          const array = arrayOf(object, unique(notedName(object) ?? `${named}/${names[i]}`.replace(/^\//, "")), place);
          places.set(array.name, place);
          return { ...array, trainable: isNeverTrained(array) ? false : trainable };
        });
      });
    return { path, layer: { variables } };
  });
  return {
    queues: inQueues(read, facts),
    state: state
      ? state.arrays.map(([key, object]) => arrayOf(object, notedName(object) ?? key, `${state.path}/vars/${key}`))
      : null,
    places,
  };
};

const pushTo = <Item>(lists: Map<string, Item[]>, key: string, item: Item): void => {
  const list = lists.get(key);
  if (list) list.push(item);
  else lists.set(key, [item]);
};

const holdersOf = (contents: Hdf5): Holder[] => {
  const holders = new Map<string, Holder>();
  for (const [path, object] of contents) {
    const [, before = "", key] = /^(?:(.+)\/)?vars\/([^/]+)$/s.exec(path) ?? [];
    if (key === undefined || !object.dataset) continue;
    const parts = before.split("/");
    const container = Math.max(...CONTAINERS.map((name) => parts.lastIndexOf(name)));
    const layer = parts.slice(0, container < 0 ? 1 : container + 2).join("/");
    const holder = holders.get(before) ?? { path: before, layer, arrays: [] };
    holder.arrays.push([key, object]);
    holders.set(before, holder);
  }
  for (const { arrays } of holders.values()) arrays.sort(([a], [b]) => Number(a) - Number(b));
  return [...holders.values()];
};

/** "first/kernel" from the name that the configuration gives the layer, or that Keras 3 notes beside its weights; else from its path. */
const nameOf = (contents: Hdf5, facts: ReadonlyMap<string, LayerFacts>, path: string): string => {
  const parts = path.split("/");
  const names: string[] = [];
  parts.forEach((part, i) => {
    if (CONTAINERS.includes(part) && i < parts.length - 1) return;
    const here = parts.slice(0, i + 1).join("/");
    const noted = contents.get(`${here}/vars`)?.attributes.get("name")?.value[0];
    names.push(facts.get(here)?.name ?? (typeof noted === "string" && noted !== "" ? noted : part));
  });
  return names.join("/");
};

/** Keras numbers the arrays of a layer, and finds them by the layer's class. Where neither says how they are called, we note it beside them in files
 *  of ours; Keras does not look there. */
const NOTE = "adamax_name";

const notedName = ({ attributes }: Hdf5Object): string | null => {
  const name = attributes.get(NOTE)?.value[0];
  return typeof name === "string" && name !== "" ? name : null;
};

/** A file of weights alone, with the names of all arrays noted. */
export const weightsFile = (contents: Hdf5, places: ReadonlyMap<string, string>, model: KerasModel): Hdf5 => {
  const names = new Map([...places].map(([name, place]) => [place, name]));
  const nameAt = (path: string): string | undefined => {
    const [, index] = /^optimizer\/(?:inner_optimizer\/)?vars\/(\d+)$/.exec(path) ?? [];
    return names.get(path) ?? (index === undefined ? undefined : model.optimizer?.state[Number(index)]?.name);
  };
  const file = new Map(replaced(contents, places, model));
  for (const [path, { attributes, dataset }] of file) {
    const name = dataset && nameAt(path);
    if (name) file.set(path, { attributes: new Map([...attributes, [NOTE, { shape: [], value: [name] }]]), dataset });
  }
  return file;
};

const arrayOf = ({ dataset }: Hdf5Object, name: string, place: string): StoredArray => {
  const { shape, dtype, value } = dataset!;
  if (value === null || dtype === "string")
    throw new CheckpointError(
      `${place} is not of numbers that we read`,
      dtype,
      "The file is damaged, or holds what we do not know.",
    );
  return { name, shape, dtype, value: value as Numbers };
};

/** With the model's configuration one queue in its order; without it one for each class of layers, which Keras numbers. */
const inQueues = (read: readonly { path: string; layer: Layer }[], facts: ReadonlyMap<string, LayerFacts>): Layer[][] => {
  const byPath = [...read].sort((a, b) => compareNaturally(a.path, b.path));
  if (read.every(({ path }) => facts.has(path)))
    return [byPath.sort((a, b) => facts.get(a.path)!.order - facts.get(b.path)!.order).map(({ layer }) => layer)];
  const queues = new Map<string, Layer[]>();
  for (const { path, layer } of byPath) {
    const kind = path.replace(/_\d+$/, "");
    pushTo(queues, kind, layer);
  }
  return [...queues.values()];
};

/** tf_keras notes no names beside its weights, and its state has no learning rate. */
const dialectOf = (contents: Hdf5): Dialect =>
  [...contents.values()].some(({ attributes }) => attributes.has("name")) ? "keras" : "tf_keras";

export const readWeights = (contents: Hdf5, what: string, options: Hdf5Options): KerasContents => {
  if (![...contents.keys()].some((path) => /(^|\/)vars$/.test(path)))
    throw new CheckpointError(
      `${what} holds no weights of a model`,
      `HDF5 with ${[...contents.keys()].slice(1, 6).map(show).join(", ") || "nothing"}`,
      "Pass a .weights.h5 or .h5 file of Keras.",
    );
  const { queues, state, places } = readStore(contents, new Map());
  return {
    format: "weights.h5",
    dialect: dialectOf(contents),
    queues,
    optimizer: state && { className: null, config: null, state },
    write: (model, format) => {
      onlyTo(format, "weights.h5");
      return writeHdf5(weightsFile(contents, places, model), "the file", options);
    },
  };
};

export const onlyTo = (format: KerasReadFormat, ...possible: KerasReadFormat[]): void => {
  if (!possible.includes(format))
    throw new CheckpointError(
      `These weights can be written as ${possible.join(" or ")}`,
      format,
      "We write no architectures: read a file of that format, and write it `with` these variables.",
    );
};

/** The same file with the model's weights and its optimizer's state. */
const replaced = (contents: Hdf5, places: ReadonlyMap<string, string>, { variables, optimizer }: KerasModel): Hdf5 => {
  const written = new Map<string, Hdf5Object>();
  for (const [path, object] of contents) if (!OPTIMIZER.test(path)) written.set(path, object);
  for (const { name, ...array } of variables) {
    const place = places.get(name)!;
    written.set(place, stored(array, contents.get(place)?.attributes));
  }
  if (!optimizer) return written;
  const label = (optimizer.className ?? "Adamax").toLowerCase();
  const keepsName =
    contents.get("optimizer/vars")?.attributes ??
    (dialectOf(contents) === "keras" ? new Map([["name", { shape: [], value: [label] }]]) : new Map());
  written.set("optimizer", { attributes: new Map() });
  // Around an optimizer with a loss scale, Keras keeps the state inside and once more outside.
  const paths = innerOf(optimizer.config) ? ["optimizer/inner_optimizer", "optimizer"] : ["optimizer"];
  for (const path of paths) {
    if (path !== "optimizer") written.set(path, { attributes: new Map() });
    written.set(`${path}/vars`, { attributes: keepsName });
    for (const [i, array] of optimizer.state.entries()) written.set(`${path}/vars/${i}`, stored(array));
  }
  return written;
};

const innerOf = (config: Config | null): boolean =>
  isObject((config?.config ?? null) as JsonValue) && "inner_optimizer" in (config!.config as Config);

/** float16 and bfloat16 are written as the float32 that they were read as; Keras converts them back. */
const stored = (
  { shape, dtype, value }: Omit<StoredArray, "name">,
  attributes: Hdf5Object["attributes"] = new Map(),
): Hdf5Object => {
  const isHalf = dtype === "float16" || dtype === "bfloat16";
  return {
    attributes: isHalf ? new Map([...attributes].filter(([name]) => name !== "dtype")) : attributes,
    dataset: { shape, dtype: isHalf ? "float32" : dtype, value },
  };
};

const WEIGHTS = "model.weights.h5";
const CONFIG = "config.json";

export const readArchive = async (bytes: Uint8Array, what: string, options: Hdf5Options): Promise<KerasContents> => {
  const entries = await unpack(bytes, what);
  const entry = (name: string): Uint8Array => {
    const found = entries.get(name);
    if (found) return found;
    throw new CheckpointError(
      `${what} has no ${name}`,
      `an archive of ${[...entries.keys()].slice(0, 8).join(", ") || "nothing"}`,
      "Pass a .keras file that model.save wrote.",
    );
  };
  const text = textOf(entry(CONFIG));
  const config = parseJson(text, `${CONFIG} of ${what}`);
  const metadata = entries.has("metadata.json") ? parseJson(textOf(entry("metadata.json")), `metadata.json of ${what}`) : null;
  const contents = await readHdf5(entry(WEIGHTS), `${WEIGHTS} of ${what}`, options);
  const { queues, state, places } = readStore(contents, layersOf(config));
  const compiled =
    isObject(config) && isObject(config.compile_config) && isObject(config.compile_config.optimizer)
      ? config.compile_config.optimizer
      : null;
  return {
    format: "keras",
    dialect: isObject(metadata) && /^2\./.test(String(metadata.keras_version)) ? "tf_keras" : "keras",
    queues,
    optimizer: optimizerFrom(compiled, state),
    write: async (model, format) => {
      onlyTo(format, "keras", "weights.h5");
      if (format === "weights.h5") return writeHdf5(weightsFile(contents, places, model), WEIGHTS, options);
      const weights = await writeHdf5(replaced(contents, places, model), WEIGHTS, options);
      const changed = new Map([...entries, [WEIGHTS, weights]]) as Map<string, Uint8Array>;
      const written = model.optimizer?.config;
      if (written && written !== (compiled as Config | null)) {
        const json = replaceInJson(text, ["compile_config", "optimizer"], pythonJson(written as JsonValue));
        changed.set(CONFIG, new TextEncoder().encode(json));
      }
      return pack(changed as Entries);
    },
  };
};

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

export const optimizerFrom = (config: JsonValue, state: StoredArray[] | null): KerasOptimizer | null => {
  if (!isObject(config) && !state) return null;
  const given = isObject(config) ? (config as Config) : null;
  return { className: classNameOf(given), config: given, state: state ?? [] };
};
