/** What an option may be, and the one way in which options are checked. */

import { nearest, OptionError, plainName, show } from "./errors.js";

/** One option: what it must be, in words and as a test, and its default unless it must be given. */
export interface Kind<Value> {
  readonly wanted: string;
  readonly holds: (value: unknown) => boolean;
  readonly byDefault?: Value;
}

export type Kinds<Options> = { readonly [Name in keyof Options]-?: Kind<Exclude<Options[Name], undefined>> };
export type Checked<Options> = { readonly [Name in keyof Options]-?: Exclude<Options[Name], undefined> };

/** For an option, what others call it: words in lower case without underscores. */
export type Aliases = Readonly<Record<string, string>>;
export const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;
/** An object whose properties count: no list, and no Map, whose contents would be passed over. */
export const isPlain = (value: unknown): value is object => isObject(value) && !(Symbol.iterator in value);

/** `options` with every default filled in; arrays are copied. `owner` is whose they are, for the errors.
 *  @throws OptionError for an option that is unknown, missing, or not of its kind. */
export const checkKinds = <Options extends object>(
  owner: string,
  options: Options,
  kinds: Kinds<Options>,
  aliases: Aliases = {},
): Checked<Options> => {
  const names = Object.keys(kinds) as (keyof Options & string)[];
  const choice = `It takes ${names.join(", ")}.`;
  if (!isPlain(options)) throw new OptionError(`${owner} takes one object of options`, show(options), choice);
  for (const [name, value] of Object.entries(options)) {
    if (Object.hasOwn(kinds, name)) continue;
    const near = names.find((one) => aliases[one]?.split(" ").includes(plainName(name))) ?? nearest(name, names);
    throw new OptionError(`${owner} has no such option`, `${name}=${show(value)}`, near ? `Did you mean ${near}?` : choice);
  }
  const checked = names.map((name) => {
    const value = check(owner, name, options[name], kinds[name]);
    return [name, Array.isArray(value) ? [...value] : value];
  });
  return Object.fromEntries(checked) as Checked<Options>;
};

/** `value`, or its default: null counts as not given, as in Keras' configs.
 *  @throws OptionError when it is not of its kind, or missing. */
export const check = <Value>(owner: string, name: string, value: unknown, kind: Kind<Value>): Value => {
  if (value == null ? "byDefault" in kind : kind.holds(value)) return (value ?? kind.byDefault) as Value;
  return refuse(owner, name, kind, `${name}=${show(value)}`);
};

/** @throws OptionError for what is not of its kind. */
export const refuse = (owner: string, name: string, kind: Kind<unknown>, received: string): never => {
  const remedy = `Give such a value${"byDefault" in kind ? ", or leave it out" : ""}.`;
  throw new OptionError(`${name} of ${owner} must be ${kind.wanted}`, received, remedy);
};

/** The same kind, of an option that may be left out. */
export const optional = <Value, Default>(kind: Kind<Value>, byDefault: Default): Kind<Value | Default> => ({
  ...kind,
  byDefault,
});

/** A finite number for which `inRange` holds. */
const finite = (range: string, inRange: (value: number) => boolean): Kind<number> => ({
  wanted: `a finite number ${range}`,
  holds: (value) => Number.isFinite(value) && inRange(value as number),
});
export const atLeast = (least: number) => finite(`of ${least} or more`, (value) => value >= least);
export const nonNegative = atLeast(0);
export const positive = finite("above 0", (value) => value > 0);
/** In [0, 1). */
export const belowOne = finite("in [0, 1)", (value) => value >= 0 && value < 1);
/** In [0, 1]. */
export const upToOne = finite("in [0, 1]", (value) => value >= 0 && value <= 1);
export const integerFrom = (least: number): Kind<number> => ({
  wanted: `an integer of ${least} or more`,
  holds: (value) => Number.isSafeInteger(value) && (value as number) >= least,
});
export const flag: Kind<boolean> = { wanted: "true or false", holds: (value) => typeof value === "boolean" };
export const text: Kind<string> = {
  wanted: "a string that is not empty",
  holds: (value) => typeof value === "string" && value !== "",
};
/** A function; of which parameters, only types say. */
export const callable: Kind<(...args: never[]) => unknown> = {
  wanted: "a function",
  holds: (value) => typeof value === "function",
};
export const oneOf = <Value extends string>(...values: Value[]): Kind<Value> => ({
  wanted: values.map(show).join(" or "),
  holds: (value) => values.includes(value as Value),
});
/** Threads that share a step. */
export const threadCount: Kind<number | "auto"> = {
  wanted: '"auto" or an integer from 1 to 256',
  holds: (value) => value === "auto" || (integerFrom(1).holds(value) && (value as number) <= 256),
  byDefault: "auto",
};
/** One or the other. */
export const either = <A, B>(a: Kind<A>, b: Kind<B>): Kind<A | B> => ({
  wanted: `${a.wanted} or ${b.wanted}`,
  holds: (value) => a.holds(value) || b.holds(value),
});
/** What another one checks, or nobody. */
export const anything: Kind<unknown> = { wanted: "anything", holds: () => true, byDefault: null };
export const object: Kind<object> = { wanted: "an object", holds: isPlain };
/** Also NaN. */
export const number: Kind<number> = { wanted: "a number", holds: (value) => typeof value === "number" };
/** Numbers in a typed array or a plain one. */
export const numbers: Kind<ArrayLike<number | bigint>> = {
  wanted: "an array of numbers",
  holds: (value) => ArrayBuffer.isView(value) || (Array.isArray(value) && value.every(number.holds)),
};
/** What `for ... of` goes through, of `items`; texts are not. */
export const listOf = (items: string): Kind<Iterable<never>> => ({
  wanted: `a list of ${items}`,
  holds: (value) => isObject(value) && Symbol.iterator in value && !ArrayBuffer.isView(value),
});
/** An array with elements of one kind. */
export const arrayOf = <Item>({ wanted, holds }: Kind<Item>, least = 0): Kind<readonly Item[]> => ({
  wanted: `an array${least > 0 ? ` of ${least} or more` : ""}, each element ${wanted}`,
  holds: (value) => Array.isArray(value) && value.length >= least && value.every(holds),
});
/** A shape: sizes of the axes, outermost first. */
export const sizes = arrayOf(integerFrom(0));
