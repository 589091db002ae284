/** Node's own modules. They are not imported, so that bundlers for browsers find nothing to resolve. */

import { OptionError, show } from "../../errors.js";

const builtin = async <Module>(name: string): Promise<Module> => {
  const module = (globalThis as { process?: NodeJS.Process }).process?.getBuiltinModule?.(`node:${name}`);
  if (!module)
    throw new OptionError(
      "A path can be used only where there is a file system, in Node",
      "a path in a browser",
      "Pass a file of OPFS, a Blob or a stream.",
    );
  return module as Module;
};

export const nodeFiles = () => builtin<typeof import("node:fs/promises")>("fs/promises");
export const nodePaths = () => builtin<typeof import("node:path")>("path");
export const nodeSystem = () => builtin<typeof import("node:os")>("os");

/** What to do when a file cannot be opened because so many are open, by the system's code. */
export const TOO_MANY_OPEN: Readonly<Record<string, string>> = {
  EMFILE: "Close files, or let this process have more of them open (ulimit -n).",
  ENFILE: "Close files: the whole machine has too many of them open.",
};

export const pathOf = (path: string | URL): string => {
  if (typeof path === "string") {
    if (path === "") throw new OptionError("A path cannot be empty", '""', "Name a file.");
    return path;
  }
  if (path.protocol !== "file:")
    throw new OptionError(
      "A URL of a checkpoint must be that of a file",
      show(path.href),
      "Fetch it, and pass the Blob: await response.blob().",
    );
  const text = decodeURIComponent(path.pathname);
  return /^\/[A-Za-z]:\//.test(text) ? text.slice(1) : text; // a drive of Windows
};
