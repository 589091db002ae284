/** A folder of checkpoints: of a file system, or of a browser's own. */

import { CheckpointError, OptionError, show } from "../../errors.js";
import { TOO_MANY_OPEN } from "../../node-files.js";
import { nodeFiles, nodePaths, pathOf } from "./node.js";
import { type BrowserFile, type CheckpointSource, UnreadError } from "./source.js";
import type { CheckpointTarget } from "./target.js";

/** A folder of OPFS: `await navigator.storage.getDirectory()`, or one in it. */
export interface BrowserFolder {
  getFileHandle(name: string, options?: { create?: boolean }): Promise<BrowserFile>;
  removeEntry(name: string): Promise<void>;
  keys(): AsyncIterable<string>;
}

export interface Folder {
  /** Of everything in it, be it a file or not. */
  names(): Promise<string[]>;
  /** @throws UnreadError when there is no such file, or it cannot be had. */
  source(name: string): Promise<CheckpointSource>;
  /** Makes the folder if it is not there. @throws CheckpointError where files could not be put into it. */
  prepare(): Promise<void>;
  /** Makes the folder if it is not there. */
  target(name: string): Promise<CheckpointTarget>;
  remove(name: string): Promise<void>;
  /** Called when saving under a new name has failed. */
  abandon(name: string): Promise<void>;
}

export const folderOf = (given: string | URL | BrowserFolder): Folder => {
  if (typeof given === "string" || given instanceof URL) return nodeFolder(pathOf(given));
  if (typeof given?.getFileHandle === "function") return browserFolder(given);
  throw new OptionError("A folder of checkpoints is a path or a folder of OPFS", show(given), "Pass one of them.");
};

const nodeFolder = (folder: string): Folder => {
  const pathTo = async (name: string) => (await nodePaths()).join(folder, name);
  const failed = (what: string) => (error: NodeJS.ErrnoException) => {
    throw Object.assign(
      new CheckpointError(
        `The folder ${folder} cannot be ${what}`,
        error.message,
        TOO_MANY_OPEN[error.code ?? ""] ?? "Check its path and its permissions.",
      ),
      { cause: error },
    );
  };
  const make = async () => (await nodeFiles()).mkdir(folder, { recursive: true }).catch(failed("made"));
  return {
    names: async () =>
      (await nodeFiles()).readdir(folder).catch((error) => (error.code === "ENOENT" ? [] : failed("read")(error))),
    source: pathTo,
    async prepare() {
      await make();
      const { access, constants } = await nodeFiles();
      await access(folder, constants.W_OK).catch(failed("written to"));
    },
    async target(name) {
      await make();
      return pathTo(name);
    },
    remove: async (name) =>
      (await nodeFiles())
        .unlink(await pathTo(name))
        .catch((error) => (error.code === "ENOENT" ? undefined : failed("cleaned up")(error))),
    abandon: async () => {}, // there is no file before it is whole
  };
};

const browserFolder = (folder: BrowserFolder): Folder => ({
  async names() {
    const names: string[] = [];
    for await (const name of folder.keys()) names.push(name);
    return names;
  },
  source: (name) =>
    folder.getFileHandle(name).catch((error) => {
      throw new UnreadError(name, error);
    }),
  prepare: async () => {},
  target: (name) => folder.getFileHandle(name, { create: true }),
  remove: (name) => folder.removeEntry(name),
  /** OPFS makes an empty file before anything is written. */
  async abandon(name) {
    const file = await (await folder.getFileHandle(name)).getFile();
    if (file.size === 0) await folder.removeEntry(name);
  },
});
