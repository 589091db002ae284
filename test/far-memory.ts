/** What holds of every backend whose memory this thread does not see: for test/far and test/webgpu. */

import { Adamax, type AdamaxOptions, type Backend, BackendError, Variable } from "adamax";
import { checkpointBlob, loadCheckpoint } from "adamax/checkpoint";
import { expect, onTestFinished } from "vitest";
import { makeVariables, type Shapes, train } from "./checkpoint/steps.js";
import { f32, read, thrown, variable, variablesOf, warnings } from "./semantics/helpers.js";

const OPTIONS: AdamaxOptions = { useEma: true, gradientAccumulationSteps: 2, globalClipnorm: 1, emaOverwriteFrequency: 2 };

/** A training after so many steps; 3 end in the middle of a window. */
export const trained = (backend: Backend, steps: number, shapes: Shapes) => {
  warnings(); // of gradients that are missing now and then
  const optimizer = new Adamax({ ...OPTIONS, backend });
  onTestFinished(() => optimizer.dispose());
  const variables = makeVariables(shapes);
  optimizer.build(variables);
  train(optimizer, variables, 0, steps);
  return { optimizer, variables };
};

/** The bytes of the state and of the values. */
export const everything = async (optimizer: Adamax, variables: readonly Variable[]): Promise<Buffer> => {
  const arrays = [
    ...(await variablesOf(optimizer)).map(({ value }) => value),
    ...(await Promise.all(variables.map((one) => one.read()))),
  ];
  return Buffer.concat(arrays.map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength)));
};

/** Saves a training in the middle of a window, loads it on another backend into an optimizer and as a new one, and has all three end alike. */
export const expectToGoOn = async (from: Backend, to: Backend, shapes: Shapes, end: number): Promise<void> => {
  const { optimizer, variables } = trained(from, 3, shapes);
  const blob = await checkpointBlob({ optimizer });
  const [into, made] = [trained(to, 1, shapes), await loadCheckpoint(blob, { optimizer: Adamax, options: { backend: to } })];
  onTestFinished(() => made.optimizer.dispose());
  await loadCheckpoint(blob, { optimizer: into.optimizer });
  train(optimizer, variables, 3, end);
  const expected = await everything(optimizer, variables);
  for (const [other, of] of [
    [into.optimizer, into.variables],
    [made.optimizer, [...made.variables.values()]],
  ] as const) {
    train(other, of, 3, end);
    expect((await everything(other, of)).equals(expected)).toBe(true);
  }
};

/** What cannot be where this thread does not see it, and what is said of it. */
export const UNTRAINABLE: readonly [string, Variable | Float32Array, RegExp][] = [
  [
    "a constraint",
    new Variable(f32(1), { name: "w", constraint: (value) => void value.fill(1) }),
    /cannot call a constraint.*Received: variable "w".*Leave the constraint out/,
  ],
  [
    "adopt: false",
    new Variable(f32(1), { name: "w", adopt: false }),
    /cannot train an array where it lies.*Received: variable "w"/,
  ],
  ["a plain array", f32(1), /cannot train an array where it lies.*Received: variable "variable_1".*Pass a Variable/],
];

/** Refused beside a variable that could be built: neither is, until that one comes alone. */
export const expectRefused = async (backend: Backend, given: Variable | Float32Array, message: RegExp): Promise<void> => {
  const optimizer = new Adamax({ backend });
  const other = variable([5]);
  const error = thrown(() => optimizer.build([other, given]));
  expect(error).toBeInstanceOf(BackendError);
  expect(error.message).toMatch(message);
  expect([optimizer.trainableVariables, other.owner, await read(other)]).toEqual([[], null, [5]]);
  optimizer.build([other]);
  expect(other.owner).toBe("Adamax");
  optimizer.dispose();
  await read(other);
};
