/** Where checkpoints are read from: files, blobs and bytes, one piece at a time. */

import { CheckpointError, OptionError, show } from "../../errors.js";
import { TOO_MANY_OPEN } from "../../node-files.js";
import type { Bytes } from "./bytes.js";
import { nodeFiles, pathOf } from "./node.js";

/** Bytes that can be read in any order, as often as wanted. */
export interface Source {
  /** For errors. */
  readonly name: string;
  readonly size: number;
  /** The bytes [begin, end), which lie in the file. They may be overwritten by the next read. */
  read(begin: number, end: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** A file of the browser's own file system (`navigator.storage.getDirectory()`), or one that the user picked. */
export interface BrowserFile {
  readonly name: string;
  getFile(): Promise<Blob>;
  createWritable(options?: { mode?: string; keepExistingData?: boolean }): Promise<BrowserFileWriter>;
}
/** What writes a file of the browser's file system. */
export interface BrowserFileWriter {
  write(bytes: Bytes): Promise<void>;
  close(): Promise<void>;
  abort(reason?: unknown): Promise<void>;
}
export const isBrowserFile = (value: unknown): value is BrowserFile =>
  typeof (value as BrowserFile | null)?.createWritable === "function";

/** A file that could not be read for a reason that says nothing about what it holds: too many files are open, no permission, a disk that fails. */
export class UnreadError extends CheckpointError {
  /** Whether there is no file of that name: it has gone, or a folder or a pipe is called so. */
  readonly isAbsent: boolean;

  constructor(name: string, cause: Error) {
    const { code } = cause as { code?: unknown };
    const reason = typeof code === "string" ? code : cause.name; // a DOMException's code is a number
    super(`${name} cannot be read`, cause.message, TOO_MANY_OPEN[reason] ?? "Check the path and its permissions.");
    this.cause = cause;
    this.isAbsent = NO_FILE.has(reason);
  }
}
/** Of Node, and of a browser's file system. */
const NO_FILE: ReadonlySet<string> = new Set(["ENOENT", "EISDIR", "NotFoundError", "TypeMismatchError"]);

/** A path (Node), a File or another Blob (an upload, a downloaded response), a file of OPFS, or the bytes themselves. */
export type CheckpointSource = string | URL | Blob | BrowserFile | Uint8Array | ArrayBuffer;

/** @throws CheckpointError when there is no such file. */
export const openSource = async (given: CheckpointSource): Promise<Source> => {
  if (typeof given === "string" || given instanceof URL) return openPath(pathOf(given));
  if (isBrowserFile(given)) return blobSource(await given.getFile().catch(unreadAs(given.name)), given.name);
  if (given instanceof Blob) return blobSource(given, (given as Partial<File>).name ?? "the blob");
  if (given instanceof ArrayBuffer) return bytesSource(new Uint8Array(given));
  if (given instanceof Uint8Array) return bytesSource(new Uint8Array(given.buffer, given.byteOffset, given.length)); // no Buffer: its slice copies nothing
  throw new OptionError(
    "A checkpoint is read from a path, a File or Blob, a file of OPFS, or a Uint8Array",
    show(given),
    "Pass one of them.",
  );
};

const bytesSource = (bytes: Uint8Array): Source => ({
  name: "the given bytes",
  size: bytes.length,
  read: async (begin, end) => bytes.subarray(begin, end),
  close: async () => {},
});

const blobSource = (blob: Blob, name: string): Source => ({
  name,
  size: blob.size,
  read: async (begin, end) => new Uint8Array(await blob.slice(begin, end).arrayBuffer().catch(unreadAs(name))),
  close: async () => {},
});

const unreadAs =
  (name: string) =>
  (error: Error): never => {
    throw new UnreadError(name, error);
  };

const openPath = async (path: string): Promise<Source> => {
  const files = await nodeFiles();
  const unread = unreadAs(path);
  // Asked before it is opened: opening a pipe waits until somebody writes to it.
  if (!(await files.stat(path).catch(unread)).isFile())
    unread(Object.assign(new Error("it is a folder, a pipe or a device"), { code: "EISDIR" }));
  const file = await files.open(path, "r").catch(unread);
  const { size } = await file.stat().catch(unread);
  let buffer = new Uint8Array(0);
  return {
    name: path,
    size,
    async read(begin, end) {
      const wanted = end - begin;
      if (buffer.length < wanted) buffer = new Uint8Array(wanted);
      let done = 0;
      while (done < wanted) {
        const { bytesRead } = await file.read(buffer, done, wanted - done, begin + done).catch(unread);
        if (bytesRead === 0)
          throw new CheckpointError(
            `${path} was cut while it was read`,
            `it ends at byte ${begin + done}, and had ${size} bytes`,
            "Use another copy.",
          );
        done += bytesRead;
      }
      return buffer.subarray(0, wanted);
    },
    close: () => file.close(),
  };
};
