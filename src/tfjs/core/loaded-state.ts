/** Whose saved state belongs to whom: loading a model tells the optimizer nothing about its variables, so state waits until they turn up, and takes to
 *  them by their names. */

import { OptionError, show } from "../../errors.js";
import { type Config, nameMeant, patternsOf } from "../../optimizer/configuration.js";
import { internalsOf, type Optimizer } from "../../optimizer/optimizer.js";
import { entriesOf } from "../../optimizer/state.js";
import type { Variable } from "../../variable.js";
import { withoutSuffix } from "./names.js";
import type { TensorVariable } from "./variable.js";
import type { SavedWeights } from "./weights.js";

/** By variable, the name under which its state was saved; null: it begins anew. */
type SavedNames = readonly (string | null)[];

export class LoadedState {
  /** As far as its variables have not been seen. */
  saved: SavedWeights | null = null;
  /** Patterns of the configuration that the optimizer was made from: variables may have been called otherwise there. */
  patterns: readonly (string | RegExp)[] = [];

  constructor(readonly core: Optimizer<never>) {}

  /** Takes the place of what was there. Variables that are `trained` already take theirs at once.
   *  @throws CheckpointError for state that does not fit them. */
  replace(saved: SavedWeights, trained: readonly TensorVariable[]): void {
    if (saved.isSpent) {
      this.#beginAnew(saved.calls);
      return;
    }
    const names = trained.length > 0 ? saved.match(trained, this.#arrays()) : null;
    this.saved = saved;
    if (names) this.give(trained, names, trained.length);
  }

  /** Nothing was kept for any variable when it was saved. */
  #beginAnew(calls: number): void {
    const { state, restore } = internalsOf(this.core);
    const window = this.core.settings.gradientAccumulationSteps ?? 1;
    const zeros = entriesOf(state).map((entry) => [entry, new Float32Array(entry.variable.length)] as const);
    restore({ calls: calls - (calls % window), learningRate: null, accumulating: new Set(), arrays: new Map(zeros) });
    this.saved = null;
  }

  /** The saved names of variables that are about to be trained beside those that are. undefined where nothing waits.
   *  @throws CheckpointError for state that does not fit, OptionError for names in which patterns are not searched for. */
  namesFor(fresh: readonly TensorVariable[], trained: readonly TensorVariable[]): SavedNames | undefined {
    const savedNames = this.saved?.match(fresh, this.#arrays(), trained.length > 0);
    if (this.patterns.length > 0) this.#rename(fresh, trained, savedNames);
    return savedNames;
  }

  /** What the core keeps for each variable. */
  #arrays(): string[] {
    return internalsOf(this.core).state.arrays.map(({ name }) => name);
  }

  /** Groups and exclusions of a configuration mean variables by the names that they had where it was written: those of the saved state; where there is
   *  none, the name of a layer's weight but for the number that loading adds. */
  #rename(fresh: readonly TensorVariable[], trained: readonly TensorVariable[], savedNames: SavedNames | undefined): void {
    const here = [...trained, ...fresh].map(({ name }) => name);
    const meant = this.patterns.flatMap((pattern) => nameMeant(pattern) ?? []);
    const long = here.find((name) => name.length > 256);
    if (long && meant.length < this.patterns.length)
      throw new OptionError(
        "Patterns of a configuration are not searched for in names of more than 256 letters: it could take minutes",
        show(long),
        "Take them out, and give groups and exclusions in your program.",
      );
    const elsewhere = meant.filter((name) => name.includes("/") && !here.includes(name));
    fresh.forEach((variable, i) => {
      const isAlike = (other: string) => withoutSuffix(other) === withoutSuffix(variable.name);
      const [one, ...others] = here.filter((name) => isAlike(name) && !meant.includes(name));
      const isOnlyOne = one === variable.name && others.length === 0;
      variable.savedName = savedNames?.[i] ?? (isOnlyOne ? elsewhere.find(isAlike) : undefined) ?? null;
    });
  }

  /** A configuration in which groups and exclusions of the one that was loaded mean variables by the names under which their state is saved now. */
  underNamesOfNow(config: Config, variables: readonly TensorVariable[]): Config {
    if (this.patterns.length === 0) return config;
    const meant = new Map(variables.map((variable) => [variable.savedName, variable]));
    const renamed = (patterns: unknown) =>
      (patterns as readonly unknown[]).flatMap((pattern) => {
        const variable = meant.get(nameMeant(pattern) ?? null);
        return variable?.savedName ? patternsOf({ variables: [variable], names: [] }, new Map()) : [pattern];
      });
    const { groups, exclude_from_weight_decay: excluded } = config;
    return {
      ...config,
      ...(groups ? { groups: (groups as Config[]).map((group) => ({ ...group, names: renamed(group.names) })) } : {}),
      ...(excluded ? { exclude_from_weight_decay: renamed(excluded) } : {}),
    };
  }

  /** These variables take their state. `trained`: how many there are in all; where these are all, the number of calls is taken too. */
  give(variables: readonly TensorVariable[], savedNames: SavedNames, trained: number): void {
    const saved = this.saved!;
    const { state, restore } = internalsOf(this.core);
    const chosen = new Map(
      variables.flatMap((variable, i) => (savedNames[i] ? [[variable as Variable, savedNames[i]] as const] : [])),
    );
    const entries = entriesOf(state).filter(({ variable }) => chosen.has(variable));
    restore({
      calls: variables.length === trained ? saved.calls : state.calls,
      learningRate: null,
      accumulating: null,
      arrays: new Map(entries.map((entry) => [entry, saved.array(chosen.get(entry.variable)!, entry.name)])),
    });
    saved.forget(savedNames.filter((name) => name !== null));
    if (saved.isSpent) this.saved = null;
  }
}
