/** What differs between a checkpoint and the optimizer that it is to be loaded into, in words; and the refusal of it. */

import { CheckpointError, show } from "../errors.js";
import { internalsOf } from "../optimizer/optimizer.js";
import type { TensorPlace } from "./format/safetensors.js";
import {
  type AnyOptimizer,
  configOf,
  type Description,
  type NamedVariable,
  ruleName,
  type SavedVariable,
  type StateTensor,
  showShape,
} from "./state.js";
import type { Source } from "./storage/source.js";

/** Settings that change no bit, or name things only; groups show in what holds for each variable. */
const INDIFFERENT = new Set(["name", "jit_compile", "is_legacy_optimizer", "groups", "learning_rate"]);

/** Names that are looked for in variables and tensors: a string is a whole name. */
export type Names = readonly (string | RegExp)[];
export const isNamed = (names: Names, ...candidates: readonly string[]): boolean =>
  names.some((pattern) =>
    candidates.some((name) => (typeof pattern === "string" ? pattern === name : new RegExp(pattern).test(name))),
  );

/** Names, shapes and dtypes. */
export const tensorDifferences = (saved: readonly TensorPlace[], here: readonly StateTensor[]): string[] => {
  const inFile = new Map(saved.map((tensor) => [tensor.name, tensor]));
  const names = new Set(here.map(({ name }) => name));
  return [
    ...here.flatMap((tensor) => {
      const other = inFile.get(tensor.name);
      if (!other) return [`${tensor.name}: ${showShape(tensor)} here, missing in the file`];
      return showShape(other) === showShape(tensor)
        ? []
        : [`${tensor.name}: ${showShape(other)} in the file, ${showShape(tensor)} here`];
    }),
    ...saved
      .filter(({ name }) => !names.has(name))
      .map((tensor) => `${tensor.name}: ${showShape(tensor)} in the file, missing here`),
  ];
};

/** Options of the whole optimizer. A learning rate that is a number is state, and is loaded; with `keepsRate`, another one was asked for. */
export const settingDifferences = (
  { optimizer: { className, config: saved } }: Description,
  optimizer: AnyOptimizer,
  keepsRate: boolean,
): string[] => {
  const own = JSON.parse(JSON.stringify(configOf(optimizer, internalsOf(optimizer).state))) as Record<string, unknown>;
  const keys = [...new Set([...Object.keys(saved), ...Object.keys(own)])].filter((key) => !INDIFFERENT.has(key));
  const differs = (a: unknown, b: unknown) => canonical(a ?? null) !== canonical(b ?? null);
  const rates = [saved.learning_rate, own.learning_rate];
  return [
    ...(className === ruleName(optimizer) ? [] : [`class: ${className} in the file, ${ruleName(optimizer)} here`]),
    ...(!keepsRate && differs(...(rates as [unknown, unknown])) && !rates.every((rate) => typeof rate === "number")
      ? [`learning_rate: ${rateInWords(saved.learning_rate)} in the file, ${rateInWords(own.learning_rate)} here`]
      : []),
    ...keys
      .filter((key) => differs(saved[key], own[key]))
      .map((key) => `${key}: ${inWords(saved[key])} in the file, ${inWords(own[key])} here`),
  ];
};

/** What holds for each variable: constraint, multiplier of the learning rate, weight decay; and their order, in which norms are summed. */
export const variableDifferences = (
  saved: readonly SavedVariable[],
  model: readonly NamedVariable[],
  optimizer: AnyOptimizer,
): string[] => {
  const { classes } = internalsOf(optimizer);
  const here = new Map(model.map((one) => [one.name, one.variable]));
  const each = saved.flatMap(({ name, constraint, learningRateMultiplier, weightDecay }) => {
    const variable = here.get(name);
    if (!variable) return []; // its tensors are missing
    const own = classes.settingsOf(variable);
    const compare = (what: string, file: unknown, mine: unknown) =>
      file === mine ? [] : [`${what} of ${name}: ${file} in the file, ${mine} here`];
    return [
      ...constraintDifference(name, constraint, variable.isConstrained),
      ...compare("learning rate multiplier", learningRateMultiplier, own.learningRateMultiplier),
      ...compare("weight decay", weightDecay, own.weightDecay),
    ];
  });
  const order = saved.filter(({ trained, name }) => trained && here.has(name)).map(({ name }) => name);
  const known = new Set(order);
  const own = model.filter(({ trained, name }) => trained && known.has(name)).map(({ name }) => name);
  const at = own.findIndex((name, i) => name !== order[i]);
  return at < 0 ? each : [...each, `build order: ${order[at]} in the file, ${own[at]} here, at place ${at + 1}`];
};

export const constraintDifference = (name: string, inFile: boolean, here: boolean): string[] => {
  if (inFile === here) return [];
  return [
    `constraint of ${name}: ${inFile ? "one in the file, which cannot hold the function itself; none" : "none in the file; one"} here`,
  ];
};

/** Keys in order, so that equal values have equal texts. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, part) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );

const inWords = (value: unknown): string =>
  typeof value === "object" && value !== null ? JSON.stringify(value) : show(value ?? null);

export const isFunctionRate = (rate: unknown): boolean =>
  (rate as { class_name?: unknown } | null)?.class_name === "__function__";

const rateInWords = (rate: unknown): string => {
  const { class_name: name, config } = (rate ?? {}) as { class_name?: string; config?: unknown };
  if (isFunctionRate(rate)) return "a function";
  return name === undefined ? inWords(rate) : `${name} ${JSON.stringify(config)}`;
};

/** A name that names nothing is a slip. */
export const unusedNames = (option: string, names: Names, candidates: readonly string[]): string[] =>
  names
    .filter((name) => !isNamed([name], ...candidates))
    .map((name) => `${option}: nothing is called ${show(name instanceof RegExp ? `${name}` : name)}`);

const MOST_LINES = 30;

/** @throws CheckpointError that lists them, where there are any. */
export const refuseDifferences = ({ name }: Source, differences: readonly string[]): void => {
  if (differences.length === 0) return;
  const lines = differences.slice(0, MOST_LINES).map((difference) => `\n- ${difference}`);
  if (differences.length > MOST_LINES) lines.push(`\n- and ${differences.length - MOST_LINES} more`);
  throw new CheckpointError(
    `${name} does not fit, and nothing was loaded:${lines.join("")}\n` +
      'Make variables and optimizer as they were when it was saved. To load a part, name the rest in onlyHere and onlyInFile; to keep other settings, pass settings: "mine".',
  );
};
