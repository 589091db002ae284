/** What the schedules of Keras have in common: one object of options, checked once, and written back in Keras' spelling. */

import { nearest, OptionError, show } from "../errors.js";
import { LearningRateSchedule, snakeCase } from "./schedule.js";

/** What an option must be, in words and as a test, and its default unless it must be given. */
interface Kind<Value> {
  readonly words: string;
  readonly holds: (value: unknown) => boolean;
  readonly byDefault?: Value;
}

/** One kind for each option; one that may be left out has a default. */
type Kinds<Options> = { readonly [Name in keyof Options]-?: Kind<Exclude<Options[Name], undefined>> };
type Settings<Options> = { readonly [Name in keyof Options]-?: Exclude<Options[Name], undefined> };

export abstract class KerasSchedule<Options extends object> extends LearningRateSchedule {
  /** The options, checked, every default filled in. */
  readonly settings: Settings<Options>;

  /** @throws OptionError for an option that is missing, unknown or out of range. null counts as not given, as in Keras' configs. */
  protected constructor(className: string, options: Options, kinds: Kinds<Options>) {
    super();
    const names = Object.keys(kinds) as (keyof Options & string)[];
    if (typeof options !== "object" || options === null)
      throw new OptionError(
        `${className} takes one object of options. Received: ${show(options)}. Write new ${className}({ ${names[0]}: ..., ... }).`,
      );
    for (const name of Object.keys(options))
      if (!Object.hasOwn(kinds, name))
        throw new OptionError(
          `${className} has no such option. Received: ${name}=${show(options[name as never])}. ` +
            `${meant(nearest(name, names))}It takes ${names.join(", ")}.`,
        );

    const settings: Record<string, unknown> = {};
    for (const name of names) {
      const { words, holds, byDefault } = kinds[name];
      const value = options[name] ?? byDefault;
      if (value === undefined || (value !== byDefault && !holds(value)))
        throw new OptionError(
          `${name} of ${className} must be ${words}. Received: ${name}=${show(options[name])}. ` +
            (byDefault === undefined
              ? "Give one: it has no default."
              : `Give one, or leave it out for the default, ${show(byDefault)}.`),
        );
      settings[name] = Array.isArray(value) ? [...value] : value;
    }
    this.settings = settings as Settings<Options>;
  }

  getConfig(): Record<string, unknown> {
    return Object.fromEntries(
      Object.entries(this.settings).map(([name, value]) => [snakeCase(name), Array.isArray(value) ? [...value] : value]),
    );
  }
}

const meant = (name: string | undefined) => (name ? `Did you mean ${name}? ` : "");

const kind = <Value>(words: string, holds: (value: unknown) => boolean, byDefault?: Value): Kind<Value> =>
  byDefault === undefined ? { words, holds } : { words, holds, byDefault };

const atLeast = (least: number) => (value: unknown) => Number.isFinite(value) && (value as number) >= least;

/** A finite number of `least` or more. */
export const number = <Value = number>(least: number, byDefault?: Value) =>
  kind(`a finite number, at least ${least}`, atLeast(least), byDefault);

/** A count of steps; fractions are allowed, as in Keras. */
export const steps = () => kind<number>("a finite number above 0", (value) => Number.isFinite(value) && (value as number) > 0);

/** At least one finite number of `least` or more. */
export const numbers = (least: number) =>
  kind<readonly number[]>(
    `an array of finite numbers, at least ${least}, and not empty`,
    (value) => Array.isArray(value) && value.length > 0 && value.every(atLeast(least)),
  );

export const flag = (byDefault: boolean) => kind("true or false", (value) => typeof value === "boolean", byDefault);

export const text = (byDefault: string) => kind("a string", (value) => typeof value === "string", byDefault);
