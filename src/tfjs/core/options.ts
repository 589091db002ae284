/** Options as TensorFlow.js users write them: with tensors for numbers, and tf.Variables for variables. */

import * as tf from "@tensorflow/tfjs-core";
import { OptionError, show } from "../../errors.js";
import { isObject, isPlain } from "../../kinds.js";
import type { Group } from "../../optimizer/options.js";
import { LearningRateSchedule } from "../../schedules/schedule.js";
import type { Variable } from "../../variable.js";
import type { TensorConstraint } from "./variable.js";

/** A weight of a layer, as in `model.trainableWeights`. */
export interface LayerWeight {
  read(): tf.Tensor;
  readonly constraint?: TensorConstraint | null;
  /** Its name before TensorFlow.js made it unique in the process. */
  readonly originalName?: string;
}

/** What can be trained. */
export type TrainableTensor = tf.Variable | LayerWeight;

/** Variables that get settings of their own. A variable takes the first group that names it. */
export interface TensorGroup extends Omit<Group, "variables"> {
  variables?: readonly TrainableTensor[];
}

/** The core's options. Where a number may stand, a tensor with one element may too: it is read once; a tf.Variable as learningRate
 *  is read in each step. */
export type TensorOptions<Options> = {
  [Name in keyof Options]: Name extends "groups"
    ? readonly TensorGroup[]
    : number extends Options[Name]
      ? Options[Name] | tf.Tensor
      : Options[Name];
};

const isTensor = (value: unknown): value is tf.Tensor => value instanceof tf.Tensor;

/** @throws OptionError for what is neither a tf.Variable nor the weight of a layer. */
export const tensorOf = (given: TrainableTensor): tf.Variable => {
  const tensor = isObject(given) && "read" in given ? given.read() : given;
  if (tensor instanceof tf.Variable) return tensor;
  throw new OptionError(
    "What is trained is a tf.Variable, or the weight of a layer",
    show(given),
    "Pass tf.Variables, or model.trainableWeights.",
  );
};

/** What a tensor given as this option holds.
 *  @throws OptionError for one that was disposed of. */
const numbersIn = (name: string, tensor: tf.Tensor): tf.TypedArray => {
  if (!tensor.isDisposed && tf.engine().state.tensorInfo.has(tensor.dataId)) return tensor.dataSync();
  throw new OptionError(
    `The tensor given as ${name} was disposed of`,
    "a tensor without data",
    "Keep it (tf.keep), or pass a number.",
  );
};

/** The option's value as the core takes it: a typed array with one element for a tensor. */
const plainNumber = (name: string, value: unknown): unknown => (isTensor(value) ? numbersIn(name, value) : value);

/** @throws OptionError for a tf.Variable that cannot be steered. */
export const plainLearningRate = (value: unknown): unknown => {
  if (!(value instanceof tf.Variable)) return plainNumber("learningRate", value);
  const { dtype, shape, size } = value;
  if (dtype !== "float32" || size !== 1)
    throw new OptionError("A tf.Variable given as learningRate is one float32", `${dtype}[${shape}]`, "Give a tf.scalar.");
  return () => numbersIn("learningRate", value)[0]!;
};

export const plainOptions = (
  options: Readonly<Record<string, unknown>>,
  variableOf: (tensor: TrainableTensor) => Variable,
): Record<string, unknown> => {
  const plain = Object.fromEntries(Object.entries(options).map(([name, value]) => [name, plainNumber(name, value)]));
  if (options.learningRate !== undefined) plain.learningRate = plainLearningRate(options.learningRate);
  if (Array.isArray(options.groups))
    plain.groups = (options.groups as TensorGroup[]).map((group) =>
      Array.isArray(group?.variables) ? { ...group, variables: group.variables.map(variableOf) } : group,
    );
  return plain;
};

/** What tf.train.adamax takes, in its order. */
const POSITIONS = ["learningRate", "beta1", "beta2", "epsilon", "decay"];

/** @throws OptionError for arguments in the order of tf.train.adamax, with the line that they become. */
export const assertOneObject = (owner: string, given: readonly unknown[]): void => {
  const [options, ...others] = given;
  const isRate = isTensor(options) || ["number", "function"].includes(typeof options) || options instanceof LearningRateSchedule;
  const isOptions = options === undefined || (isPlain(options) && !isRate);
  if (isOptions && others.length === 0) return;
  const line = given.map((value, i) => `${POSITIONS[i] ?? "?"}: ${typeof value === "number" ? value : "..."}`).join(", ");
  throw new OptionError(
    `${owner} takes one object of options`,
    given.map(show).join(", "),
    isRate
      ? `Write new ${owner}({ ${line} }).`
      : isOptions
        ? "Write them all into the first."
        : `Write new ${owner}({ learningRate: 0.001 }).`,
  );
};
