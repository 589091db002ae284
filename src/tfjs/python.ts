/** Models that Python trained. tensorflowjs_converter keeps their training configuration, but where TensorFlow.js does not look for it. */

import * as tf from "@tensorflow/tfjs-core";
import { CheckpointError, show } from "../errors.js";
import { check, either, type Kind, text } from "../kinds.js";

type Json = Readonly<Record<string, unknown>>;

/** Keras' short names of losses that TensorFlow.js knows by their long ones alone. */
const LONG_NAMES: Readonly<Record<string, string>> = {
  mse: "mean_squared_error",
  mae: "mean_absolute_error",
  mape: "mean_absolute_percentage_error",
  msle: "mean_squared_logarithmic_error",
};

/** For `tf.loadLayersModel`: a model that tensorflowjs_converter made, compiled as it was in Python, with its optimizer and its loss. Metrics are
 *  not carried over. Call `registerAdamax` first. `source` is what `tf.loadLayersModel` takes.
 *  @throws OptionError for another source; CheckpointError, when loading, for a model without training configuration, and for a loss that is more than a name. */
export const pythonModel = (source: string | tf.io.IOHandler): tf.io.IOHandler => {
  check("pythonModel", "source", source, either(text, loader));
  return {
    async load() {
      const artifacts = await handlerOf(source).load!();
      if (artifacts.trainingConfig) return artifacts; // saved by TensorFlow.js
      return { ...artifacts, trainingConfig: trainingOf(artifacts.modelTopology as Json) };
    },
  };
};

const loader: Kind<tf.io.IOHandler> = {
  wanted: "an object with a function load, such as tf.io.browserFiles gives",
  holds: (value) => typeof Object(value).load === "function",
};

/** As `tf.loadLayersModel` finds it. */
const handlerOf = (source: string | tf.io.IOHandler): tf.io.IOHandler => {
  if (typeof source !== "string") return source;
  const [handler] = tf.io.getLoadHandlers(source) as tf.io.IOHandler[];
  return handler ?? tf.io.browserHTTPRequest(source);
};

const trainingOf = (topology: Json): tf.io.TrainingConfig => {
  const fromH5 = topology.training_config as Json | undefined;
  const fromKeras = ((topology.model_config ?? topology) as Json).compile_config as Json | undefined;
  const config = fromH5 ?? fromKeras;
  const optimizer = fromH5?.optimizer_config ?? fromKeras?.optimizer;
  if (!config || !optimizer)
    throw new CheckpointError(
      "This model brings no training configuration",
      `a model of ${Object.keys(topology).join(", ")}`,
      "Compile it in Python before it is saved; or load it with tf.loadLayersModel alone, and compile it here.",
    );
  return {
    // Keras 3 writes the name alone where compile was given no more.
    optimizer_config: typeof optimizer === "string" ? { class_name: capitalized(optimizer), config: {} } : optimizer,
    loss: lossOf(config.loss),
    loss_weights: config.loss_weights ?? null,
  } as unknown as tf.io.TrainingConfig;
};

/** A name, or names by output. */
const lossOf = (loss: unknown): unknown => {
  if (typeof loss === "string") return LONG_NAMES[loss] ?? loss;
  if (Array.isArray(loss)) return loss.map(lossOf);
  if (typeof loss === "object" && loss !== null && !("class_name" in loss))
    return Object.fromEntries(Object.entries(loss).map(([output, name]) => [output, lossOf(name)]));
  throw new CheckpointError(
    "TensorFlow.js reads a loss only where it is a name",
    show((loss as { class_name?: unknown } | null)?.class_name ?? loss),
    "Load the model with tf.loadLayersModel alone, and compile it: with the loss of your choice, and with the optimizer that " +
      "Adamax.fromConfig makes from the configuration in model.json.",
  );
};

const capitalized = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1).toLowerCase();
