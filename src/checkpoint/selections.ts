/** Which variables a file means by groups and exclusions: it says so by their names. Patterns in a file are not searched for: anybody may have written
 *  them, and a search for `^(a+)+$` takes a minute in 31 letters. */

import type { Values } from "../backend.js";
import { CheckpointError, show } from "../errors.js";
import { type Config, nameMeant } from "../optimizer/configuration.js";
import type { Group } from "../optimizer/options.js";
import { optionsFrom } from "../spelling.js";
import type { Variable } from "../variable.js";
import type { Description, NamedVariable } from "./state.js";

/** Each is a program of its own, and takes a millisecond and more to compile. */
const MOST_GROUPS = 2000;

/** For an optimizer that is made from a file, for these variables. */
export const selectionsIn = (
  { optimizer: { config, excluded }, variables }: Description,
  model: readonly NamedVariable[],
): { groups: Group[]; excluded: (Variable | Values)[] } => {
  const spared = new Set(excluded);
  const saved = new Map(variables.map((one) => [one.name, one]));
  const groups = new Map<string, Group & { variables: (Variable | Values)[] }>();
  for (const { name, given } of model) {
    const { learningRateMultiplier = 1, weightDecay: own = null } = saved.get(name) ?? {};
    // null: the optimizer's, also where that is given anew.
    const weightDecay = spared.has(name) || own === (config.weight_decay ?? 0) ? null : own;
    if (learningRateMultiplier === 1 && weightDecay === null) continue;
    const key = `${learningRateMultiplier} ${weightDecay}`;
    const group = groups.get(key) ?? { variables: [], learningRateMultiplier, weightDecay };
    group.variables.push(given);
    groups.set(key, group);
  }
  if (groups.size > MOST_GROUPS)
    throw new CheckpointError(
      `No optimizer is made from a file for more than ${MOST_GROUPS} different settings of variables`,
      `${groups.size}`,
      "Make it yourself, and load into it.",
    );
  return { groups: [...groups.values()], excluded: model.filter(({ name }) => spared.has(name)).map(({ given }) => given) };
};

/** The groups of a configuration that stands in a file, for these variables. adamax/tfjs writes them into model.json, a variable as the pattern of exactly
 *  its name; Keras knows none.
 *  @throws CheckpointError for any other pattern. */
export const groupsByName = (groups: unknown, variables: ReadonlyMap<string, Variable>): Group[] =>
  (Array.isArray(groups) ? groups : [groups]).map((given) => {
    const { names, ...numbers } = optionsFrom((given ?? {}) as Config);
    return { ...numbers, variables: variablesMeant(names, variables, "Give the groups again: restore({ groups: [ ... ] }).") };
  });

/** The variables whose names these patterns spell.
 *  @throws CheckpointError for any other pattern. */
export const variablesMeant = (patterns: unknown, variables: ReadonlyMap<string, Variable>, remedy: string): Variable[] =>
  (Array.isArray(patterns) ? patterns : [patterns]).flatMap((pattern) => {
    const name = nameMeant(pattern);
    if (name !== undefined) return variables.get(name) ?? [];
    throw new CheckpointError(
      "The file means variables of groups or of excludeFromWeightDecay by a pattern, which is not searched for: anybody may have written it",
      show(typeof pattern === "object" && pattern !== null ? JSON.stringify(pattern) : pattern),
      remedy,
    );
  });

/** A configuration and what stands around it, without what means variables. */
export const withoutSelections = (config: Config): Config =>
  Object.fromEntries(
    Object.entries(config).flatMap(([key, value]) => {
      if (key === "groups" || key === "exclude_from_weight_decay") return [];
      const isInner = (key === "config" || key === "inner_optimizer") && typeof value === "object" && value !== null;
      return [[key, isInner ? withoutSelections(value as Config) : value]];
    }),
  );
