/** What `fit` is given. Checked once, at the door. */

import type { Gradient, Values } from "../backend.js";
import { OptionError, show } from "../errors.js";
import { arrayOf, checkKinds, integerFrom, type Kind, oneOf, optional } from "../kinds.js";
import type { Optimizer } from "../optimizer/optimizer.js";
import { isManager, type ManagerOf, type SavingOptions, savingKinds } from "../resuming/manager.js";
import { isValues } from "../rule/program.js";
import { Variable } from "../variable.js";
import { checkCallback } from "./callback-methods.js";
import type { ProgressKind } from "./progress.js";
import { validationName } from "./sums.js";
import type { Callback, TrainableOptimizer } from "./training.js";

/** One pass over it is one epoch. A function is asked for each epoch's batches, counted from 1, for example to shuffle them. */
export type Batches<Batch> = Source<Batch> | ((epoch: number) => Source<Batch> | Promise<Source<Batch>>);
export type Source<Batch> = Iterable<Batch> | AsyncIterable<Batch>;

/** What the loss of a batch gives back: its value, what to change by it, and whatever the metrics look at. */
export interface BatchLoss<V> {
  loss: number;
  gradients: Iterable<readonly [gradient: Gradient, variable: V]>;
  /** The number of examples in the batch, where ranks have parts that are not equal. Default 1. */
  weight?: number;
}

/** Batches that are measured and not trained on, and their loss. */
export interface Validation<Batch> {
  data: Batches<Batch>;
  /** The value alone, or an object with it: then the metrics are measured on the validation, too. */
  loss: (batch: Batch) => MeasuredLoss | Promise<MeasuredLoss>;
}
type MeasuredLoss = number | { readonly loss: number; readonly weight?: number };

/** What else to measure of a batch, from what its loss gave back. An epoch has the mean over its batches. */
export type Metric<Batch, Result> = (batch: Batch, result: Result) => number | Promise<number>;

/** Keeps checkpoints: the CheckpointManager of adamax/checkpoint does. */
export type Manager = ManagerOf<Optimizer<never>>;

/** Checkpoints of a training, and how it goes on from them. */
export interface Checkpoints extends SavingOptions {
  /** A CheckpointManager of adamax/checkpoint. */
  manager: Manager;
  /** Every variable that is trained, and what else to save with them: statistics of normalisation, frozen layers. Default: those that the
   *  optimizer was built for. */
  variables?: Iterable<Variable | Values>;
}

/** What `fit` takes. `Result` is what `loss` returns beside the loss and its gradients. */
export interface FitOptions<Batch, V, ValidationBatch = Batch, Result = unknown> {
  optimizer: TrainableOptimizer<V>;
  data: Batches<Batch>;
  /** Called once for each batch. Read the variables' values anew in each call: `build`, in the first step, may move them. */
  loss: (batch: Batch) => (BatchLoss<V> & Result) | Promise<BatchLoss<V> & Result>;
  /** How many epochs there shall be in the end, also those before `initialEpoch` or a restart. An integer, 1 or more. Default 1. */
  epochs?: number;
  /** Epochs that were trained already: the first one here has the number after it. An integer, 0 or more. Default 0. A checkpoint that is
   *  loaded says it better. */
  initialEpoch?: number;
  /** By name; measured before each step, as the loss is. */
  metrics?: Readonly<Record<string, Metric<NoInfer<Batch | ValidationBatch>, NoInfer<Result>>>>;
  /** Measured after each epoch, on the averages when the optimizer keeps them. The mean of its loss is `valLoss`. */
  validation?: Validation<ValidationBatch>;
  /** Measures so many batches of the validation's data at most. An integer, 1 or more; default: all of them. */
  validationSteps?: number;
  callbacks?: readonly Callback<NoInfer<V>>[];
  /** Saves while training, and goes on from the newest checkpoint when the program is run again. A manager alone saves after each epoch
   *  what the optimizer was built for. */
  checkpoints?: Manager | Checkpoints;
  /** Ends the training as a callback's stop() does, before its next batch or in the middle of waiting for one, and `fit` returns
   *  normally. With checkpoints, running it again goes on from there. */
  signal?: AbortSignal;
  /** "bar" rewrites one line of a terminal, "lines" writes one line for each epoch, "none" writes nothing. Default "auto": the
   *  bar in a terminal, lines elsewhere. */
  progress?: "auto" | ProgressKind;
}

/** Every option with its value. */
export type FitSettings<Batch, V, ValidationBatch, Result> = Omit<FitOptions<Batch, V, ValidationBatch, Result>, "checkpoints"> &
  Required<
    Pick<FitOptions<Batch, V, ValidationBatch, Result>, "epochs" | "initialEpoch" | "metrics" | "callbacks" | "progress">
  > & {
    readonly checkpoints: CheckpointSettings | null;
  };

export interface CheckpointSettings extends Required<SavingOptions> {
  readonly manager: Manager;
  readonly variables: readonly (Variable | Values)[] | null;
}

const isFunction = (value: unknown) => typeof value === "function";
const isObject = (value: unknown): value is Record<PropertyKey, unknown> => typeof value === "object" && value !== null;
const isBatches = (value: unknown) =>
  isFunction(value) || (isObject(value) && (Symbol.iterator in value || Symbol.asyncIterator in value));

const isValidation = (value: unknown) => isObject(value) && isBatches(value.data) && isFunction(value.loss);

const kinds: Record<keyof FitOptions<never, never>, Kind<unknown>> = {
  optimizer: { wanted: "an optimizer", holds: (value) => isObject(value) && isFunction(value.applyGradients) },
  data: { wanted: "an iterable or async iterable of batches, or a function that returns one", holds: isBatches },
  loss: { wanted: "a function from a batch to { loss, gradients }", holds: isFunction },
  epochs: optional(integerFrom(1), 1),
  initialEpoch: optional(integerFrom(0), 0),
  metrics: optional(
    {
      wanted: "an object of functions from a batch and what its loss returned to a number",
      holds: (value) => isObject(value) && Object.values(value).every(isFunction),
    },
    {},
  ),
  validation: optional({ wanted: "{ data, loss }, batches and a function from one to a number", holds: isValidation }, undefined),
  validationSteps: optional(integerFrom(1), Infinity),
  callbacks: optional({ wanted: "an array of callbacks", holds: (value) => Array.isArray(value) && value.every(isObject) }, []),
  checkpoints: optional(
    { wanted: "a CheckpointManager, or { manager } and how often to save", holds: isObject } as Kind<unknown>,
    null,
  ),
  signal: optional(
    { wanted: "an AbortSignal (an AbortController has one)", holds: (value) => value instanceof AbortSignal },
    undefined,
  ),
  progress: optional(oneOf("auto", "bar", "lines", "none"), "auto"),
};

/** Names of an epoch's or a batch's own numbers. */
const TAKEN: readonly string[] = ["epoch", "batch", "batches", "loss", "meanLoss", "learningRate", "seconds"];

const checkMetrics = (metrics: object): void => {
  const names = Object.keys(metrics);
  for (const [i, name] of names.entries()) {
    if (name === "") throw new OptionError("A metric of fit has a name", 'metrics: { "" }', "Give it one.");
    const alike = names.slice(0, i).find((other) => validationName(other) === validationName(name));
    if (alike)
      throw new OptionError(
        `Two metrics of fit would both be ${validationName(name)} in a validation`,
        `metrics: { ${alike}, ${name} }`,
        "Give one another name.",
      );
    if (TAKEN.includes(name) || /^val[^a-z]/.test(name))
      throw new OptionError(
        "A metric of fit cannot have the name of another number of an epoch",
        `metrics: { ${name} }`,
        "Give it another name, which does not begin with val: where the validation measures it, that is put before it.",
      );
  }
};

const variables: Kind<readonly (Variable | Values)[]> = arrayOf({
  wanted: "a Variable, a Float32Array or a Float64Array",
  holds: (value) => value instanceof Variable || isValues(value),
});

const checkCheckpoints = (given: Manager | Checkpoints): CheckpointSettings => {
  const asked = isManager(given) ? { manager: given } : given;
  const { variables: iterable } = asked;
  const listed = isObject(iterable) && Symbol.iterator in iterable && !isValues(iterable) ? { variables: [...iterable] } : {};
  return checkKinds<CheckpointSettings>("checkpoints of fit", { ...asked, ...listed } as CheckpointSettings, {
    manager: { wanted: "a CheckpointManager of adamax/checkpoint", holds: isManager },
    variables: optional(variables, null),
    ...savingKinds,
  });
};

/** @throws OptionError for an option that is unknown, missing or not of its kind, and for batches that can be read only once where
 *  more epochs are asked for. */
export const checkFitOptions = <Batch, V, ValidationBatch, Result>(
  options: FitOptions<Batch, V, ValidationBatch, Result>,
): FitSettings<Batch, V, ValidationBatch, Result> => {
  type Checked = FitSettings<Batch, V, ValidationBatch, Result> & Pick<FitOptions<Batch, V>, "checkpoints">;
  const settings = checkKinds<object>("fit", options, kinds) as Checked;
  const { epochs, initialEpoch, data, validation, checkpoints } = settings;
  for (const [name, batches] of Object.entries({ data, "validation.data": validation?.data }))
    if (epochs - initialEpoch > 1 && isObject(batches) && isFunction(batches.next))
      throw new OptionError(
        `${name} of fit must give its batches in each of the ${epochs - initialEpoch} epochs. Received: an iterator, which gives them once. ` +
          "Pass an array, or a function that makes a new iterator for each epoch.",
      );
  if (options.validationSteps && !validation)
    throw new OptionError(
      "validationSteps of fit counts batches of the validation",
      "no validation",
      "Pass validation: { data, loss } as well, or leave it out.",
    );
  checkMetrics(settings.metrics);
  settings.callbacks.forEach(checkCallback);
  return { ...settings, checkpoints: checkpoints ? checkCheckpoints(checkpoints) : null };
};

/** @throws OptionError unless this is what the loss of the validation should return. */
export const checkValidationLoss = (result: MeasuredLoss): MeasuredLoss => {
  if (typeof (isObject(result) ? result.loss : result) === "number") return result;
  throw new OptionError(
    `The loss of fit's validation must return a number. Received: ${show(result)}. Read it out of its array or tensor.`,
  );
};

/** @throws OptionError unless this is what a metric should return. */
export const checkMetric = (name: string, value: number): number => {
  if (typeof value === "number") return value;
  throw new OptionError(`The metric ${name} of fit must return a number`, show(value), "Read it out of its array or tensor.");
};
