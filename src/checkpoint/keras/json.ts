/** JSON as Python reads and writes it. */

import type { JsonValue } from "../format/json.js";

/** Numbers that Python must read as floats, also where they are whole: Keras refuses to compute with an integer rate. */
const FLOATS =
  /^(learning_rate|initial_learning_rate|end_learning_rate|beta_1|beta_2|epsilon|weight_decay|clipnorm|clipvalue|global_clipnorm|ema_momentum|loss_scale_factor|decay_rate|alpha|power|t_mul|m_mul|warmup_target|initial_scale|values)$/;

/** JSON with the point in floats. */
export const pythonJson = (value: JsonValue, isFloat = false): string => {
  if (typeof value === "number")
    return isFloat && Number.isInteger(value) && Math.abs(value) < 1e15 ? `${JSON.stringify(value)}.0` : JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((item) => pythonJson(item, isFloat)).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{${Object.entries(value)
    .map(([key, item]) => `${JSON.stringify(key)}: ${pythonJson(item, FLOATS.test(key))}`)
    .join(", ")}}`;
};

/** `text`, which is valid JSON, with the value at `path` replaced, or added where only its key is missing. All else stays as it was written, 1.0 too. */
export const replaceInJson = (text: string, path: readonly string[], replacement: string): string => {
  let at = skipSpace(text, 0);
  for (const [depth, key] of path.entries()) {
    const value = placeOf(text, at, key);
    if (value === undefined) {
      const wrapped = path.slice(depth + 1).reduceRight((inner, name) => `{${JSON.stringify(name)}: ${inner}}`, replacement);
      const empty = text[skipSpace(text, at + 1)] === "}";
      return `${text.slice(0, at + 1)}${JSON.stringify(key)}: ${wrapped}${empty ? "" : ", "}${text.slice(at + 1)}`;
    }
    at = value;
    if (text[at] !== "{" && depth < path.length - 1) {
      const wrapped = path.slice(depth + 1).reduceRight((inner, name) => `{${JSON.stringify(name)}: ${inner}}`, replacement);
      return text.slice(0, at) + wrapped + text.slice(skipValue(text, at));
    }
  }
  return text.slice(0, at) + replacement + text.slice(skipValue(text, at));
};

const skipSpace = (text: string, at: number): number => {
  while (" \t\r\n".includes(text[at] ?? "x")) at++;
  return at;
};

const skipText = (text: string, at: number): number => {
  for (at++; text[at] !== '"'; at++) if (text[at] === "\\") at++;
  return at + 1;
};

/** Where the value that begins at `at` ends. */
const skipValue = (text: string, at: number): number => {
  let depth = 0;
  do {
    const letter = text[at]!;
    if (letter === '"') at = skipText(text, at);
    else {
      if ("{[".includes(letter)) depth++;
      if ("}]".includes(letter)) depth--;
      at++;
      if (depth === 0 && !"}]".includes(letter)) while (at < text.length && !",}] \t\r\n".includes(text[at]!)) at++;
    }
  } while (depth > 0);
  return at;
};

/** Where the value of `key` begins in the object that begins at `at`. */
const placeOf = (text: string, at: number, key: string): number | undefined => {
  at = skipSpace(text, at + 1);
  while (text[at] === '"') {
    const end = skipText(text, at);
    const name = JSON.parse(text.slice(at, end)) as string;
    const value = skipSpace(text, skipSpace(text, end) + 1);
    if (name === key) return value;
    at = skipSpace(text, skipValue(text, value));
    if (text[at] !== ",") return undefined;
    at = skipSpace(text, at + 1);
  }
  return undefined;
};

/** Python's tuples are lists here. A SavedModel marks them: `PiecewiseConstantDecay((100,), (0.1, 0.01))` has two. */
export const withoutTuples = (value: JsonValue): JsonValue => {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(withoutTuples);
  const { class_name: className, items } = value as { readonly [key: string]: JsonValue };
  if (className === "__tuple__" && Array.isArray(items)) return items.map(withoutTuples);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withoutTuples(one)]));
};
