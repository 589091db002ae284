/** The numbers of each epoch as a line of a file. */

import { OptionError, show } from "../errors.js";
import { checkKinds, oneOf, optional } from "../kinds.js";
import { assertFit } from "./monitor.js";
import type { Callback, EpochResult } from "./training.js";

/** A path (Node), or a function that takes one line after the other, without their ends. */
export type LogTarget = string | URL | ((line: string) => void | Promise<void>);

/** What the lines are. */
export interface LogOptions {
  /** "jsonl": one JSON object in each; numbers that JSON lacks are texts ("NaN"). "csv": numbers under a line with their names. Default: "csv"
   *  for a path that ends in .csv, else "jsonl". */
  format?: "jsonl" | "csv";
}

/** Writes a line for each epoch. A file begins anew with the training; when the training goes on from a checkpoint, the file goes on after the
 *  line of that epoch. Keras' CSVLogger.
 *  @throws OptionError for a path where there is no file system, and, as the training begins, for a folder that is not there. What the file system
 *  throws ends the training. */
export const logEpochs = (target: LogTarget, options: LogOptions = {}): Callback => {
  const file = typeof target === "function" ? null : new LogFile(target);
  const { format } = checkKinds<LogOptions>("logEpochs", options, {
    format: optional(oneOf("jsonl", "csv"), `${file?.path}`.endsWith(".csv") ? "csv" : "jsonl"),
  });
  const write = (line: string) => (file ? file.append(`${line}\n`) : (target as Exclude<LogTarget, string | URL>)(line));
  let isWriter = true;
  let columns: readonly string[] | null = null; // of a CSV file that has been begun

  return {
    name: "logEpochs",
    async onTrainBegin(training) {
      assertFit("logEpochs", training);
      isWriter = training.rank === 0;
      columns = null;
      file?.begin(0);
      if (isWriter) await file?.assertFolder();
    },
    async onEpochEnd(result) {
      if (!isWriter) return;
      await file?.open();
      if (format === "csv" && (!columns || file?.bytes === 0)) {
        columns = Object.keys(result);
        await write(columns.join(","));
      }
      await write(columns ? rowOf(result, columns) : JSON.stringify(result, (_, value) => textOf(value)));
    },
    state: () => ({ columns, bytes: file?.bytes ?? 0 }),
    restore(state) {
      const saved = state as { columns: typeof columns; bytes: number };
      columns = saved.columns;
      file?.begin(saved.bytes);
    },
  };
};

const textOf = (value: unknown): unknown => (typeof value === "number" && !Number.isFinite(value) ? `${value}` : value);

const rowOf = (result: EpochResult, columns: readonly string[]): string => {
  const names = Object.keys(result);
  if (names.length === columns.length && names.every((name) => columns.includes(name)))
    return columns.map((name) => `${result[name]}`).join(",");
  throw new OptionError(
    "The columns of a CSV log are those of its first epoch",
    `columns ${columns.join(",")}, and an epoch with ${names.join(",")}`,
    'Log to another file, or with format: "jsonl".',
  );
};

/** A file that goes on after so many bytes. */
class LogFile {
  readonly path: string | URL;
  /** Written so far. */
  bytes = 0;
  #begun = false;

  constructor(path: string | URL) {
    if (!((typeof path === "string" && path !== "") || path instanceof URL))
      throw new OptionError("logEpochs takes a path, or a function that takes a line", show(path), "Pass one of them.");
    this.path = path;
  }

  /** @throws OptionError: after an epoch of hours it would come late. */
  async assertFolder(): Promise<void> {
    const { stat } = await nodeFiles();
    const folder = this.path instanceof URL ? new URL(".", this.path) : this.path.replace(/[^/\\]*$/, ".");
    if (!(await stat(folder).catch(() => null))?.isDirectory())
      throw new OptionError("logEpochs writes into a folder that is there", show(`${this.path}`), "Make its folder first.");
  }

  /** Nothing is touched before the first line. */
  begin(bytes: number): void {
    this.bytes = bytes;
    this.#begun = false;
  }

  async open(): Promise<void> {
    if (this.#begun) return;
    const { stat, truncate, writeFile } = await nodeFiles();
    await writeFile(this.path, "", { flag: "a" }); // so that there is one
    this.bytes = Math.min(this.bytes, (await stat(this.path)).size);
    await truncate(this.path, this.bytes);
    this.#begun = true;
  }

  async append(text: string): Promise<void> {
    const { appendFile } = await nodeFiles();
    await appendFile(this.path, text);
    this.bytes += new TextEncoder().encode(text).length;
  }
}

const nodeFiles = () => builtin<typeof import("node:fs/promises")>("fs/promises");

/** One of Node's own modules, not imported, so that bundlers for browsers find nothing to resolve. */
const builtin = async <Module>(name: string): Promise<Module> => {
  const module = (globalThis as { process?: NodeJS.Process }).process?.getBuiltinModule?.(`node:${name}`);
  if (module) return module as Module;
  throw new OptionError("logEpochs writes to a path in Node", "a path in a browser", "Pass a function that takes a line.");
};
