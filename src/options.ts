/** Every option of an optimizer: its default, its range, and its name in Keras. Checked once, at the door. */

import type { Backend, Values } from "./backends/backend.js";
import { nearest, OptionError, show } from "./errors.js";
import type { Clipping } from "./rule/step-program.js";
import type { Hyperparameter } from "./rule/update-rule.js";
import { LearningRateSchedule } from "./schedules/schedule.js";
import type { Variable } from "./variable.js";

/** A number, a typed array with one element (read once), a schedule, or a function called once in each step. */
export type LearningRate = number | Values | LearningRateSchedule | (() => number);

/** Variables that get settings of their own. A variable takes the first group that names it. */
export interface Group {
  variables?: readonly Variable[];
  /** Regular expressions (or their text) searched for in the variable's name. */
  names?: readonly (string | RegExp)[];
  /** Times the learning rate. 0 or more, default 1. */
  learningRateMultiplier?: number;
  /** Instead of the optimizer's. 0 or more; null for none. */
  weightDecay?: number | null;
}

/** What every optimizer takes; the numbers of its rule come on top. */
export interface OptimizerOptions {
  /** Default 0.001. 0 or more. */
  learningRate?: LearningRate;
  /** Decoupled: w -= w * weightDecay * learningRate before the rule. 0 or more; default null, none. */
  weightDecay?: number | null;
  /** Scales each gradient so that its L2 norm is at most this. Above 0. Only one of the three clip options can be set. */
  clipnorm?: number | null;
  /** Limits each element of a gradient to [-clipvalue, clipvalue]. Above 0. */
  clipvalue?: number | null;
  /** Scales all gradients by one factor so that their joint L2 norm is at most this. Above 0. */
  globalClipnorm?: number | null;
  /** Keep average = emaMomentum * average + (1 - emaMomentum) * w of every variable. Default false. */
  useEma?: boolean;
  /** In [0, 1], default 0.99. */
  emaMomentum?: number;
  /** Every so many updates, w = average. An integer, 1 or more; default null: only finalizeVariableValues does. */
  emaOverwriteFrequency?: number | null;
  /** What the average starts from: the variable at build (tf_keras, default) or after the first step (Keras 3). */
  emaStart?: "variable" | "firstStep";
  /** Gradients are divided by this before anything else. Above 0; default null, 1. */
  lossScaleFactor?: number | null;
  /** Calls of applyGradients whose mean gradient makes one update. An integer, 2 or more; default null: each call. */
  gradientAccumulationSteps?: number | null;
  /** false runs the interpreter, with the same bits, instead of a compiled step. Default true. */
  jitCompile?: boolean;
  /** Begins the names of the optimizer's state. Default: the name of the class. */
  name?: string;
  /** Settings for some variables. Default: none. */
  groups?: readonly Group[];
  /** A backend, or the name of one. Default: the best that this machine has. */
  backend?: Backend | "wasm" | "interpreter";
  /** Threads of the wasm backend: an integer of 1 or more, or "auto" (default): one per core for models from about 3e5 parameters.
   *  The bits do not depend on it. A backend that you pass has threads of its own. */
  threads?: number | "auto";
}

/** Every option with its value. Nothing is optional behind the door. */
export interface Settings extends Required<Omit<OptimizerOptions, "learningRate" | "backend" | "groups">> {
  readonly learningRate: number | LearningRateSchedule | (() => number);
  readonly groups: readonly Group[];
  readonly backend: Backend | "wasm" | "interpreter" | null;
}

type Check = (value: unknown, name: string) => unknown;

const refuse = (name: string, wanted: string, value: unknown, advice = "Give such a value, or leave the option out for its default."): never => {
  throw new OptionError(`${name} must be ${wanted}. Received: ${show(value)}. ${advice}`);
};

const finite =
  (range: string, holds: (value: number) => boolean): Check =>
  (value, name) =>
    typeof value === "number" && Number.isFinite(value) && holds(value) ? value : refuse(name, `a finite number ${range}`, value);
const atLeastZero = finite("of 0 or more", (value) => value >= 0);
const aboveZero = finite("above 0", (value) => value > 0);
const boolean: Check = (value, name) => (typeof value === "boolean" ? value : refuse(name, "true or false", value));
const text: Check = (value, name) => (typeof value === "string" && value !== "" ? value : refuse(name, "a string that is not empty", value));
const integerFrom =
  (least: number, advice?: string): Check =>
  (value, name) =>
    Number.isInteger(value) && (value as number) >= least ? value : refuse(name, `an integer of ${least} or more`, value, advice);
const orNull =
  (check: Check): Check =>
  (value, name) =>
    value === null ? null : check(value, name);
const oneOf =
  (...values: string[]): Check =>
  (value, name) =>
    values.includes(value as string) ? value : refuse(name, values.map(show).join(" or "), value);

/** A typed array with one element stands for its number. */
const scalar = (value: unknown, name: string): unknown => {
  if (!ArrayBuffer.isView(value)) return value;
  const { length } = value as Float32Array;
  return length === 1 ? Number((value as Float32Array)[0]) : refuse(name, "a number, or a typed array with one element", value);
};

export const checkLearningRate = (value: unknown, name = "learningRate"): Settings["learningRate"] => {
  if (value instanceof LearningRateSchedule || typeof value === "function") return value as () => number;
  return atLeastZero(scalar(value, name), name) as number;
};

const backend: Check = (value, name) => {
  const isBackend = typeof value === "object" && value !== null && "place" in value && "compile" in value;
  return isBackend || value === null ? value : oneOf("wasm", "interpreter")(value, name);
};

/** Lists of variables and of patterns, copied. `at` begins their names in errors. */
export const checkSelection = ({ variables = [], names = [] }: Pick<Group, "variables" | "names">, at: string): Required<Pick<Group, "variables" | "names">> => {
  if (!Array.isArray(variables)) refuse(`${at}.variables`, "an array of variables", variables, "Put it in brackets.");
  if (!Array.isArray(names)) refuse(`${at}.names`, "an array of strings and regular expressions", names, "Put it in brackets.");
  for (const pattern of names) if (!isPattern(pattern)) refuse(`${at}.names`, "strings and regular expressions", pattern, "Escape what is meant as it stands.");
  return { variables: [...variables], names: [...names] };
};

const isPattern = (pattern: unknown): boolean => {
  try {
    return pattern instanceof RegExp || (typeof pattern === "string" && Boolean(new RegExp(pattern)));
  } catch {
    return false;
  }
};

const groups: Check = (value, name) => {
  if (!Array.isArray(value)) refuse(name, "an array of groups", value);
  const known = ["variables", "names", "learningRateMultiplier", "weightDecay"];
  return (value as Group[]).map((group, i) => {
    const at = `${name}[${i}]`;
    if (typeof group !== "object" || group === null) refuse(at, "an object", group);
    refuseUnknown(Object.keys(group), known, `${at}.`);
    if (!group.variables && !group.names) refuse(at, "a group that names its variables", group, "Give `variables`, `names`, or both.");
    const { learningRateMultiplier = 1, weightDecay } = group;
    return {
      ...checkSelection(group, at),
      learningRateMultiplier: atLeastZero(learningRateMultiplier, `${at}.learningRateMultiplier`),
      ...(weightDecay === undefined ? {} : { weightDecay: orNull(atLeastZero)(weightDecay, `${at}.weightDecay`) }),
    };
  });
};

/** Each option's default and check, in the order in which configurations list them. */
const OPTIONS: Readonly<Record<keyof Settings, readonly [standard: unknown, check: Check]>> = {
  name: ["Optimizer", text],
  learningRate: [0.001, checkLearningRate],
  weightDecay: [null, orNull(atLeastZero)],
  clipnorm: [null, orNull(aboveZero)],
  clipvalue: [null, orNull(aboveZero)],
  globalClipnorm: [null, orNull(aboveZero)],
  useEma: [false, boolean],
  emaMomentum: [0.99, finite("in [0, 1]", (value) => value >= 0 && value <= 1)],
  emaOverwriteFrequency: [null, orNull(integerFrom(1))],
  emaStart: ["variable", oneOf("variable", "firstStep")],
  lossScaleFactor: [null, orNull(aboveZero)],
  gradientAccumulationSteps: [null, orNull(integerFrom(2, "For an update in each call, leave it out."))],
  jitCompile: [true, boolean],
  groups: [[], groups],
  backend: [null, backend],
  threads: ["auto", (value, name) => (value === "auto" ? value : integerFrom(1)(value, name))],
};

/** Options that are refused by name, and what to do instead. */
const REPLACED: Readonly<Record<string, string>> = {
  decay: "It was removed from Keras. Pass a schedule as learningRate (schedules.InverseTimeDecay decays as it did), or weightDecay for decoupled decay.",
  gradientAggregator: "It was removed from Keras. Aggregate gradients before you pass them to applyGradients.",
  gradientTransformers: "It was removed from Keras. Transform gradients before you pass them to applyGradients.",
  mesh: "Sharded training over a mesh is not built yet. Leave it out to train on one machine.",
};

export const optionNames = (hyperparameters: Readonly<Record<string, Hyperparameter>>): string[] => [
  ...Object.keys(OPTIONS),
  ...Object.keys(hyperparameters),
];

/** @throws OptionError when a name is not an option; it names the nearest. */
export const refuseUnknown = (given: readonly string[], known: readonly string[], prefix = ""): void => {
  for (const name of given) {
    if (known.includes(name)) continue;
    const near = nearest(name, known);
    throw new OptionError(
      `Unknown option. Received: ${prefix}${name}. ${near ? `Did you mean ${prefix}${near}?` : `Known options: ${known.join(", ")}.`}`,
    );
  }
};

/** Fills in every default and checks every value.
 *  @throws OptionError for an unknown option, a value out of range, or options that exclude each other. */
export const checkOptions = (
  name: string,
  hyperparameters: Readonly<Record<string, Hyperparameter>>,
  options: Readonly<Record<string, unknown>>,
): { settings: Settings; hyper: Record<string, number> } => {
  if (typeof options !== "object" || options === null)
    throw new OptionError(`${name} takes one object of options. Received: ${show(options)}. Write new ${name}({ learningRate: 0.001 }), for example.`);
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  if ("lr" in given) {
    if ("learningRate" in given)
      throw new OptionError(`lr is the old name of learningRate. Received: both. Remove lr.`);
    console.warn("adamax: the option lr is deprecated; it was taken as learningRate. Write learningRate.");
    given.learningRate = given.lr;
    delete given.lr;
  }
  for (const [option, advice] of Object.entries(REPLACED))
    if (given[option] !== undefined && given[option] !== null)
      throw new OptionError(`The option ${option} is not supported. Received: ${show(given[option])}. ${advice}`);
    else delete given[option];
  refuseUnknown(Object.keys(given), optionNames(hyperparameters));

  const settings: Record<string, unknown> = {};
  for (const [option, [standard, check]] of Object.entries(OPTIONS))
    settings[option] = option in given ? check(given[option], option) : option === "name" ? name : standard;

  const hyper: Record<string, number> = {};
  for (const [option, { default: standard, range, holds }] of Object.entries(hyperparameters))
    hyper[option] = finite(range, holds)(scalar(given[option] ?? standard, option), option) as number;

  const clips = ["clipnorm", "clipvalue", "globalClipnorm"].filter((option) => settings[option] !== null);
  if (clips.length > 1)
    throw new OptionError(
      "Only one of clipnorm, clipvalue and globalClipnorm can be set. " +
        `Received: ${clips.map((option) => `${option}=${settings[option]}`).join(", ")}. Keep the one you mean and remove the other.`,
    );
  return { settings: Object.freeze(settings) as unknown as Settings, hyper: Object.freeze(hyper) };
};

export const clippingOf = ({ clipnorm, clipvalue, globalClipnorm }: Settings): Clipping => {
  if (clipnorm !== null) return { kind: "norm", limit: clipnorm };
  if (clipvalue !== null) return { kind: "value", limit: clipvalue };
  if (globalClipnorm !== null) return { kind: "globalNorm", limit: globalClipnorm };
  return { kind: "none" };
};

/** Keras' name of an option: beta1 is beta_1, learningRate is learning_rate. */
export const kerasName = (option: string): string => option.replace(/[A-Z]|\d+/g, (part) => `_${part.toLowerCase()}`);

/** Whether a list of variables and name patterns names this variable: by identity, or by a pattern found in its name. */
export const names = (list: { variables?: readonly Variable[]; names?: readonly (string | RegExp)[] }, variable: Variable): boolean =>
  (list.variables ?? []).includes(variable) || (list.names ?? []).some((pattern) => new RegExp(pattern).test(variable.name));
