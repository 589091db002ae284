/** JSON that somebody else may have written: read without trusting it, written without losing anything. */

import { CheckpointError, OptionError, show } from "../errors.js";

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** Deeper than anybody writes by hand, and shallow enough for every recursion over it. */
const DEEPEST = 200;

/** The value of `text`. `what` is its name in errors.
 *  @throws CheckpointError for text that is not JSON, or is nested deeper than `deepest`. */
export const parseJson = (text: string, what: string, deepest = DEEPEST): JsonValue => {
  if (depthOf(text) > deepest) throw unreadable(what, `JSON nested deeper than ${deepest}`);
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

/** How deep brackets are nested in JSON, without parsing it. */
const depthOf = (text: string): number => {
  let depth = 0;
  let deepest = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (quoted && code === BACKSLASH) i++;
    else if (code === QUOTE) quoted = !quoted;
    else if (!quoted && (code === BRACKET || code === BRACE)) deepest = Math.max(deepest, ++depth);
    else if (!quoted && (code === BRACKET + 2 || code === BRACE + 2)) depth--;
  }
  return deepest;
};
const [QUOTE, BACKSLASH, BRACKET, BRACE] = [0x22, 0x5c, 0x5b, 0x7b] as const;

/** JSON from which the same value is read again.
 *  @throws OptionError that names the part that JSON cannot hold: NaN, a function, undefined, a class ... */
export const stringifyJson = (value: unknown, what: string): string => {
  assertJson(value, what, 1);
  return JSON.stringify(value);
};

const assertJson = (value: unknown, what: string, depth: number): void => {
  const refuse = (received: string): never => {
    throw new OptionError(`${what} must be JSON`, received, "Save numbers that are finite, strings, booleans, null, and arrays and plain objects of them.");
  };
  if (depth > DEEPEST) refuse(`a value nested deeper than ${DEEPEST}, or a circle`);
  if (value === null || typeof value === "boolean" || typeof value === "string") return;
  if (typeof value === "number") return void ((Number.isFinite(value) && !Object.is(value, -0)) || refuse(Object.is(value, -0) ? "-0" : show(value)));
  if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) assertJson(item, `${what}[${i}]`, depth + 1);
    return;
  }
  const prototype = typeof value === "object" && Object.getPrototypeOf(value);
  if (typeof value !== "object" || (prototype !== Object.prototype && prototype !== null) || "toJSON" in value) return refuse(show(value));
  for (const [key, item] of Object.entries(value)) {
    if (key === "__proto__") refuse("a key __proto__");
    assertJson(item, `${what}.${key}`, depth + 1);
  }
};
