/** What an option may be. For schedules, `fit` and callbacks; an optimizer's options are in options.ts. */

import { nearest, OptionError, show } from "./errors.js";

/** One option: what it must be, in words and as a test, and its default unless it must be given. */
export interface Kind<Value> {
  readonly wanted: string;
  readonly holds: (value: unknown) => boolean;
  readonly byDefault?: Value;
}

export type Kinds<Options> = { readonly [Name in keyof Options]-?: Kind<Exclude<Options[Name], undefined>> };
export type Checked<Options> = { readonly [Name in keyof Options]-?: Exclude<Options[Name], undefined> };

/** `options` with every default filled in. `owner` is whose they are, for the errors. null counts as not given, as in Keras' configs.
 *  @throws OptionError for an option that is unknown, missing, or not of its kind. */
export const checkKinds = <Options extends object>(owner: string, options: Options, kinds: Kinds<Options>): Checked<Options> => {
  const names = Object.keys(kinds) as (keyof Options & string)[];
  if (typeof options !== "object" || options === null)
    throw new OptionError(
      `${owner} takes one object of options. Received: ${show(options)}. Pass { ${names[0]}: ..., ... }, with ${names.join(", ")}.`,
    );
  for (const [name, value] of Object.entries(options))
    if (!Object.hasOwn(kinds, name)) {
      const near = nearest(name, names);
      throw new OptionError(
        `${owner} has no such option. Received: ${name}=${show(value)}. ${near ? `Did you mean ${near}?` : `It takes ${names.join(", ")}.`}`,
      );
    }

  const checked: Partial<Record<keyof Options, unknown>> = {};
  for (const name of names) {
    const { wanted, holds, byDefault } = kinds[name];
    const optional = "byDefault" in kinds[name];
    const value = options[name] ?? undefined;
    if (value === undefined ? !optional : !holds(value))
      throw new OptionError(
        `${name} of ${owner} must be ${wanted}. Received: ${name}=${show(options[name])}. ` +
          (optional
            ? `Give such a value, or leave it out for the default, ${show(byDefault)}.`
            : "Give such a value: there is no default."),
      );
    checked[name] = value === undefined ? byDefault : value;
  }
  return checked as Checked<Options>;
};

/** The same kind, of an option that may be left out. */
export const optional = <Value, Default>({ wanted, holds }: Kind<Value>, byDefault: Default): Kind<Value | Default> => ({
  wanted,
  holds,
  byDefault,
});

export const atLeast = (least: number): Kind<number> => ({
  wanted: `a finite number of ${least} or more`,
  holds: (value) => Number.isFinite(value) && (value as number) >= least,
});
export const nonNegative = atLeast(0);
export const positive: Kind<number> = {
  wanted: "a finite number above 0",
  holds: (value) => Number.isFinite(value) && (value as number) > 0,
};
export const nonNegatives: Kind<readonly number[]> = {
  wanted: "an array of finite numbers of 0 or more, at least one",
  holds: (value) => Array.isArray(value) && value.length > 0 && value.every(nonNegative.holds),
};
export const integerFrom = (least: number): Kind<number> => ({
  wanted: `an integer of ${least} or more`,
  holds: (value) => Number.isInteger(value) && (value as number) >= least,
});
export const flag: Kind<boolean> = { wanted: "true or false", holds: (value) => typeof value === "boolean" };
export const text: Kind<string> = { wanted: "a string", holds: (value) => typeof value === "string" };
export const oneOf = <Value extends string>(...values: Value[]): Kind<Value> => ({
  wanted: values.map((value) => show(value)).join(" or "),
  holds: (value) => values.includes(value as Value),
});
