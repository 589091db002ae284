/** Node's file system, for paths of checkpoints. */

import { OptionError, show } from "../../errors.js";
import { nodeModule } from "../../node-files.js";

const builtin = async <Module>(name: string): Promise<Module> => {
  const module = nodeModule<Module>(name);
  if (module) return module;
  throw new OptionError(
    "A path can be used only where there is a file system, in Node",
    "a path in a browser",
    "Pass a file of OPFS, a Blob or a stream.",
  );
};

export const nodeFiles = () => builtin<typeof import("node:fs/promises")>("fs/promises");
export const nodePaths = () => builtin<typeof import("node:path")>("path");
export const nodeCrypto = () => builtin<typeof import("node:crypto")>("crypto");
export const nodeSystem = () => builtin<typeof import("node:os")>("os");

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
