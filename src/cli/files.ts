/** Files that a command writes. */

import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { CheckpointError } from "../errors.js";

/** null: there is nothing. */
const statOf = (path: string) => stat(path).catch(() => null);

/** @throws CheckpointError when there is something at `path` already, unless it was forced. */
export const refuseExisting = async (path: string, force: boolean): Promise<void> => {
  if (!force && (await statOf(path)))
    throw new CheckpointError(`${path} is there already`, "no --force", "Give --force to replace it, or another name.");
};

/** @throws CheckpointError when a file that another one names, such as a shard, would be replaced by what is made of both. */
export const refusePart = async (to: string, from: string): Promise<void> => {
  if (!from.endsWith(".json") || resolve(dirname(to)) !== resolve(dirname(from)) || !(await statOf(to))) return;
  if ((await readFile(from, "utf8")).includes(JSON.stringify(basename(to))))
    throw new CheckpointError(`${to} is a part of what is read`, from, "Give another name.");
};

/** Files that hold models, of which weights may lie beside the one that is read. */
const MODEL_FILE = /\.(safetensors|keras|h5|json|npz|bin)$/i;

/** @throws CheckpointError when a page would take the place of a model's file, by force or not. */
export const refusePage = async (page: string, input: string): Promise<void> => {
  const [there, read] = await Promise.all([statOf(page), statOf(input)]);
  const isInput = there !== null && there.dev === read?.dev && there.ino === read.ino;
  if (isInput || MODEL_FILE.test(page))
    throw new CheckpointError("A page takes no model's place", page, "Give it a name that ends in .html.");
};

/** @throws CheckpointError when a folder that is to be written to holds other things. */
export const refuseOthers = async (folder: string, isOurs: (name: string) => boolean): Promise<void> => {
  const names: string[] = await readdir(folder).catch(({ code, message }: NodeJS.ErrnoException) => {
    if (code === "ENOENT") return [];
    throw new CheckpointError(`${folder} is no folder that can be written to`, message, "Give another one: --out FOLDER.");
  });
  const other = names.find((name) => !name.startsWith(".") && !isOurs(name));
  if (other !== undefined)
    throw new CheckpointError(`${folder} holds other files, which might be replaced`, other, "Give --out a folder of its own.");
};
