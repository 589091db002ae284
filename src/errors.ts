/** The errors of this library. Every message says what was wrong, what arrived, and what to do about it. */

/** `wrong` alone is a whole message; else it is the first of three parts, which become its sentences. Names in them may come from a file. */
class ExplainedError extends Error {
  constructor(wrong: string, received?: string, remedy?: string) {
    const message = received === undefined ? wrong : `${wrong}. Received: ${received}. ${remedy}`;
    super(message.replace(/[^\n]+/g, (line) => printable(line)));
  }
}

/** An option, a configuration or an argument that cannot be used. */
export class OptionError extends ExplainedError {
  static {
    this.prototype.name = "OptionError";
  }
}

/** Data that does not fit: a length, a shape, a dtype, an index, or a variable that was not expected. */
export class ShapeError extends ExplainedError {
  static {
    this.prototype.name = "ShapeError";
  }
}

/** A backend that cannot do what was asked of it: not available, out of memory, disposed. */
export class BackendError extends ExplainedError {
  /** What could not be done is a step, and nothing of it has been done. */
  declare undone?: boolean;

  static {
    this.prototype.name = "BackendError";
  }
}

/** State that cannot be loaded or saved: missing, of another kind, or damaged. */
export class CheckpointError extends ExplainedError {
  static {
    this.prototype.name = "CheckpointError";
  }
}

/** One line of text that anybody may have written, without what a terminal obeys (escape sequences), what breaks lines, and what hides or turns
 *  around the letters beside it: each becomes an escape of JSON, \u001b. */
export const printable = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (letter) =>
    letter.replace(/./gs, (half) => `\\u${half.charCodeAt(0).toString(16).padStart(4, "0")}`),
  );

/** What arrived, as it should stand in an error message: short, and with its type where the text alone would mislead. */
export const show = (value: unknown): string => {
  if (typeof value === "string") return printable(JSON.stringify(value));
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return `a function${value.name ? ` (${value.name})` : ""}`;
  if (ArrayBuffer.isView(value)) return `${value.constructor.name} of length ${(value as Float32Array).length}`;
  if (Array.isArray(value)) return value.length > 4 ? `an array of length ${value.length}` : `[${value.map(show).join(", ")}]`;
  if (typeof value === "object" && value !== null) return `an object (${value.constructor?.name || "no class"})`;
  return String(value);
};

/** Names in a list, of many the first. */
export const firstOf = (names: readonly string[]): string => `${names.slice(0, 8).join(", ")}${names.length > 8 ? ", ..." : ""}`;

/** A name without what spellings differ in: case and underscores. */
export const plainName = (name: string): string => name.toLowerCase().replaceAll("_", "");

/** Of `known`, the name nearest to `name`: up to three letters more, fewer or other, and at most half of them. */
export const nearest = (name: string, known: readonly string[]): string | undefined => {
  for (let edits = 0; edits <= 3 && 2 * edits <= name.length; edits++) {
    const near = known.find((candidate) => isWithin(edits, plainName(name), plainName(candidate)));
    if (near) return near;
  }
  return undefined;
};

/** Whether so many edits make `b` of `a`: a letter taken out, put in, or replaced. */
const isWithin = (edits: number, a: string, b: string): boolean => {
  if (a === b) return true;
  if (a[0] === b[0]) return isWithin(edits, a.slice(1), b.slice(1));
  return (
    edits > 0 &&
    (isWithin(edits - 1, a.slice(1), b) || isWithin(edits - 1, a, b.slice(1)) || isWithin(edits - 1, a.slice(1), b.slice(1)))
  );
};

/** The array of a variable is not as long any more as when the variable was made. */
export const refuseResized = (variable: object, elements: number): never => {
  throw new ShapeError(`The array of ${variable} was resized or detached`, `${elements} elements`, "Make a new variable.");
};
