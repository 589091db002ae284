/** What `fit` is given. Checked once, at the door. */

import type { Gradient } from "../backends/backend.js";
import { OptionError, show } from "../errors.js";
import { checkKinds, integerFrom, type Kind, oneOf, optional } from "../kinds.js";
import type { ProgressKind } from "./progress.js";
import type { Callback, TrainableOptimizer } from "./training.js";

/** One pass over it is one epoch. A function is asked for each epoch's batches, counted from 1, for example to shuffle them. */
export type Batches<Batch> = Source<Batch> | ((epoch: number) => Source<Batch> | Promise<Source<Batch>>);
type Source<Batch> = Iterable<Batch> | AsyncIterable<Batch>;

/** What the loss of a batch gives back: its value, and what to change by it. */
export interface BatchLoss<V> {
  loss: number;
  gradients: Iterable<readonly [gradient: Gradient, variable: V]>;
}

/** Batches that are measured and not trained on, and their loss. */
export interface Validation<Batch> {
  data: Batches<Batch>;
  loss: (batch: Batch) => number | Promise<number>;
}

/** What `fit` takes. */
export interface FitOptions<Batch, V, ValidationBatch = Batch> {
  optimizer: TrainableOptimizer<V>;
  data: Batches<Batch>;
  /** Called once for each batch. Read the variables' values anew in each call: `build`, in the first step, may move them. */
  loss: (batch: Batch) => BatchLoss<V> | Promise<BatchLoss<V>>;
  /** An integer, 1 or more. Default 1. */
  epochs?: number;
  /** Measured after each epoch, on the averages when the optimizer keeps them. The mean of its loss is `valLoss`. */
  validation?: Validation<ValidationBatch>;
  callbacks?: readonly Callback<NoInfer<V>>[];
  /** Ends the training before its next batch, as a callback's stop() does: `fit` returns normally. */
  signal?: AbortSignal;
  /** "bar" rewrites one line of a terminal, "lines" writes one line for each epoch, "none" writes nothing. Default "auto": the
   *  bar in a terminal, lines elsewhere. */
  progress?: "auto" | ProgressKind;
}

/** Every option with its value. */
export type FitSettings<Batch, V, ValidationBatch> = FitOptions<Batch, V, ValidationBatch> &
  Required<Pick<FitOptions<Batch, V>, "epochs" | "callbacks" | "progress">>;

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
  validation: optional({ wanted: "{ data, loss }, batches and a function from one to a number", holds: isValidation }, undefined),
  callbacks: optional({ wanted: "an array of callbacks", holds: (value) => Array.isArray(value) && value.every(isObject) }, []),
  signal: optional(
    { wanted: "an AbortSignal (an AbortController has one)", holds: (value) => value instanceof AbortSignal },
    undefined,
  ),
  progress: optional(oneOf("auto", "bar", "lines", "none"), "auto"),
};

/** @throws OptionError for an option that is unknown, missing or not of its kind, and for batches that can be read only once where
 *  more epochs are asked for. */
export const checkFitOptions = <Batch, V, ValidationBatch>(
  options: FitOptions<Batch, V, ValidationBatch>,
): FitSettings<Batch, V, ValidationBatch> => {
  const settings = checkKinds<object>("fit", options, kinds) as FitSettings<Batch, V, ValidationBatch>;
  const { epochs, data, validation } = settings;
  for (const [name, batches] of Object.entries({ data, "validation.data": validation?.data }))
    if (epochs > 1 && isObject(batches) && isFunction(batches.next))
      throw new OptionError(
        `${name} of fit must give its batches in each of the ${epochs} epochs. Received: an iterator, which gives them once. ` +
          "Pass an array, or a function that makes a new iterator for each epoch.",
      );
  return settings;
};

/** @throws OptionError unless this is what the loss of the validation should return. */
export const checkValidationLoss = (loss: number): number => {
  if (typeof loss === "number") return loss;
  throw new OptionError(
    `The loss of fit's validation must return a number. Received: ${show(loss)}. Read it out of its array or tensor.`,
  );
};
