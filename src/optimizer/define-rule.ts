/** The door of the language of rules: what is wrong with a rule is said when it is defined or first recorded. */

import { nearest, OptionError, show } from "../errors.js";
import { arrayOf, callable, check, checkKinds, type Kind, type Kinds, optional, text, upToOne } from "../kinds.js";
import { Expression } from "../rule/expression.js";
import type { Hyperparameter, UpdateRule } from "../rule/update-rule.js";
import { camelCase } from "../spelling.js";
import { isOption } from "./options.js";

const isWord = (value: unknown): boolean => typeof value === "string" && /^\p{L}[\p{L}\p{N}_]*$/u.test(value);

const slot: Kind<string> = { wanted: "a word, of letters, digits and _, that begins with a letter", holds: isWord };

const hyperparameters: Kind<UpdateRule["hyperparameters"]> = {
  wanted: "an object such as { beta1: decayRate(0.9) }",
  holds: (value) => typeof value === "object" && value !== null && !Array.isArray(value),
};

const PARTS: Kinds<UpdateRule> = {
  name: text,
  slots: arrayOf(slot),
  hyperparameters,
  leastDecay: optional(callable as Kind<NonNullable<UpdateRule["leastDecay"]>>, null as never),
  update: callable as unknown as Kind<UpdateRule["update"]>,
};

/** An update rule, typed from its own words: the names of its slots and hyperparameters.
 *  @throws OptionError for a part that is missing, unknown or of the wrong kind, for names that are taken, and for a default out of its
 *  range. What is wrong with `update` is found when an optimizer of the rule makes its first step, because then it is called. */
export const defineRule = <const Slot extends string = never, Hyper extends string = never>(
  rule: UpdateRule<Slot, Hyper>,
): UpdateRule<Slot, Hyper> => {
  const { name, slots, hyperparameters, leastDecay } = checkKinds("defineRule", rule as unknown as UpdateRule, PARTS);
  const names = ["w", "g", ...Object.keys(hyperparameters), ...slots];
  const twice = names.find((one, i) => names.indexOf(one) < i);
  if (twice !== undefined)
    throw new OptionError(
      `What ${name} computes with needs names that differ: w, g, the hyperparameters and the slots`,
      `${twice} twice`,
      "Rename one.",
    );
  for (const [hyper, kind] of Object.entries(hyperparameters)) checkHyperparameter(name, hyper, kind);
  const defined: UpdateRule<Slot, Hyper> = {
    name,
    slots: slots as readonly Slot[],
    hyperparameters: Object.fromEntries(
      Object.entries<Hyperparameter>(rule.hyperparameters).map(finite),
    ) as typeof rule.hyperparameters,
    ...(leastDecay && { leastDecay: (numbers) => check(name, "leastDecay", leastDecay(numbers), upToOne) }),
    update: (inputs, scalars, numbers) => checked(name, inputs, ["w", ...slots], () => rule.update(inputs, scalars, numbers)),
  };
  return Object.freeze(defined);
};

const checkHyperparameter = (rule: string, name: string, kind: Hyperparameter): void => {
  if (!isWord(name) || camelCase(name) !== name || isOption(name))
    throw new OptionError(
      `A hyperparameter of ${rule} becomes an option, so it needs a name in camelCase that no option has`,
      show(name),
      "Rename it.",
    );
  const { wanted, holds } = Object(kind) as Partial<Hyperparameter>;
  if (typeof wanted !== "string" || typeof holds !== "function")
    throw new OptionError(
      `The hyperparameter ${name} of ${rule} must say its range`,
      `${name}: ${show(kind)}`,
      `Write ${name}: decayRate(x), fraction(x) or nonNegative(x), where x is the default, or { byDefault: x, wanted, holds }.`,
    );
  if ("byDefault" in kind && !(Number.isFinite(kind.byDefault) && holds(kind.byDefault)))
    throw new OptionError(
      `The default of ${name} of ${rule} must be ${wanted}`,
      show(kind.byDefault),
      "Choose one in this range, or another range.",
    );
};

/** Its own test need only know its range. */
const finite = ([name, kind]: [string, Hyperparameter]): [string, Hyperparameter] => [
  name,
  { ...kind, holds: (value) => Number.isFinite(value) && kind.holds(value) },
];

type Expressions<Name extends string> = Readonly<Record<Name, Expression>>;

/** What `update` returns: the new value for each of `names`. */
const checked = <Name extends string>(
  rule: string,
  inputs: Expressions<Name>,
  names: readonly string[],
  update: () => Expressions<Name>,
): Expressions<Name> => {
  const updated = recorded(rule, update);
  const returned: Readonly<Record<string, unknown>> = Object(updated);
  const unknown = Object.keys(returned).find((name) => !names.includes(name));
  const wrong = unknown ?? names.find((name) => !(returned[name] instanceof Expression));
  if (wrong !== undefined) {
    const near = unknown === undefined ? undefined : nearest(unknown, names);
    throw new OptionError(
      `The update of ${rule} must return { ${names.join(", ")} }: an expression for each, and nothing else`,
      `${show(updated)}, with ${wrong}: ${show(returned[wrong])}`,
      near
        ? `Did you mean ${near}?`
        : "Return a slot that stays as it is as it came, and constant(x) for a number. No async: update only records.",
    );
  }
  if (names.every((name) => returned[name] === (inputs as Readonly<Record<string, unknown>>)[name]))
    throw new OptionError(
      `The update of ${rule} changes nothing`,
      `${names.join(", ")} as they came`,
      "Return what it computes.",
    );
  return updated;
};

/** What a rule can be written in. */
const LANGUAGE =
  "Use the methods add, sub, mul, div, sqrt, square, neg and pow, the functions abs, max, min, sign, ifPositive, norm, globalNorm and " +
  "constant, and declared names only.";

/** What `update` returns. An error of an expression, or of JavaScript, such as `g.mean is not a function`, becomes one that says what there is. */
const recorded = <Result>(rule: string, update: () => Result): Result => {
  try {
    return update();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    const wrong = error.message.includes(". Received: ") ? "" : `The update of ${rule} cannot be recorded. Received: `;
    throw Object.assign(new OptionError(`${wrong}${error.message}. ${LANGUAGE}`), { cause: error });
  }
};
