/** Every option of an optimizer: its default, its range, and its name in Keras. Checked once, at the door. */

import type { Backend, OnProgress, Ranks, Values } from "../backend.js";
import { OptionError, show } from "../errors.js";
import {
  type Aliases,
  arrayOf,
  type Checked,
  callable,
  check,
  checkKinds,
  either,
  flag,
  integerFrom,
  isObject,
  isPlain,
  type Kind,
  type Kinds,
  nonNegative,
  object,
  oneOf,
  optional,
  positive,
  refuse,
  text,
  threadCount,
  upToOne,
} from "../kinds.js";
import { isValues } from "../rule/program.js";
import type { Clipping, StepSettings } from "../rule/step-program.js";
import type { UpdateRule } from "../rule/update-rule.js";
import { type LearningRateSchedule, schedule } from "../schedules/schedule.js";
import { Variable } from "../variable.js";

/** A number, a typed array with one element (read once), a schedule, or a function called once in each step. */
export type LearningRate = number | Values | LearningRateSchedule | (() => number);

/** Variables, by identity or by name. */
export interface Selection {
  /** A plain array stands for the variable that it is the value of. */
  variables?: readonly (Variable | Values)[] | null;
  /** Regular expressions (or their text) searched for in the variable's name. */
  names?: readonly (string | RegExp)[] | null;
}

/** Variables that get settings of their own. A variable takes the first group that names it. */
export interface Group extends Selection {
  /** Times the learning rate. 0 or more, default 1. */
  learningRateMultiplier?: number;
  /** Instead of the optimizer's. 0 or more; 0 for none. Default null: the optimizer's. */
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
  /** Ranks that train together, each on its part of the batch: what `createMesh` of adamax/mesh has made. Default: none, one machine. */
  mesh?: Ranks | null;
}

/** What `build` and `extend` can be told. */
export interface BuildOptions {
  /** Told, for large models, how much of the state's memory is ready. The first touch of fresh memory is slow: about 1 s per 3 GB. */
  onProgress?: OnProgress;
}

/** What `applyGradients` can be told. */
export interface StepOptions {
  /** Where ranks have parts of a batch that are not equal: the number of examples that the gradients are the mean of. 0 or more, default 1. A rank that
   *  gives 0 has none, whatever its gradients are. On one machine it changes nothing. */
  weight?: number;
}

/** The weight. */
export const checkStepOptions = (options: StepOptions | undefined): number =>
  options ? checkKinds("applyGradients", options, { weight: optional(nonNegative, 1) }).weight : 1;

export const checkBuildOptions = (options: BuildOptions): { onProgress: OnProgress | undefined } =>
  checkKinds("build", options, { onProgress: optional(callable as Kind<OnProgress>, undefined) } as never);

/** A selection behind the door. */
export type Chosen = { readonly [Name in keyof Selection]-?: NonNullable<Selection[Name]> };
type CheckedGroup = Checked<Group> & Chosen;

/** Every option with its value. Nothing is optional behind the door. */
export interface Settings extends Checked<Omit<OptimizerOptions, "learningRate" | "backend" | "groups" | "mesh">> {
  readonly learningRate: number | LearningRateSchedule | (() => number);
  readonly groups: readonly CheckedGroup[];
  readonly backend: Backend | "wasm" | "interpreter" | null;
  readonly mesh: Ranks | null;
}

/** A rate as steps take it, which round it to float32 where a variable is. */
export const plainRate: Kind<number> = {
  wanted: `${nonNegative.wanted} that float32 holds`,
  holds: (value) => nonNegative.holds(value) && Math.fround(value as number) < Infinity,
};

export const learningRate: Kind<Settings["learningRate"]> = either(either(plainRate, schedule), callable as Kind<() => number>);

const backend: Kind<Backend> = {
  wanted: "a backend",
  holds: (value) => isObject(value) && "place" in value && "compile" in value,
};

const variable: Kind<Variable | Values> = {
  wanted: "a variable",
  holds: (value) => value instanceof Variable || isValues(value),
};

const pattern: Kind<string | RegExp> = {
  wanted: "a regular expression or its text",
  holds: (value) => {
    try {
      return value instanceof RegExp || (typeof value === "string" && Boolean(new RegExp(value)));
    } catch {
      return false;
    }
  },
};

const SELECTION: Kinds<Selection> = { variables: optional(arrayOf(variable), []), names: optional(arrayOf(pattern), []) };
const GROUP: Kinds<Group> = {
  ...SELECTION,
  learningRateMultiplier: optional(nonNegative, 1),
  weightDecay: optional(nonNegative, null),
};

const ranks: Kind<Ranks> = {
  wanted: "a mesh of adamax/mesh",
  holds: (value) => isObject(value) && "around" in value,
};

/** Each option's kind, in the order in which configurations list them. The name is by default that of the rule. */
const OPTIONS: Kinds<Settings> = {
  name: text,
  learningRate: optional(learningRate, 0.001),
  weightDecay: optional(nonNegative, null),
  clipnorm: optional(positive, null),
  clipvalue: optional(positive, null),
  globalClipnorm: optional(positive, null),
  useEma: optional(flag, false),
  emaMomentum: optional(upToOne, 0.99),
  emaOverwriteFrequency: optional(integerFrom(1), null),
  emaStart: optional(oneOf("variable", "firstStep"), "variable"),
  lossScaleFactor: optional(positive, null),
  gradientAccumulationSteps: optional(integerFrom(2), null),
  jitCompile: optional(flag, true),
  groups: optional(arrayOf(object as Kind<CheckedGroup>), []),
  backend: optional(either(backend, oneOf("wasm", "interpreter")), null),
  threads: threadCount,
  mesh: optional(ranks, null),
};

/** Options that Keras removed, and what to do instead. */
const REPLACED: Readonly<Record<string, string>> = {
  decay: "Pass schedules.InverseTimeDecay as learningRate.",
  gradientAggregator: "Do it before applyGradients.",
  gradientTransformers: "Do it before applyGradients.",
};

/** What other libraries call options, in lower case without underscores. */
const ALIASES: Aliases = {
  learningRate: "eta alpha rate stepsize schedule scheduler",
  learningRateMultiplier: "lr learningrate", // of a group
  beta1: "b1 betas momentum",
  beta2: "b2",
  epsilon: "eps",
  weightDecay: "wd l2",
  globalClipnorm: "maxnorm maxgradnorm clipgradnorm",
  useEma: "ema average",
  emaMomentum: "emadecay",
  lossScaleFactor: "lossscale",
  gradientAccumulationSteps: "accumulationsteps",
  jitCompile: "jit",
  groups: "params mask",
  variables: "varlist", // of a selection
  names: "varnames",
};

/** Whether every optimizer has, had or will have an option of this name, here or in an adapter, so that a rule's number cannot have it. */
export const isOption = (name: string): boolean =>
  name in OPTIONS || name in REPLACED || ["lr", "mask", "scheduleSteps"].includes(name);

/** A typed array with one element stands for its number. */
export const plainNumber = (value: unknown): unknown =>
  ArrayBuffer.isView(value) && (value as Float32Array).length === 1 ? Number((value as Float32Array)[0]) : value;

/** Fills in every default and checks every value.
 *  @throws OptionError for an unknown option, a value out of range, or options that exclude each other. */
export const checkOptions = (
  { name: owner, hyperparameters }: UpdateRule,
  options: Readonly<Record<string, unknown>>,
): { settings: Settings; hyper: Readonly<Record<string, number>> } => {
  const kinds: Kinds<Record<string, unknown>> = { ...OPTIONS, name: optional(text, owner), ...hyperparameters };
  const checked = checkKinds(owner, currentOptions(owner, options), kinds, ALIASES);
  const hyper = pick(checked, hyperparameters) as Record<string, number>;
  const settings = pick(checked, OPTIONS) as unknown as Settings;
  const groups = settings.groups.map((group, i) => checkGroup(`groups[${i}]`, group));

  const clips = clipsOf(settings);
  if (clips.length > 1)
    throw new OptionError(
      `Only one of ${CLIPS.join(", ")} can be set`,
      clips.map((name) => `${name}=${settings[name]}`).join(", "),
      "Keep one.",
    );
  if (settings.backend === "wasm" && !settings.jitCompile)
    throw new OptionError("wasm runs compiled steps only", 'backend="wasm", jitCompile=false', "Remove one.");
  return { settings: Object.freeze({ ...settings, groups }), hyper: Object.freeze(hyper) };
};

/** A variable of float32 rounds every number to it, which may be out of range then.
 *  @throws OptionError that names the option, its dtype and its value. */
export const checkRounded = (
  { name: owner, hyperparameters }: UpdateRule,
  settings: Settings,
  hyper: Readonly<Record<string, number>>,
): void => {
  const assert = (kinds: Readonly<Record<string, Kind<unknown>>>, values: object) => {
    for (const [name, value] of Object.entries(values)) {
      const [kind, rounded] = [kinds[name]!, Math.fround(value)];
      if (typeof value === "number" && !kind.holds(rounded)) refuse(owner, name, kind, `${name}=${value}, in float32 ${rounded}`);
    }
  };
  assert({ ...OPTIONS, ...hyperparameters }, { ...settings, ...hyper });
  for (const group of settings.groups) assert(GROUP, group);
};

const pick = (checked: Readonly<Record<string, unknown>>, kinds: object): Record<string, unknown> =>
  Object.fromEntries(Object.keys(kinds).map((name) => [name, checked[name]]));

/** Without the names that Keras gave up, and with a number for a typed array of one element. */
const currentOptions = (owner: string, options: Readonly<Record<string, unknown>>): Record<string, unknown> => {
  if (!isPlain(options)) return options; // checkKinds refuses it
  const { lr, ...given } = Object.fromEntries(Object.entries(options).map(([name, value]) => [name, plainNumber(value)]));
  for (const [name, remedy] of Object.entries(REPLACED)) {
    if (given[name] != null)
      throw new OptionError(`${owner} has no ${name}: Keras removed it`, `${name}=${show(given[name])}`, remedy);
    delete given[name];
  }
  if (lr == null) return given;
  if (given.learningRate != null) throw new OptionError("lr is the old name of learningRate", "both", "Keep learningRate.");
  console.warn("adamax: lr is the old name of learningRate.");
  return { ...given, learningRate: lr };
};

const checkGroup = (owner: string, group: Group): CheckedGroup => {
  check(owner, "names", group.variables ?? group.names, { wanted: "given, or variables", holds: () => true });
  return checkKinds<Group>(owner, group, GROUP, ALIASES) as CheckedGroup;
};

export const checkSelection = (owner: string, selection: Selection): Chosen =>
  checkKinds(owner, selection, SELECTION, ALIASES) as Chosen;

/** What of the settings a step is composed of. */
export const stepSettingsOf = (settings: Settings): StepSettings => ({
  clipping: clippingOf(settings),
  lossScale: settings.lossScaleFactor ?? 1,
  accumulationSteps: settings.gradientAccumulationSteps ?? 1,
  emaMomentum: settings.useEma ? settings.emaMomentum : null,
});

const CLIPPING = { clipnorm: "norm", globalClipnorm: "globalNorm", clipvalue: "value" } as const;
/** In the order in which tf_keras takes the first that is set. */
export const CLIPS = Object.keys(CLIPPING) as (keyof typeof CLIPPING)[];

/** The clip options that are set: one at most, once they are checked. */
const clipsOf = (settings: Settings) => CLIPS.filter((name) => settings[name] !== null);

const clippingOf = (settings: Settings): Clipping => {
  const [clip] = clipsOf(settings);
  return clip ? { kind: CLIPPING[clip], limit: settings[clip]! } : { kind: "none" };
};
