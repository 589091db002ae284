/** JSON that keeps every number: JSON itself has no NaN, no infinity and no -0. */

/** The same value, where each number that JSON lacks is written as { "$number": "NaN" }. */
export const toJson = (value: unknown): unknown => {
  if (typeof value === "number") return isPlain(value) ? value : { $number: Object.is(value, -0) ? "-0" : `${value}` };
  return mapped(value, toJson);
};

/** What `toJson` was given. */
export const fromJson = (value: unknown): unknown => {
  const { $number } = (value ?? {}) as { $number?: unknown };
  return typeof $number === "string" ? Number($number) : mapped(value, fromJson);
};

const isPlain = (value: number): boolean => Number.isFinite(value) && !Object.is(value, -0);

/** Arrays and plain objects, part by part; everything else as it is. */
const mapped = (value: unknown, map: (part: unknown) => unknown): unknown => {
  if (Array.isArray(value)) return value.map(map);
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, map(part)]));
};
