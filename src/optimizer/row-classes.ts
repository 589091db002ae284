/** The settings that variables may differ in: those of one class share a program and its scalars. */

import type { RowClass } from "../backend.js";
import { firstOf, show } from "../errors.js";
import type { DType } from "../rule/program.js";
import type { Variable } from "../variable.js";
import type { Chosen, Settings } from "./options.js";
import { Selections } from "./selections.js";

export interface ClassSettings extends RowClass {
  readonly dtype: DType;
  readonly decays: boolean;
}

export class RowClasses {
  /** By place; there are as many as have been needed. */
  readonly list: ClassSettings[] = [];
  readonly #settings: Settings;
  readonly #groups = new Selections();
  readonly #excluded = new Selections();

  constructor(settings: Settings) {
    this.#settings = settings;
    for (const group of settings.groups) this.#groups.add(group);
  }

  /** No weight decay for these. */
  exclude(selection: Chosen): void {
    this.#excluded.add(selection);
  }

  /** A pattern that means nobody is mostly a slip. */
  warnOfUnmatched(trained: readonly { readonly variable: Variable }[]): void {
    const variables = trained.map(({ variable }) => variable);
    const idle = [...this.#groups.unmatched(variables), ...this.#excluded.unmatched(variables)];
    if (idle.length === 0) return;
    const names = variables.map(({ name }) => show(name));
    console.warn(`adamax: no variable matches ${idle.join(", ")}. There are ${firstOf(names)}.`);
  }

  /** What `excludeFromWeightDecay` was called with. */
  get excluded(): readonly Chosen[] {
    return this.#excluded.list;
  }

  /** Whether `excludeFromWeightDecay` was called for it. */
  isExcluded(variable: Variable): boolean {
    return this.#excluded.placeOf(variable) < Infinity;
  }

  /** What holds for this variable. */
  settingsOf(variable: Variable): ClassSettings {
    const { groups, weightDecay: common } = this.#settings;
    const { learningRateMultiplier = 1, weightDecay: own } = groups[this.#groups.placeOf(variable)] ?? {};
    const weightDecay = this.isExcluded(variable) ? 0 : (own ?? common ?? 0);
    return { dtype: variable.dtype, decays: weightDecay > 0, weightDecay, learningRateMultiplier };
  }

  /** The place of the variable's class, which is made if the variable is the first of its kind. */
  placeOf(variable: Variable): number {
    const settings = this.settingsOf(variable);
    const asText = (one: ClassSettings) => Object.values(one).join();
    const known = this.list.findIndex((other) => asText(other) === asText(settings));
    return known >= 0 ? known : this.list.push(settings) - 1;
  }
}
