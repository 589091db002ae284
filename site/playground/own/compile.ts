/** From the text of a module to the rule that it defines. Runs in a worker only: the text is anybody's. */

import * as library from "adamax";
import { transform } from "sucrase";

/** What is wrong with a rule, and where. */
export interface Problem {
  readonly message: string;
  /** From 1; null: it belongs to no line. */
  readonly line: number | null;
  /** It is no TypeScript; then broken-line.ts finds the line. */
  readonly isSyntax?: boolean;
}

export class RuleError extends Error {
  readonly line: number | null;
  readonly isSyntax: boolean;

  constructor(message: string, line: number | null, isSyntax = false) {
    super(message);
    this.line = line;
    this.isSyntax = isSyntax;
  }
}

/** The name under which engines know the visitor's text. */
const FILE = "rule.ts";
/** Lines that engines put before the body of a function that is made from text. */
const HEADER = 2;

/** The last rule that `source` defines: a module as in the documentation, in TypeScript or JavaScript, that imports from "adamax".
 *  @throws RuleError that says the line. */
export const compileRule = (source: string): library.UpdateRule => {
  const script = toScript(source);
  let defined: library.UpdateRule | null = null;
  const defineRule = (rule: library.UpdateRule): library.UpdateRule => {
    defined = library.defineRule(rule);
    return defined;
  };
  const names = { ...library, defineRule };
  const require = (name: string): unknown => {
    if (name === "adamax") return names;
    throw new Error(`A rule imports from "adamax" alone. Received: ${JSON.stringify(name)}. Remove the import.`);
  };
  try {
    // The text is that of the rule, and of nothing else. Names of the library may be used without an import.
    new Function("require", "exports", ...Object.keys(names), `${script}\n//# sourceURL=${FILE}`)(
      require,
      {},
      ...Object.values(names),
    );
  } catch (error) {
    throw located(error, source);
  }
  if (defined === null)
    throw new RuleError("There is no rule here. Call defineRule({ name, slots, hyperparameters, update }).", null);
  return defined;
};

const toScript = (source: string): string => {
  try {
    return transform(source, { transforms: ["typescript", "imports"], production: true }).code;
  } catch (error) {
    const { message } = error as Error;
    const plain = message.replace(/^Error transforming [^:]*: /, "").replace(/ ?\(\d+:\d+\)/, "");
    throw new RuleError(plain, null, true);
  }
};

/** An error with the line of the visitor's text where it happened; where none of its frames is there, that of `update`. */
export const located = (error: unknown, source: string): RuleError => {
  if (error instanceof RuleError) return error;
  if (!(error instanceof Error)) return new RuleError(`The rule threw ${String(error)}.`, null);
  const { message, stack = "", cause } = error;
  const frames = `${(cause as Error | undefined)?.stack ?? ""}\n${stack}`;
  const [, line] = new RegExp(`${FILE.replace(".", "\\.")}:(\\d+)`).exec(frames) ?? [];
  if (line) return new RuleError(message, Number(line) - HEADER);
  const update = source.split("\n").findIndex((text) => /\bupdate\b/.test(text));
  return new RuleError(message, update < 0 ? null : update + 1);
};
