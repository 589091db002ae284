/** An update rule as data: what it is called, what it keeps per element, its numbers, and its equations. */

import { nonNegative as atLeastZero, belowOne, isObject, type Kind, optional, upToOne } from "../kinds.js";
import type { Expression } from "./expression.js";

/** A number of the rule: its default and the range that it must lie in. */
export type Hyperparameter = Kind<number>;

/** In [0, 1): how much of the past is kept in each step. */
export const decayRate = (byDefault: number): Hyperparameter => optional(belowOne, byDefault);
/** In [0, 1]: like decayRate, but nothing may be forgotten at all. */
export const fraction = (byDefault: number): Hyperparameter => optional(upToOne, byDefault);
/** 0 or more. */
export const nonNegative = (byDefault: number): Hyperparameter => optional(atLeastZero, byDefault);

/** The scalars of a step: its learning rate (with the variable's multiplier), and `step`, 1 in the first update. */
export interface Scalars {
  readonly learningRate: Expression;
  readonly step: Expression;
}

/** An update rule. Make one with `defineRule`, which knows the names of its slots and hyperparameters, and checks it. */
export interface UpdateRule<Slot extends string = string, Hyper extends string = string> {
  /** The name of the optimizer, as in a configuration's class_name. */
  readonly name: string;
  /** The arrays that the rule keeps for each variable; zeros at first. */
  readonly slots: readonly Slot[];
  readonly hyperparameters: Readonly<Record<Hyper, Hyperparameter>>;
  /** The least factor by which a slot can shrink in one step when gradients are zero. Slots are cleared of tiny numbers every
   *  few steps, as many as this allows; without it, in every step. */
  readonly leastDecay?: (hyperparameters: Readonly<Record<Hyper, number>>) => number;
  /** The equations: from the variable `w`, its gradient `g` and the slots to the new `w` and the new slots. Every operation rounds
   *  once to the variable's dtype. Called a few times, when programs are composed; never in a step. */
  update(
    inputs: Readonly<Record<Slot | "w" | "g", Expression>>,
    scalars: Scalars,
    hyperparameters: Readonly<Record<Hyper, number>>,
  ): Readonly<Record<Slot | "w", Expression>>;
}

/** What `defineRule` returned: it freezes what it has checked. */
export const definedRule: Kind<UpdateRule> = {
  wanted: "what defineRule returned",
  holds: (value) => isObject(value) && Object.isFrozen(value),
};

/** A rule with its hyperparameters filled in: from the arrays of a variable to their new values. */
export type BoundRule = (inputs: Readonly<Record<string, Expression>>, scalars: Scalars) => Readonly<Record<string, Expression>>;

export const bindRule =
  (rule: UpdateRule, hyperparameters: Readonly<Record<string, number>>): BoundRule =>
  (inputs, scalars) =>
    rule.update(inputs, scalars, hyperparameters);

/** Steps between two clearings of tiny numbers: the largest power of two up to 16 in which a slot shrinks by less than 2^-24, so that
 *  what was 2^-90 (TINY) stays clear of subnormal numbers (2^-126) with room for the products of a step. */
export const flushPeriod = (rule: UpdateRule, hyperparameters: Readonly<Record<string, number>>): number => {
  const leastDecay = rule.leastDecay?.(hyperparameters) ?? 0;
  let period = 16;
  while (period > 1 && leastDecay ** period < 2 ** -24) period /= 2;
  return period;
};
