/** The settings that variables may differ in: those of one class share a program and its scalars. */

import type { RowClass } from "../backends/backend.js";
import { show } from "../errors.js";
import type { Checked } from "../kinds.js";
import type { DType } from "../rule/program.js";
import type { Variable } from "../variable.js";
import { type Selection, type Settings, selects } from "./options.js";

export interface ClassSettings extends RowClass {
  readonly dtype: DType;
  readonly decays: boolean;
}

export class RowClasses {
  /** By place; there are as many as have been needed. */
  readonly list: ClassSettings[] = [];
  readonly #settings: Settings;
  readonly #excluded: Checked<Selection>[] = [];

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** No weight decay for these. */
  exclude(selection: Checked<Selection>): void {
    this.#excluded.push(selection);
  }

  /** A pattern that means nobody is mostly a slip. */
  warnOfUnmatched(trained: readonly { readonly variable: Variable }[]): void {
    const variables = trained.map(({ variable }) => variable);
    const patterns = [...this.#settings.groups, ...this.#excluded].flatMap(({ names }) => names ?? []);
    const idle = patterns.filter((pattern) => !variables.some((variable) => selects({ names: [pattern] }, variable)));
    if (idle.length === 0) return;
    const list = variables.slice(0, 12).map(({ name }) => show(name));
    console.warn(
      `adamax: ${idle.map(String).join(", ")} of groups or excludeFromWeightDecay matches no variable. There are ${list.join(", ")}${variables.length > 12 ? ", ..." : ""}.`,
    );
  }

  /** What `excludeFromWeightDecay` was called with. */
  get excluded(): readonly Checked<Selection>[] {
    return this.#excluded;
  }

  /** What holds for this variable. */
  settingsOf(variable: Variable): ClassSettings {
    const { groups, weightDecay: common } = this.#settings;
    const { learningRateMultiplier = 1, weightDecay: own = null } = groups.find((group) => selects(group, variable)) ?? {};
    const weightDecay = this.#excluded.some((selection) => selects(selection, variable)) ? 0 : (own ?? common ?? 0);
    return { dtype: variable.dtype, decays: weightDecay > 0, weightDecay, learningRateMultiplier };
  }

  /** The place of the variable's class, which is made if the variable is the first of its kind. */
  placeOf(variable: Variable): number {
    const settings = this.settingsOf(variable);
    const { dtype, weightDecay, learningRateMultiplier } = settings;
    const known = this.list.findIndex(
      (other) =>
        other.dtype === dtype && other.weightDecay === weightDecay && other.learningRateMultiplier === learningRateMultiplier,
    );
    return known >= 0 ? known : this.list.push(settings) - 1;
  }
}
