/** Where files of Keras are read from: a path, bytes, a page's files. A model is one file, or several beside each other. */

import { CheckpointError, OptionError, show } from "../../errors.js";
import { nodeFiles, pathOf } from "../storage/node.js";

/** What belongs to a model, by name: as "model.json", "model.index" or "model.weights.json" names it. */
type Listed = Readonly<Record<string, Uint8Array | ArrayBuffer | Blob>> | ReadonlyMap<string, Uint8Array | ArrayBuffer | Blob>;

/** A path (in Node; that of its folder for a SavedModel, or where a folder holds one model), the bytes of a file, a File or Blob of a page; or the files of a model by name. */
export type KerasSource = string | URL | Uint8Array | ArrayBuffer | Blob | Listed;

/** The file that a model begins with. */
export interface OpenedFile {
  /** With its folders, as far as they are known. */
  readonly name: string;
  readonly bytes: Uint8Array;
  /** For errors. */
  readonly what: string;
  /** A file beside it; `name` may begin with "../".
   *  @throws CheckpointError where there is none. */
  readonly readFile: ReadFile;
  /** null: there is none. */
  readonly findFile: FindFile;
}
export type ReadFile = (name: string) => Promise<Uint8Array>;
type FindFile = (name: string) => Promise<Uint8Array | null>;

type Missing = (path: string) => CheckpointError;

/** @throws CheckpointError where there is no such file. */
export const openFile = (source: KerasSource): Promise<OpenedFile> => {
  if (typeof source === "string" || source instanceof URL) return openPath(pathOf(source));
  if (source instanceof Uint8Array || source instanceof ArrayBuffer || source instanceof Blob) return openAlone(source);
  return openListed(source);
};

const opened = (name: string, bytes: Uint8Array, what: string, find: FindFile, missing: Missing): OpenedFile => {
  const folder = name.replace(/[^/\\]*$/, "");
  const findFile: FindFile = (other) => find(other.startsWith("../") ? parentOf(folder) + other.slice(3) : folder + other);
  const readFile: ReadFile = async (other) => {
    const found = await findFile(other);
    if (found) return found;
    throw missing(folder + other);
  };
  return { name, bytes, what, readFile, findFile };
};

/** "model/" of "model/variables/". */
const parentOf = (folder: string): string => (/[^/\\]/.test(folder) ? folder.replace(/[^/\\]+[/\\]+$/, "") : `${folder}../`);

const openPath = async (given: string): Promise<OpenedFile> => {
  const files = await nodeFiles();
  const find: FindFile = async (path) => {
    try {
      return plain(await files.readFile(path));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw new CheckpointError(`${path} cannot be read`, (error as Error).message, "Check the path.");
    }
  };
  const missing: Missing = (path) => new CheckpointError(`${path} cannot be read`, "no such file", "Check the path.");
  const isFolder = (await files.stat(given).catch(() => null))?.isDirectory() ?? false;
  // In Python a checkpoint is called "model", where its index is model.index.
  const first = isFolder ? (await files.readdir(given)).filter((name) => FIRST.test(name)) : [];
  const inFolder = [`${given}/variables/variables.index`, ...(first.length === 1 ? [`${given}/${first[0]}`] : [])];
  for (const path of isFolder ? inFolder : [given, `${given}.index`]) {
    const bytes = await find(path);
    if (!bytes) continue;
    await refuseShard(path, find);
    return opened(path, bytes, given, find, missing);
  }
  if (!isFolder) throw missing(given);
  throw new CheckpointError(
    `${given} is a folder, and neither a SavedModel nor one with one model in it`,
    first.length > 0 ? first.slice(0, 12).join(", ") : "neither variables/variables.index nor an .index or a model.json in it",
    "Pass the path of a file: of a checkpoint of TensorFlow that of its .index.",
  );
};

/** @throws CheckpointError for one of several files of weights: alone it is part of a model. */
const refuseShard = async (path: string, find: FindFile): Promise<void> => {
  const list = path.replace(/_\d{5}\.weights\.h5$/, ".weights.json");
  if (list !== path && (await find(list)))
    throw new CheckpointError(`${path} holds a part of a model`, "one shard of several", `Pass their list: ${list}.`);
};

const openAlone = async (source: Uint8Array | ArrayBuffer | Blob): Promise<OpenedFile> => {
  const what = source instanceof Blob && "name" in source ? String(source.name) : "the file";
  const missing: Missing = (path) =>
    new CheckpointError(
      "The model is several files",
      `one of them without ${path}`,
      "Pass its path, or all files by name: { 'model.json': bytes, ... }.",
    );
  return opened("", await bytesOf(source), what, async () => null, missing);
};

/** What the files of a model begin with. */
const FIRST = /(^|\/)model\.json$|\.weights\.json$|\.index$/;

const openListed = async (source: Listed): Promise<OpenedFile> => {
  const files = new Map<string, Uint8Array | ArrayBuffer | Blob>(source instanceof Map ? source : Object.entries(source ?? {}));
  const listed = [...files.keys()].slice(0, 12).join(", ") || show(source);
  const first = [...files.keys()].filter((name) => FIRST.test(name));
  if (first.length !== 1)
    throw new CheckpointError(
      first.length === 0 ? "The files of a model lack the one that it begins with" : "These are files of several models",
      listed,
      "Pass all files of one model by name: its model.json, .weights.json or .index, and those that belong to it.",
    );
  for (const [name, file] of files)
    if (!(file instanceof Uint8Array || file instanceof ArrayBuffer || file instanceof Blob))
      throw new OptionError(`The file ${show(name)} must be given as bytes or a Blob`, show(file), "Read it first.");
  const find: FindFile = async (path) => {
    const file = files.get(path);
    return file ? bytesOf(file) : null;
  };
  const missing: Missing = (path) =>
    new CheckpointError(`The file ${show(path)} is missing`, listed, "Pass all files of the model by name.");
  const [name] = first as [string];
  return opened(name, (await find(name))!, name, find, missing);
};

const bytesOf = async (source: Uint8Array | ArrayBuffer | Blob): Promise<Uint8Array> =>
  plain(source instanceof Blob ? await source.arrayBuffer() : source);

/** No Buffer of Node: its slice copies nothing. */
const plain = (bytes: Uint8Array | ArrayBuffer): Uint8Array =>
  bytes instanceof ArrayBuffer ? new Uint8Array(bytes) : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
