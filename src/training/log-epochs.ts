/** The numbers of each epoch as a line of a file. */

import { OptionError, show } from "../errors.js";
import { checkKinds, oneOf, optional } from "../kinds.js";
import { nodeModule, remedyOf } from "../node-files.js";
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
 *  @throws OptionError for a path where there is no file system. A file that cannot be written is refused before the first epoch. */
export const logEpochs = (target: LogTarget, options: LogOptions = {}): Callback => {
  const file = typeof target === "function" ? null : new LogFile(target);
  const { format } = checkKinds<LogOptions>("logEpochs", options, {
    format: optional(oneOf("jsonl", "csv"), `${file?.path}`.endsWith(".csv") ? "csv" : "jsonl"),
  });
  const write = (line: string) => (file ? file.append(`${line}\n`) : (target as Exclude<LogTarget, string | URL>)(line));
  let isWriter = true;
  let columns: readonly string[] | null = null; // of a CSV file that has been begun

  return {
    name: `logEpochs(${format}${file ? `, ${file.name}` : ""})`, // of two, none goes on in the other's file
    async onTrainBegin(training) {
      assertFit("logEpochs", training);
      isWriter = training.rank === 0;
      columns = null;
      file?.begin(0);
      if (isWriter) await file?.append("");
    },
    async onEpochEnd(result) {
      if (!isWriter) return;
      await file?.open();
      if (format === "csv" && (!columns || file?.bytes === 0)) {
        columns = Object.keys(result);
        await write(columns.map(quoted).join(","));
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

/** A name in CSV, which may hold what separates them. */
const quoted = (name: string): string => (/[",\r\n]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name);

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
    if (!((typeof path === "string" && path !== "") || (path instanceof URL && path.protocol === "file:")))
      throw new OptionError(
        "logEpochs takes a path, also as a URL of a file, or a function that takes a line",
        path instanceof URL ? show(path.href) : show(path),
        "Pass one of them.",
      );
    this.path = path;
  }

  /** Without its folder, which may be moved between two runs. */
  get name(): string {
    return `${this.path}`.replace(/^.*[/\\]/, "");
  }

  /** What is there stays until the first line. */
  begin(bytes: number): void {
    this.bytes = bytes;
    this.#begun = false;
  }

  async open(): Promise<void> {
    if (this.#begun) return;
    const { stat, truncate } = nodeFiles();
    await this.append(""); // so that there is one
    this.bytes = Math.min(this.bytes, (await stat(this.path)).size);
    await truncate(this.path, this.bytes).catch((error) => this.#refuse(error));
    this.#begun = true;
  }

  /** @throws OptionError where that cannot be written. */
  async append(text: string): Promise<void> {
    await nodeFiles()
      .appendFile(this.path, text)
      .catch((error) => this.#refuse(error));
    this.bytes += new TextEncoder().encode(text).length;
  }

  #refuse(error: NodeJS.ErrnoException): never {
    const refusal = new OptionError(`logEpochs cannot write ${this.path}`, error.message, remedyOf(error));
    throw Object.assign(refusal, { cause: error });
  }
}

const nodeFiles = () => {
  const files = nodeModule<typeof import("node:fs/promises")>("fs/promises");
  if (files) return files;
  throw new OptionError("logEpochs writes to a path in Node", "a path in a browser", "Pass a function that takes a line.");
};
