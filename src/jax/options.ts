/** Options as jax-js users write them. */

import type { JsTree, numpy as np } from "@jax-js/jax";
import { nearest, OptionError, show } from "../errors.js";
import { check, integerFrom, isPlain, type Kind, optional } from "../kinds.js";
import { checkOptions, type Group, isOption, type Settings } from "../optimizer/options.js";
import type { UpdateRule } from "../rule/update-rule.js";
import { LearningRateSchedule } from "../schedules/schedule.js";
import { describe, isArray, type Tree } from "./tree.js";

/** A number; a schedule; or a function that computes the rate from the number of earlier steps, an int32 scalar, in jax-js' operations. */
export type LearningRate = number | LearningRateSchedule | ((count: np.Array) => np.Array);

/** true where weight decay applies: a tree like that of the parameters, or a function that makes one. */
export type Mask = JsTree<boolean> | ((params: Tree) => JsTree<boolean>);

type Replaced = "learningRate" | "groups" | "backend" | "threads" | "jitCompile";

/** The core's options, except where the step runs: that is jax-js' own choice. */
export type TransformationOptions<Options> = Omit<Options, Replaced> & {
  /** Default 0.001. */
  learningRate?: LearningRate;
  /** Steps of the training, for a schedule under `jit`: there it is a table of so many rates, and later steps have the last one. */
  scheduleSteps?: number;
  /** Where weight decay applies. Default: everywhere. */
  mask?: Mask;
  /** Settings for some parameters, by patterns found in their path, such as "dense/kernel". Default: none. */
  groups?: readonly Omit<Group, "variables">[];
};

export interface JaxSettings {
  readonly settings: Settings;
  readonly hyper: Readonly<Record<string, number>>;
  readonly learningRate: LearningRate;
  readonly scheduleSteps: number | null;
  readonly mask: Mask | null;
}

const mask: Kind<Mask> = {
  wanted: "a tree of true and false, or a function that returns one",
  holds: (value) => ["object", "function", "boolean"].includes(typeof value),
};

/** What optax' functions take in the place of options.
 *  @throws OptionError with the line that it becomes. */
const assertOptions = (owner: string, options: unknown): void => {
  const isRate = ["number", "function"].includes(typeof options) || options instanceof LearningRateSchedule || isArray(options);
  if (isPlain(options) && !isRate) return;
  throw new OptionError(
    `${owner} takes one object of options`,
    describe(options),
    isRate ? `Write { learningRate: ${typeof options === "number" ? options : "..."} }.` : "Write {} for the defaults.",
  );
};

/** @throws OptionError for an unknown option, a value out of range, or options that exclude each other. */
export const checkJaxOptions = (rule: UpdateRule, options: Readonly<Record<string, unknown>>): JaxSettings => {
  assertOptions(rule.name, options);
  const { learningRate, mask: givenMask, scheduleSteps, ...plain } = options;
  for (const name of ["backend", "threads", "jitCompile"])
    if (name in plain)
      throw new OptionError(
        `${rule.name} for jax-js does not take ${name}`,
        `${name}=${show(plain[name])}`,
        "Choose the device with jax-js' defaultDevice, and compile with its jit.",
      );
  for (const name of Object.keys(plain)) {
    const near = isOption(name) || name in rule.hyperparameters ? undefined : nearest(name, ["mask", "scheduleSteps"]);
    if (near) throw new OptionError(`${rule.name} has no such option`, `${name}=${show(plain[name])}`, `Did you mean ${near}?`);
  }
  const { settings, hyper } = checkOptions(rule, { ...plain, ...(learningRate === undefined ? {} : { learningRate }) });
  if (settings.groups.some(({ variables }) => variables?.length))
    throw new OptionError("Groups find parameters by their paths", "variables", 'Give names, such as ["^dense/kernel$"].');
  return {
    settings,
    hyper,
    learningRate: settings.learningRate as LearningRate,
    scheduleSteps: check(rule.name, "scheduleSteps", scheduleSteps, optional(integerFrom(1), null)),
    mask: check(rule.name, "mask", givenMask, optional(mask, null)),
  };
};
