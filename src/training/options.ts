/** What `fit` is given. Checked once, at the door. */

import { nearest, OptionError, show } from "../errors.js";
import type { Gradient } from "../backends/backend.js";
import type { ProgressKind } from "./progress.js";
import type { Callback, TrainableOptimizer } from "./training.js";

/** One pass over it is one epoch. A function is asked for each epoch's batches, counted from 1, for example to shuffle them. */
export type Batches<Batch> = Source<Batch> | ((epoch: number) => Source<Batch> | Promise<Source<Batch>>);
type Source<Batch> = Iterable<Batch> | AsyncIterable<Batch>;

/** What the loss of a batch gives back: its value, and what to change by it. */
export interface LossAndGradients<V> {
  loss: number;
  gradients: Iterable<readonly [gradient: Gradient, variable: V]>;
}

export interface Validation<Batch> {
  data: Batches<Batch>;
  loss: (batch: Batch) => number | Promise<number>;
}

export interface FitOptions<Batch, V, ValidationBatch = Batch> {
  optimizer: TrainableOptimizer<V>;
  data: Batches<Batch>;
  /** Called once for each batch. Read the variables' values anew in each call: `build`, in the first step, may move them. */
  loss: (batch: Batch) => LossAndGradients<V> | Promise<LossAndGradients<V>>;
  /** An integer, 1 or more. Default 1. */
  epochs?: number;
  /** Measured after each epoch, on the averages when the optimizer keeps them. The mean of its loss is `valLoss`. */
  validation?: Validation<ValidationBatch>;
  callbacks?: readonly Callback<V>[];
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
const isBatches = (value: unknown) => isFunction(value) || (isObject(value) && (Symbol.iterator in value || Symbol.asyncIterator in value));
const kinds = ["auto", "bar", "lines", "none"];

const OPTIONS: Readonly<Record<keyof FitOptions<unknown, unknown>, readonly [wanted: string, holds: (value: unknown) => boolean]>> = {
  optimizer: ["an optimizer", (value) => isObject(value) && isFunction(value.applyGradients)],
  data: ["an iterable or async iterable of batches, or a function that returns one", isBatches],
  loss: ["a function from a batch to { loss, gradients }", isFunction],
  epochs: ["an integer of 1 or more", (value) => Number.isInteger(value) && (value as number) >= 1],
  validation: [
    "{ data, loss }: batches, and a function from a batch to a number",
    (value) => value === undefined || (isObject(value) && isBatches(value.data) && isFunction(value.loss)),
  ],
  callbacks: ["an array of callbacks", (value) => Array.isArray(value) && value.every(isObject)],
  signal: ["an AbortSignal, such as the signal of an AbortController", (value) => value === undefined || value instanceof AbortSignal],
  progress: [kinds.map(show).join(" or "), (value) => kinds.includes(value as string)],
};

/** @throws OptionError for an unknown option, for a value that cannot be used, and for batches that can be read once, where more
 *  epochs are asked for. */
export const checkFitOptions = <Batch, V, ValidationBatch>(
  options: FitOptions<Batch, V, ValidationBatch>,
): FitSettings<Batch, V, ValidationBatch> => {
  const known = Object.keys(OPTIONS);
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    const near = nearest(name, known);
    throw new OptionError(`Unknown option of fit. Received: ${name}. ${near ? `Did you mean ${near}?` : `Known: ${known.join(", ")}.`}`);
  }

  const { epochs = 1, callbacks = [], progress = "auto" } = options;
  const settings = { ...options, epochs, callbacks, progress };
  for (const [name, [wanted, holds]] of Object.entries(OPTIONS)) {
    const value = settings[name as keyof typeof settings];
    if (!holds(value)) throw new OptionError(`${name} of fit must be ${wanted}. Received: ${show(value)}. Give such a value.`);
  }

  for (const [name, batches] of Object.entries({ data: settings.data, "validation.data": settings.validation?.data }))
    if (epochs > 1 && isObject(batches) && isFunction(batches.next))
      throw new OptionError(
        `${name} of fit must give its batches in each of the ${epochs} epochs. Received: an iterator, which gives them once. ` +
          "Pass an array, or a function that makes a new iterator for each epoch.",
      );
  return settings;
};

/** @throws OptionError when a loss function did not return a number. */
export const checkLoss = (value: unknown, what: string): number => {
  if (typeof value === "number") return value;
  throw new OptionError(`${what} must be a number. Received: ${show(value)}. Read the number out of the array or tensor it is in.`);
};
