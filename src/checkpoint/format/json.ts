/** JSON that somebody else may have written: read without trusting it, written without losing anything. */

import { CheckpointError, OptionError, show } from "../../errors.js";

/** What JSON can say. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** Deeper than anybody writes by hand, and shallow enough for every recursion over it. */
const DEEPEST = 200;
/** Values in one text: of more, the objects would take hundreds of MiB. */
const MOST_VALUES = 1_500_000;

/** The value of `text`. `what` is its name in errors.
 *  @throws CheckpointError for text that is not JSON, is nested deeper than `deepest`, or holds more than 1.5 million values. */
export const parseJson = (text: string, what: string, deepest = DEEPEST): JsonValue => {
  const excess = excessOf(text, deepest);
  if (excess) throw unreadable(what, excess);
  try {
    return JSON.parse(text) as JsonValue;
  } catch (error) {
    throw unreadable(what, (error as Error).message);
  }
};

/** Like parseJson, for values that are handed out: merging a key `__proto__` into an object would change its class.
 *  @throws CheckpointError where there is such a key. */
export const parsePlainJson = (text: string, what: string): JsonValue => {
  const value = parseJson(text, what);
  if (hasProto(value)) throw unreadable(what, "a key __proto__");
  return value;
};

const hasProto = (value: JsonValue): boolean =>
  typeof value === "object" && value !== null && (Object.hasOwn(value, "__proto__") || Object.values(value).some(hasProto));

const unreadable = (what: string, received: string): CheckpointError =>
  new CheckpointError(`${what} cannot be read`, received, "The file is damaged, or was not written by this library.");

/** What is too much of in a JSON text, in words, found without parsing it; null for nothing. */
const excessOf = (text: string, deepest: number): string | null => {
  let depth = 0;
  let values = 1;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (quoted) {
      if (code === BACKSLASH) i++;
      else if (code === QUOTE) quoted = false;
    } else if (code === QUOTE) quoted = true;
    else if (code === COMMA) values++;
    else if (code === BRACKET || code === BRACE) {
      values++;
      if (++depth > deepest) return `JSON nested deeper than ${deepest}`;
    } else if (code === BRACKET + 2 || code === BRACE + 2) depth--;
  }
  return values > MOST_VALUES ? `JSON of more than ${MOST_VALUES} values` : null;
};
const [QUOTE, COMMA, BACKSLASH, BRACKET, BRACE] = [0x22, 0x2c, 0x5c, 0x5b, 0x7b] as const;

/** JSON from which the same value is read again; with `asZero`, 0 for -0.
 *  @throws OptionError that names the part that JSON cannot hold: NaN, a function, undefined, a class ... */
export const stringifyJson = (value: unknown, what: string, asZero = false): string => {
  assertJson(value, what, 1, asZero);
  const text = JSON.stringify(value);
  assertReadable(text, what);
  return text;
};

/** @throws CheckpointError for JSON that parseJson would refuse for its size. */
export const assertReadable = (text: string, what: string): void => {
  const excess = excessOf(text, DEEPEST);
  if (excess) throw new CheckpointError(`${what} cannot be saved`, excess, "Keep large data in files of its own.");
};

const assertJson = (value: unknown, what: string, depth: number, asZero: boolean): void => {
  const refuse: (received: string) => never = (received) => {
    throw new OptionError(
      `${what} must be JSON`,
      received,
      "Save numbers that are finite, strings, booleans, null, and arrays and plain objects of them.",
    );
  };
  if (depth > DEEPEST) refuse(`a value nested deeper than ${DEEPEST}, or a circle`);
  if (value === null || typeof value === "boolean" || typeof value === "string") return;
  if (typeof value === "number") {
    if (Object.is(value, -0) && !asZero) refuse("-0");
    if (!Number.isFinite(value)) refuse(show(value));
    return;
  }
  if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) assertJson(item, `${what}[${i}]`, depth + 1, asZero);
    return;
  }
  const prototype = typeof value === "object" && Object.getPrototypeOf(value);
  if (typeof value !== "object" || (prototype !== Object.prototype && prototype !== null) || "toJSON" in value)
    refuse(show(value));
  for (const [key, item] of Object.entries(value)) {
    if (key === "__proto__") refuse("a key __proto__");
    assertJson(item, `${what}.${key}`, depth + 1, asZero);
  }
};
