/** Gradients as TensorFlow.js gives them: tensors, by the names of their variables. */

import * as tf from "@tensorflow/tfjs-core";
import type { Described, Gradient } from "../../backend.js";
import { OptionError, ShapeError, show } from "../../errors.js";
import { elementsOf } from "./elements.js";
import type { TensorVariable } from "./variable.js";

/** A gradient and the name of its variable. Without a gradient the variable stays as it is. */
export interface NamedGradient {
  readonly name: string;
  readonly tensor: tf.Tensor | null | undefined;
}

/** As in TensorFlow.js, by name or in a list. */
export type NamedGradients = { readonly [name: string]: tf.Tensor | null | undefined } | readonly NamedGradient[];

/** As a list.
 *  @throws OptionError for what is neither. */
export const namedGradients = (gradients: NamedGradients): readonly NamedGradient[] => {
  const named: unknown = Array.isArray(gradients)
    ? gradients
    : Object.entries(gradients ?? {}).map(([name, tensor]) => ({ name, tensor }));
  const isPlain = Array.isArray(gradients) || Object.prototype.toString.call(gradients) === "[object Object]"; // no Map, no promise
  if (isPlain && (named as unknown[]).every(isNamed)) return named as readonly NamedGradient[];
  throw new OptionError(
    "applyGradients takes tensors by the names of their variables",
    Array.isArray(gradients) ? show(gradients.find((one) => !isNamed(one))) : show(gradients),
    "Pass { [variable.name]: tensor }, or a list of { name, tensor }; what tf.variableGrads gives is in its grads.",
  );
};

const isNamed = (one: unknown): one is NamedGradient => {
  const { name, tensor } = (one ?? {}) as Partial<NamedGradient>;
  return typeof name === "string" && ((tensor ?? null) === null || tensor?.dataId !== undefined); // instanceof tf.Tensor is slow
};

/** @throws ShapeError where there is none. */
export const registered = (name: string): tf.Variable => {
  const { registeredVariables } = tf.engine();
  if (Object.hasOwn(registeredVariables, name)) return registeredVariables[name]!;
  throw new ShapeError(
    `TensorFlow.js knows no variable of this name. Received: ${show(name)}. Pass gradients under the names of tf.Variables that are not disposed.`,
  );
};

/** @throws ShapeError unless the gradient is there, has the variable's shape, and consists of numbers. */
export const assertFits = (variable: Described, tensor: tf.Tensor): void => {
  if (tensor.isDisposed)
    throw new ShapeError(
      `The gradient of variable ${show(variable.name)} was disposed of. Received: a tensor without data. Keep it until the step is made (tf.keep).`,
    );
  if (tensor.dtype === "complex64" || tensor.dtype === "string")
    throw new ShapeError(
      `The gradient of variable ${show(variable.name)} must consist of real numbers. Received: a tensor of dtype ${tensor.dtype}. Pass a tensor of real numbers, or null.`,
    );
  if (!tf.util.arraysEqual(tensor.shape, [...variable.shape]))
    throw new ShapeError(
      `The gradient of variable ${show(variable.name)} must have its shape, [${variable.shape}]. Received: a tensor of shape [${tensor.shape}]. Reshape it, or sum what was broadcast.`,
    );
};

/** The elements of a gradient in memory. A cast from int32 leaves them what they are on TensorFlow.js' cpu backend. */
export const gradientFor = (variable: TensorVariable, tensor: tf.Tensor | null | undefined): Gradient => {
  if (!tensor) return null;
  assertFits(variable, tensor);
  const elements = elementsOf(tensor);
  return tensor.dtype === "float32" && !(elements instanceof Float32Array) ? Float32Array.from(elements) : (elements as Gradient);
};
