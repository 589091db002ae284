/** What loading a checkpoint takes. */

import type { OnProgress, Values } from "../backend.js";
import { arrayOf, callable, checkKinds, type Kind, oneOf, optional } from "../kinds.js";
import { Optimizer } from "../optimizer/optimizer.js";
import type { OptimizerOptions } from "../optimizer/options.js";
import type { UpdateRule } from "../rule/update-rule.js";
import type { deserialize } from "../schedules/index.js";
import type { Variable, VariableOptions } from "../variable.js";
import type { Names } from "./compare.js";
import { type AnyOptimizer, nameMap } from "./state.js";

/** A class of optimizers. */
export interface OptimizerClass<T> {
  new (options: never): T;
  readonly rule: UpdateRule;
}

/** What every way of loading takes. */
export interface CommonOptions {
  /** The variables to load into, found by name. Those that the optimizer trains already need not be named. An optimizer that is not
   *  built yet is built for those that the file trains, in the file's order. */
  variables?: Iterable<Variable | Values>;
  /** What variables are called in the file, where that is not their own name. */
  names?: ReadonlyMap<Variable | Values, string>;
  /** Variables or tensors here that the file need not have, by name (a string is a whole name, a RegExp is searched for): a variable
   *  keeps its value and its state. Default: none. */
  onlyHere?: Names;
  /** Variables or tensors of the file that are left out. Default: none. */
  onlyInFile?: Names;
  /** Twice from 0 to the size of the file: checking, then loading. */
  onProgress?: OnProgress;
}

/** Loading into an optimizer that you have made. */
export interface IntoOptimizer<T extends AnyOptimizer> extends CommonOptions {
  optimizer: T;
  /** "same" (default): the optimizer must have been made with the settings of the file, so that it goes on with the same bits. "mine": it
   *  keeps its own, also its learning rate and constraints. */
  settings?: "same" | "mine";
}

/** Loading into an optimizer that is made from the file's configuration. */
export interface AsNewOptimizer<T extends AnyOptimizer> extends CommonOptions {
  /** Its class: `Adamax`. */
  optimizer: OptimizerClass<T>;
  /** Options in place of the file's. A learning rate that was a function must stand here. */
  options?: OptimizerOptions;
  /** Constraints by the names of their variables, for variables that are made from the file. */
  constraints?: Readonly<Record<string, NonNullable<VariableOptions["constraint"]>>>;
  /** Classes of learning rate schedules of your own, by name. */
  customObjects?: Parameters<typeof deserialize>[1];
}

export type LoadOptions<T extends AnyOptimizer> = IntoOptimizer<T> | AsNewOptimizer<T>;

/** @throws OptionError for options that are unknown, missing or not of their kind. */
export const checkLoadOptions = <T extends AnyOptimizer>(options: LoadOptions<T>): LoadOptions<T> => {
  const names = optional(
    arrayOf<string | RegExp>({
      wanted: "a name or a RegExp",
      holds: (value) => typeof value === "string" || value instanceof RegExp,
    }),
    [],
  );
  const object = optional(
    { wanted: "an object", holds: (value) => typeof value === "object" && value !== null } as Kind<object>,
    undefined,
  );
  const common = {
    optimizer: {
      wanted: "an optimizer, or a class of them",
      holds: (value: unknown) => value instanceof Optimizer || isClass(value),
    },
    variables: optional(
      {
        wanted: "variables",
        holds: (value) => typeof (value as Iterable<unknown>)?.[Symbol.iterator] === "function",
      } as Kind<object>,
      undefined,
    ),
    names: optional(nameMap, undefined),
    onlyHere: names,
    onlyInFile: names,
    onProgress: optional(callable as Kind<OnProgress>, undefined),
  };
  const special = isClass(options?.optimizer)
    ? { options: object, constraints: object, customObjects: object }
    : { settings: optional(oneOf("same", "mine"), "same") };
  return checkKinds<object>("loadCheckpoint", options, { ...common, ...special } as never) as LoadOptions<T>;
};

export const isClass = <T>(value: unknown): value is OptimizerClass<T> =>
  typeof value === "function" && value.prototype instanceof Optimizer;
