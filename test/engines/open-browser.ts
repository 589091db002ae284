/** A provider for Vitest's browser mode that only opens its page: any browser that takes an address on its command line will do. Vitest and the page talk over a
 *  socket. */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defineBrowserProvider } from "@vitest/browser";

export interface BrowserProgram {
  /** The words of its command, for a page and an empty folder for its profile. */
  command(url: string, profile: string): readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
}

class Opener {
  readonly name = "opener";
  readonly supportsParallelism = false;
  readonly #program: BrowserProgram;
  readonly #opened: { readonly process: ChildProcess; readonly profile: string }[] = [];

  constructor(program: BrowserProgram) {
    this.#program = program;
    process.once("exit", () => this.close());
    process.once("SIGTERM", () => process.exit(143));
  }

  getCommandsContext() {
    return {};
  }

  async openPage(_session: string, url: string): Promise<void> {
    const profile = mkdtempSync(join(tmpdir(), "adamax-browser-"));
    const [program, ...words] = this.#program.command(url, profile);
    const env = { ...process.env, HOME: profile, ...this.#program.env };
    const opened = spawn(program, words, { env, stdio: "ignore", detached: true }); // with its children in a group of its own
    opened.on("error", (error) => console.error(`${program}: ${error.message}`));
    this.#opened.push({ process: opened, profile });
  }

  close(): void {
    for (const { process: opened, profile } of this.#opened.splice(0)) {
      try {
        process.kill(-opened.pid!, "SIGKILL");
      } catch {} // it has ended by itself
      rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
    }
  }
}

export const openBrowser = (program: BrowserProgram) =>
  defineBrowserProvider({ name: "opener", options: program, providerFactory: () => new Opener(program) as never });
