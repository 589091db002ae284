/** The command as a process of its own, from the built package. */

import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

export interface Outcome {
  readonly code: number;
  readonly printed: string;
  readonly complained: string;
}

export const COMMAND = "dist/cli/main.js";

export const execute = (
  program: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Outcome> =>
  new Promise((resolve) => {
    execFile(program, args, { maxBuffer: 2 ** 26, ...options }, (error, printed, complained) =>
      resolve({ code: error ? Number(error.code) : 0, printed, complained }),
    );
  });

export const adamax = (...args: string[]): Promise<Outcome> => execute(process.execPath, [COMMAND, ...args]);

/** The package as it would be published, in a folder of its own. */
export const pack = (): string => {
  const folder = mkdtempSync(join(tmpdir(), "adamax-packed-"));
  execFileSync("npm", ["pack", "--silent", "--pack-destination", folder]);
  return join(folder, readdirSync(folder)[0]!);
};

/** On a terminal that shows colours (util-linux' script makes one): both streams as one. */
export const onTerminal = (env: NodeJS.ProcessEnv, ...args: string[]): Promise<Outcome> => {
  const { NO_COLOR: _, FORCE_COLOR: __, CI: ___, ...rest } = process.env;
  const command = [process.execPath, COMMAND, ...args].map((word) => `'${word}'`).join(" ");
  return execute("script", ["-qec", command, "/dev/null"], { env: { ...rest, TERM: "xterm-256color", ...env } });
};

/** An empty folder that is gone after the test. */
export const emptyFolder = (): string => {
  const path = mkdtempSync(join(tmpdir(), "adamax-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
};
