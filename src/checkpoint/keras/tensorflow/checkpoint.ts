/** TensorFlow's checkpoints and SavedModels: what tf.keras' save_weights and model.save wrote for years. */

import { CheckpointError, show } from "../../../errors.js";
import type { Config } from "../../../optimizer/configuration.js";
import { parseJson } from "../../format/json.js";
import type { StoredArray } from "../arrays.js";
import type { OpenedFile } from "../files.js";
import { isNeverTrained, isObject, type KerasVariable } from "../layers.js";
import { assertFew, type KerasContents } from "../model.js";
import { classNameOf, type KerasOptimizer } from "../optimizer.js";
import { Bundle } from "./bundle.js";
import { type GraphOptimizer, type GraphWeight, ObjectGraph } from "./graph.js";
import { readGraph, readMetadata } from "./messages.js";
import { type Named, type OptimizerState, stateOf } from "./optimizer.js";

const GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH";
const METADATA = "keras_metadata.pb";

export interface TensorflowOptions {
  /** Of a TensorFlow checkpoint with several optimizers: which one to read, by the name that it has there ("generator_optimizer"). */
  optimizer?: string;
}

/** `file` is the index; it gives the others too.
 *  @throws CheckpointError for what is damaged, or is not read; it names it. */
export const readTensorflow = async (file: OpenedFile, options: TensorflowOptions): Promise<KerasContents> => {
  const bundle = await Bundle.open(file);
  if (!bundle.has(GRAPH))
    throw new CheckpointError(
      `${file.what} says nothing of the objects whose arrays it holds`,
      "a checkpoint of TensorFlow 1, or of something else than Keras",
      "Load it with TensorFlow, and save it with model.save_weights or tf.train.Checkpoint.",
    );
  const graph = new ObjectGraph(readGraph(bundle.open(await bundle.text(GRAPH))));
  const isSavedModel = /(^|[/\\])variables[/\\]variables\.index$/.test(file.name);
  const weights = withNames(graph.weightsUnder(0), file.what);
  const trainable = graph.list(0, "trainable_variables").map(({ node }) => node);
  const trained = trainable.length > 0 ? new Set(trainable) : null;

  const layers = new Map<number, KerasVariable[]>();
  for (const { name, variable } of weights) {
    const array = await bundle.array(variable.key, name);
    const one = { ...array, trainable: isNeverTrained(array) ? false : (trained?.has(variable.node) ?? null) };
    const layer = layers.get(variable.holder);
    if (layer) layer.push(one);
    else layers.set(variable.holder, [one]);
  }
  const optimizer = chosen(graph, options, file.what);
  const state = optimizer && stateIn(graph, optimizer, weights, trained);
  const metadata = isSavedModel ? await file.findFile(`../${METADATA}`) : null;
  return {
    format: isSavedModel ? "saved-model" : "tensorflow",
    dialect: "tf_keras",
    queues: [[...layers.values()].map((variables) => ({ variables }))],
    optimizer: await optimizerOf(bundle, state, metadata && compiledIn(metadata, bundle)),
    write: async (_, format) => {
      throw new CheckpointError(
        "TensorFlow's checkpoints are read, not written",
        format,
        "Save a checkpoint of this library, or read a file of Keras for the same model, and write it `with` these variables.",
      );
    },
  };
};

/** A path that is longer is no name. */
const LONGEST_PATH = 1000;

/** By the names that they were made with; where two have the same one, or it is TensorFlow's for every variable, by the way to them. */
const withNames = (weights: readonly GraphWeight[], what: string): Named<GraphWeight>[] => {
  assertFew(weights.length);
  const counts = new Map<string, number>();
  const count = (name: string) => counts.set(name, (counts.get(name) ?? 0) + 1);
  for (const { name } of weights) count(name);
  const named = weights.map((variable) => {
    const { name, path } = variable;
    const isName = !["", "Variable"].includes(name) && counts.get(name) === 1;
    return { name: isName || path.length > LONGEST_PATH ? name : path, variable };
  });
  counts.clear();
  for (const { name } of named) count(name);
  const twice = named.find(({ name }) => counts.get(name) !== 1);
  if (!twice) return named;
  throw new CheckpointError(
    `${what} has two weights of one name`,
    show(twice.name),
    "Give them names of their own, and save it again.",
  );
};

/** @throws CheckpointError where there are several, and none or an unknown one was asked for. */
const chosen = (graph: ObjectGraph, { optimizer: wanted }: TensorflowOptions, what: string): GraphOptimizer | null => {
  const all = graph.optimizers();
  const found = all.filter(({ path }) => wanted === undefined || path === wanted);
  if (found.length === 1 || (all.length === 0 && wanted === undefined)) return found[0] ?? null;
  const names = all.map(({ path }) => path);
  const listed = names.slice(0, 8).join(", ");
  throw wanted === undefined
    ? new CheckpointError(
        `${what} holds several optimizers`,
        listed,
        `Say which one: readKeras(path, { optimizer: ${JSON.stringify(names[0])} }), or the command's --optimizer ${names[0]}.`,
      )
    : new CheckpointError(`${what} holds no optimizer of this name`, show(wanted), `It holds ${listed || "none"}.`);
};

/** Of the model that was compiled with it, where there is one; two models may have weights of the same names. */
const stateIn = (
  graph: ObjectGraph,
  optimizer: GraphOptimizer,
  weights: readonly Named[],
  trained: ReadonlySet<number> | null,
): OptimizerState => {
  const model = graph.modelOf(optimizer);
  if (model === null) return stateOf(graph, optimizer, weights, trained);
  const own = new Set(graph.weightsUnder(model).map(({ node }) => node));
  return stateOf(
    graph,
    optimizer,
    weights.filter(({ variable }) => own.has(variable.node)),
    trained,
  );
};

/** What `keras_metadata.pb` says of the optimizer, in Keras' spelling. */
const compiledIn = (metadata: Uint8Array, { open, what }: Bundle): Config | null => {
  const text = readMetadata(open(metadata)).get("root");
  const root = text ? parseJson(text, `${METADATA} of ${what}`) : null;
  const training = isObject(root) ? root.training_config : null;
  return isObject(training) && isObject(training.optimizer_config) ? (training.optimizer_config as Config) : null;
};

/** The state, and the configuration: that of the metadata, or the numbers that a legacy optimizer keeps as variables. */
const optimizerOf = async (
  bundle: Bundle,
  kept: OptimizerState | null,
  compiled: Config | null,
): Promise<KerasOptimizer | null> => {
  if (!kept) return compiled && { className: classNameOf(compiled), config: compiled, state: [] };
  const arrays = async (list: readonly Named[]): Promise<StoredArray[]> => {
    const read: StoredArray[] = [];
    for (const { name, variable } of list) read.push(await bundle.array(variable.key, name));
    return read;
  };
  const state = await arrays(kept.state);
  const className = classNameOf(compiled) ?? kept.className;
  if (compiled || kept.hyperparameters.length === 0) return { className, config: compiled, state };

  const numbers = [...(await arrays(kept.hyperparameters)), ...state.filter(({ name }) => name === "learning_rate")];
  const config = Object.fromEntries(numbers.map(({ name, value }) => [name, Number(value[0])]));
  return { className, config: className ? { class_name: className, config } : config, state };
};
