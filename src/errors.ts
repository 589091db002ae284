/** The errors of this library. Every message says what was wrong, what arrived, and what to do about it. */

/** An option, a configuration or an argument that cannot be used. */
export class OptionError extends Error {
  override name = "OptionError";
}

/** Data that does not fit: a length, a shape, a dtype, an index, or a variable that was not expected. */
export class ShapeError extends Error {
  override name = "ShapeError";
}

/** A backend that cannot do what was asked of it: not available, out of memory, disposed. */
export class BackendError extends Error {
  override name = "BackendError";
}

/** State that cannot be loaded or saved: missing, of another kind, or damaged. */
export class CheckpointError extends Error {
  override name = "CheckpointError";
}

/** What arrived, as it should stand in an error message: short, and with its type where the text alone would mislead. */
export const show = (value: unknown): string => {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "function") return `a function${value.name ? ` (${value.name})` : ""}`;
  if (ArrayBuffer.isView(value)) return `${value.constructor.name} of length ${(value as Float32Array).length}`;
  if (Array.isArray(value)) return value.length > 4 ? `an array of length ${value.length}` : `[${value.map(show).join(", ")}]`;
  if (typeof value === "object" && value !== null) return `an object (${value.constructor?.name ?? "no class"})`;
  return String(value);
};

/** Of `known`, the name nearest to `name` (edit distance, ignoring case and underscores), or undefined when none is near. */
export const nearest = (name: string, known: readonly string[]): string | undefined => {
  const plain = (text: string) => text.toLowerCase().replaceAll("_", "");
  let best: string | undefined;
  let least = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(plain(name), plain(candidate));
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best;
};

const editDistance = (a: string, b: string): number => {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitute = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(substitute, previous[j]! + 1, current[j - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
};
