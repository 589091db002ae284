/** Whole models in one .h5 file: tf_keras' legacy format, which Keras 3 still writes. Weights and state by name. */

import { CheckpointError } from "../../errors.js";
import type { Config, Dialect } from "../../optimizer/configuration.js";
import { type JsonValue, parseJson } from "../format/json.js";
import { refuseTwice } from "../format/names.js";
import type { Numbers, StoredArray } from "./arrays.js";
import { type Hdf5, type Hdf5Attribute, type Hdf5Object, type Hdf5Options, writeHdf5 } from "./hdf5.js";
import { pythonJson, replaceInJson } from "./json.js";
import { isNeverTrained, isObject, type KerasVariable, type Layer, layersOf } from "./layers.js";
import type { KerasContents, KerasModel } from "./model.js";
import { classNameOf, innerConfig } from "./optimizer.js";
import { optimizerFrom } from "./store.js";

const MODEL = "model_weights";
const OPTIMIZER = "optimizer_weights";
/** Attributes of more names than this are written in parts: HDF5 allows 64 KiB. */
const MOST_NAMES = 3000;

export const isLegacy = (contents: Hdf5): boolean => contents.has(MODEL) || contents.get("")!.attributes.has("layer_names");

export const readLegacy = (contents: Hdf5, what: string, options: Hdf5Options): KerasContents => {
  const root = contents.get("")!.attributes;
  const text = (name: string): string | null => {
    const value = root.get(name)?.value[0];
    return typeof value === "string" ? value : null;
  };
  const json = (name: string): JsonValue => (text(name) ? parseJson(text(name)!, `${name} of ${what}`) : null);
  const dialect: Dialect = text("keras_version")?.startsWith("3.") ? "keras" : "tf_keras";
  const base = contents.has(MODEL) ? MODEL : "";
  const model = json("model_config");
  const places = new Map<string, string>();
  const queue = layersIn(contents, base, model, what, places);
  const training = json("training_config");
  const compiled = isObject(training) ? (training.optimizer_config ?? null) : null;
  const names = contents.has(OPTIMIZER) ? namesOf(contents, OPTIMIZER, "weight_names", what) : null;
  const listed = names === null ? null : names.map((name) => arrayAt(contents, `${OPTIMIZER}/${name}`, name, what));
  const state = listed && isOfLegacyOptimizer(compiled as Config | null, dialect) ? bySlotToByVariable(listed) : listed;
  return {
    format: "h5",
    dialect,
    queues: [queue],
    optimizer: optimizerFrom(compiled as JsonValue, state),
    write: (changed, format) => {
      if (format !== "h5")
        throw new CheckpointError(
          "A legacy .h5 model can be written as h5 only",
          format,
          "Read a file of that format, and write it `with` these variables.",
        );
      return writeHdf5(replaced(contents, places, changed, dialect, text("training_config")), "the file", options);
    },
  };
};

const layersIn = (contents: Hdf5, base: string, model: JsonValue, what: string, places: Map<string, string>): Layer[] => {
  const inside = (path: string) => (base === "" ? path : `${base}/${path}`);
  const facts = new Map([...layersOf(model).values()].map((layer) => [layer.name, layer]));
  const modelName = isObject(model) && isObject(model.config) ? `${model.config.name}/` : "";
  const groups = [...namesOf(contents, base, "layer_names", what), "top_level_model_weights"].filter((name) =>
    contents.has(inside(name)),
  );
  return groups.map((layer) => ({
    variables: namesOf(contents, inside(layer), "weight_names", what).map((weight): KerasVariable => {
      const plain = weight.replace(/:\d+$/, "");
      const name = plain.startsWith(modelName) ? plain.slice(modelName.length) : plain;
      const place = inside(`${layer}/${weight}`);
      const array = arrayAt(contents, place, name, what);
      if (places.has(name))
        throw new CheckpointError(
          `${what} has two weights of one name`,
          name,
          "Give the layers of the model names of their own, and write it again.",
        );
      places.set(name, place);
      return { ...array, trainable: isNeverTrained(array) ? false : (facts.get(layer)?.trainable ?? null) };
    }),
  }));
};

/** The texts of an attribute, which Keras splits into name0, name1, ... when it is long. */
const namesOf = (contents: Hdf5, path: string, name: string, what: string): string[] => {
  const attributes = contents.get(path)!.attributes;
  const whole = attributes.get(name);
  const parts: Hdf5Attribute[] = whole ? [whole] : [];
  for (let i = 0; !whole && attributes.has(`${name}${i}`); i++) parts.push(attributes.get(`${name}${i}`)!);
  if (parts.length === 0)
    throw new CheckpointError(
      `${what} does not list its ${name}`,
      `no such attribute of ${path || "the file"}`,
      "The file is damaged, or not written by Keras.",
    );
  return parts.flatMap(({ value }) => [...value].map(String));
};

const arrayAt = (contents: Hdf5, path: string, name: string, what: string): StoredArray => {
  const dataset = contents.get(path)?.dataset;
  if (!dataset || dataset.value === null || dataset.dtype === "string")
    throw new CheckpointError(
      `${what} must hold the numbers of ${path}`,
      dataset?.dtype ?? "nothing there",
      "The file is damaged.",
    );
  return { name, shape: dataset.shape, dtype: dataset.dtype, value: dataset.value as Numbers };
};

/** Whether an optimizer is of the class that tf.keras had until 2.10: it lists the first slot of every variable, and then the second. */
const isOfLegacyOptimizer = (config: Config | null, dialect: Dialect): boolean =>
  dialect === "tf_keras" &&
  classNameOf(config) === "Adamax" &&
  config !== null &&
  !("is_legacy_optimizer" in innerConfig(config));

/** iteration, m, m, v, v: to iteration, m, v, m, v. */
const bySlotToByVariable = <Item>(state: readonly Item[]): Item[] => {
  const half = Math.ceil((state.length + 1) / 2);
  return [...state.slice(0, 1), ...state.slice(1, half).flatMap((one, i) => [one, ...state.slice(half + i, half + i + 1)])];
};
const byVariableToBySlot = <Item>([iteration, ...slots]: readonly Item[]): Item[] =>
  iteration === undefined ? [] : [iteration, ...[0, 1].flatMap((slot) => slots.filter((_, i) => i % 2 === slot))];

const replaced = (
  contents: Hdf5,
  places: ReadonlyMap<string, string>,
  { variables, optimizer }: KerasModel,
  dialect: Dialect,
  training: string | null,
): Hdf5 => {
  const written = new Map<string, Hdf5Object>();
  for (const [path, object] of contents) if (path !== OPTIMIZER && !path.startsWith(`${OPTIMIZER}/`)) written.set(path, object);
  for (const { name, shape, dtype, value } of variables) {
    const place = places.get(name)!;
    written.set(place, {
      attributes: contents.get(place)!.attributes,
      dataset: { shape, dtype: /^b?float16$/.test(dtype) ? "float32" : dtype, value },
    });
  }
  if (!optimizer) return written;
  const isOld = isOfLegacyOptimizer(optimizer.config, dialect);
  const state = isOld ? byVariableToBySlot(optimizer.state) : optimizer.state;
  const label = isOld ? `${innerConfig(optimizer.config!).name}` : (optimizer.className ?? "Adamax");
  const names = state.map(({ name }) => (isOld ? oldName(name, label) : legacyName(name, label, dialect)));
  refuseTwice(names, "Keras writes a/b and a_b alike here: give the variables other names.");
  const chunks = names.length <= MOST_NAMES ? [["weight_names", names] as const] : chunked(names);
  written.set(OPTIMIZER, { attributes: new Map(chunks.map(([key, part]) => [key, { shape: [part.length], value: part }])) });
  state.forEach(({ shape, dtype, value }, i) => {
    const parts = names[i]!.split("/");
    for (let k = 1; k < parts.length; k++) {
      const group = `${OPTIMIZER}/${parts.slice(0, k).join("/")}`;
      if (!written.has(group)) written.set(group, { attributes: new Map() });
    }
    written.set(`${OPTIMIZER}/${names[i]}`, { attributes: new Map(), dataset: { shape, dtype, value } });
  });
  if (optimizer.config) {
    const { class_name, config } = optimizer.config; // the legacy form: no module
    const json = replaceInJson(
      training ?? '{"loss": null, "metrics": null, "weighted_metrics": null, "loss_weights": null}',
      ["optimizer_config"],
      pythonJson({ class_name, config } as JsonValue),
    );
    const root = written.get("")!;
    written.set("", { ...root, attributes: new Map([...root.attributes, ["training_config", { shape: [], value: [json] }]]) });
  }
  return written;
};

const chunked = (names: readonly string[]): (readonly [string, string[]])[] =>
  Array.from(
    { length: Math.ceil(names.length / MOST_NAMES) },
    (_, i) => [`weight_names${i}`, names.slice(i * MOST_NAMES, (i + 1) * MOST_NAMES)] as const,
  );

/** Keras reads the state by its order; the names are those that it would have written. */
const legacyName = (name: string, className: string, dialect: Dialect): string => {
  const [kind, ...rest] = name.split("/");
  if (dialect === "keras") {
    const array = kind === "accumulator" ? "gradient_accumulator" : kind;
    return `${className.toLowerCase()}/${rest.length > 0 ? `${rest.join("_")}_` : ""}${array}`;
  }
  const array = { momentum: "m", norm: "u" }[kind!] ?? kind;
  return rest.length > 0 ? `${className}/${array}/${rest.join("/")}:0` : `${kind}:0`;
};

/** As an optimizer of tf.keras 2.10 and before names it: "Adamax/first/kernel/m:0". */
const oldName = (name: string, label: string): string => {
  const [kind, ...rest] = name.split("/");
  const array = { iteration: "iter", momentum: "m", norm: "v" }[kind!] ?? kind;
  return `${[label, ...rest, array].join("/")}:0`;
};
