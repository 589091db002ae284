/** What a command takes, as a table; from it what the user wrote is read, and the help is written. */

import { parseArgs } from "node:util";
import { nearest } from "../errors.js";

/** Wrong use: shown with a hint at the help, exit code 2. */
export class UsageError extends Error {}

export interface Option {
  /** What the help says of it. */
  readonly about: string;
  /** What stands for its value in the help; a switch has none. */
  readonly value?: string;
  /** Said in the help. */
  readonly default?: string;
}

export interface Command {
  readonly about: string;
  /** "<in> <out>": as many as that; "[words...]": any number. */
  readonly takes: string;
  /** What the help says of them, by name. */
  readonly words?: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, Option>>;
  /** At the end of the help. */
  readonly more: string;
}

/** Switches and values that were given. */
export type Options = Readonly<Record<string, string | boolean | undefined>>;

/** Those of every command. */
export const COMMON: Readonly<Record<string, Option>> = {
  debug: { about: "show where an error came from" },
  help: { about: "show this" },
};

const SHORT: Readonly<Record<string, string>> = { help: "h", version: "V" };

/** @throws UsageError for what there is not, and for too much or too little. */
export const read = (
  args: readonly string[],
  known: Readonly<Record<string, Option>>,
  takes: string,
): { words: string[]; options: Options } => {
  const options = Object.fromEntries(
    Object.entries(known).map(([name, { value }]) => [
      name,
      { type: value === undefined ? ("boolean" as const) : ("string" as const), ...(SHORT[name] && { short: SHORT[name] }) },
    ]),
  );
  const letters = Object.keys(known).flatMap((name) => SHORT[name] ?? []);
  for (const arg of args) {
    if (arg === "--") break;
    const [, letter] = /^-([a-z])/i.exec(arg) ?? [];
    if (letter !== undefined && !letters.includes(letter)) {
      const near = letters.find((other) => other.toLowerCase() === letter.toLowerCase());
      throw new UsageError(`There is no option -${letter}.${near ? ` Did you mean -${near}?` : ""}`);
    }
    const [, name] = /^--([^=]+)/.exec(arg) ?? [];
    if (name === undefined || name in known) continue;
    const near = nearest(name, Object.keys(known));
    throw new UsageError(`There is no option --${name}.${near ? ` Did you mean --${near}?` : ""}`);
  }
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    for (const [name, value] of Object.entries(values)) if (value === "") throw new UsageError(`--${name} is given, but empty.`);
    if (!values.help) checkCount(positionals, takes);
    return { words: positionals, options: values };
  } catch (error) {
    if (error instanceof UsageError || !`${(error as { code?: unknown }).code}`.startsWith("ERR_PARSE_ARGS")) throw error;
    throw new UsageError((error as Error).message);
  }
};

const checkCount = (words: readonly string[], takes: string): void => {
  if (takes.endsWith("...]")) return;
  const wanted = takes === "" ? [] : takes.split(" ");
  if (words.length < wanted.length) throw new UsageError(`${wanted[words.length]} is missing.`);
  if (words.length > wanted.length)
    throw new UsageError(`It takes ${wanted.length === 0 ? "nothing" : takes}. Received one too many: ${words[wanted.length]}.`);
};

/** The name of a command.
 *  @throws UsageError */
export const chosen = <Commands extends object>(name: string | undefined, commands: Commands): keyof Commands & string => {
  const names = Object.keys(commands) as (keyof Commands & string)[];
  if (name === undefined) throw new UsageError(`A command is missing. Known: ${names.join(", ")}.`);
  const found = names.find((known) => known === name);
  if (found) return found;
  const near = nearest(name, names);
  throw new UsageError(`There is no command ${name}. ${near ? `Did you mean ${near}?` : `Known: ${names.join(", ")}.`}`);
};

const WIDTH = 100;

/** Two columns; the second one wrapped. */
export const columns = (rows: readonly (readonly [string, string])[]): string => {
  const first = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(first)}  ${wrapped(right, WIDTH - first - 4, first + 4)}`).join("\n");
};

const wrapped = (text: string, width: number, indent: number): string =>
  text.replace(new RegExp(`(.{1,${width}})(?: +|$)`, "g"), `$1\n${" ".repeat(indent)}`).trimEnd();

export const optionsHelp = (options: Readonly<Record<string, Option>>): string =>
  columns(
    Object.entries(options).map(([name, { about, value, default: usual }]) => [
      `${SHORT[name] ? `-${SHORT[name]}, ` : ""}--${name}${value === undefined ? "" : ` <${value}>`}`,
      usual === undefined ? about : `${about} (default: ${usual})`,
    ]),
  );

export const helpOf = (name: string, { about, takes, words, options, more }: Command): string =>
  [
    `Usage: adamax ${name} [options]${takes === "" ? "" : ` ${takes}`}`,
    about,
    ...(words ? [`Arguments:\n${columns(Object.entries(words))}`] : []),
    `Options:\n${optionsHelp({ ...options, ...COMMON })}`,
    more,
  ].join("\n\n");
