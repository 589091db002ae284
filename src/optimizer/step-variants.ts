/** The compiled steps of an optimizer: one for each thing that a call can do. */

import type { Backend, CompiledStep } from "../backend.js";
import type { Program } from "../rule/program.js";
import { composeMove, composeStep, type KeptArray, keptArrays, type Move, type StepVariant } from "../rule/step-program.js";
import { bindRule, flushPeriod, type UpdateRule } from "../rule/update-rule.js";
import { type Settings, stepSettingsOf } from "./options.js";
import type { ClassSettings, RowClasses } from "./row-classes.js";

/** What a call does; which variables it does it to is another matter. */
type Variant = Omit<StepVariant, "dtype" | "decays">;

/** Every other variant of a step needs at most the scalars and arrays of this one. */
const FULLEST: Variant = { accumulatesOnly: false, flushesSlots: true, startsAverage: false, overwrites: true };

export class StepVariants {
  /** What the step keeps for each variable. */
  readonly arrays: readonly KeptArray[];
  readonly #compose: (rowClass: ClassSettings, variant: Variant) => Program;
  readonly #flushPeriod: number;
  #compiled: (CompiledStep | undefined)[] = [];
  #moves: { [Name in Move]?: CompiledStep } = {};
  #exposed = false;

  constructor(
    rule: UpdateRule,
    hyperparameters: Readonly<Record<string, number>>,
    readonly settings: Settings,
    readonly classes: RowClasses,
    readonly backend: Backend,
  ) {
    const stepSettings = stepSettingsOf(settings);
    const bound = bindRule(rule, hyperparameters);
    this.#compose = ({ dtype, decays }, variant) => composeStep(rule.slots, bound, stepSettings, { dtype, decays, ...variant });
    this.#flushPeriod = flushPeriod(rule, hyperparameters);
    this.arrays = keptArrays(rule.slots, stepSettings);
  }

  /** For each class, the program that needs most room. */
  fullest(): Program[] {
    return this.classes.list.map((rowClass) => this.#compose(rowClass, FULLEST));
  }

  /** There are classes that the compiled steps do not know. */
  forget(): void {
    for (const step of [...this.#compiled, ...Object.values(this.#moves)]) step?.free?.();
    this.#compiled = [];
    this.#moves = {};
  }

  /** From now on, steps expect anything in the slots: somebody else may write there. */
  expose(): void {
    if (this.#exposed) return;
    this.#exposed = true;
    this.forget();
  }

  /** The step of a call after `iterations` updates; `updates`: whether it makes one itself. Compiled when first needed. */
  at(iterations: number, updates: boolean): CompiledStep {
    const { emaOverwriteFrequency, emaStart, useEma } = this.settings;
    const flushesSlots = iterations % this.#flushPeriod === 0;
    const overwrites = useEma && emaOverwriteFrequency !== null && (iterations + 1) % emaOverwriteFrequency === 0;
    const startsAverage = useEma && emaStart === "firstStep" && iterations === 0;
    const key = updates ? 1 + +flushesSlots + 2 * +overwrites + 4 * +startsAverage : 0;
    let step = this.#compiled[key];
    if (!step) {
      const variant = { accumulatesOnly: !updates, flushesSlots, overwrites, startsAverage };
      const exposed = this.#exposed;
      step = this.#compile((rowClass) => ({ ...this.#compose(rowClass, variant), exposed }));
      this.#compiled[key] = step;
    }
    return step;
  }

  /** What moves values and averages. */
  move(move: Move): CompiledStep {
    this.#moves[move] ??= this.#compile(({ dtype }) => composeMove(move, dtype));
    return this.#moves[move];
  }

  #compile(programOf: (rowClass: ClassSettings) => Program): CompiledStep {
    return this.backend.compile(this.classes.list.map(programOf), this.classes.list);
  }
}
