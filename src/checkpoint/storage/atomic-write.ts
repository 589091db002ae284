/** A file of Node's file system that is replaced as a whole or not at all, and stays replaced when the power fails:
 *  written under another name in the same folder, fsync, rename, fsync of the folder. What its owner chose stays: permissions, owner and
 *  group as far as this user may give them, and links, which are followed. */

import { CheckpointError } from "../../errors.js";
import { remedyOf } from "../../node-files.js";
import { nodeCrypto, nodeFiles, nodePaths, nodeSystem } from "./node.js";

/** What is under way, in this order. */
export type WritePhase = "opening" | "writing" | "syncing" | "renaming" | "syncing the folder" | "cleaning up";

/** What is asked of a file system: some of node:fs/promises. */
export type FileSystem = Pick<
  typeof import("node:fs/promises"),
  "open" | "readdir" | "readlink" | "realpath" | "rename" | "stat" | "unlink"
>;

type Stats = import("node:fs").Stats;
type FileHandle = import("node:fs/promises").FileHandle;

interface AtomicWriteOptions {
  /** For tests: told before each phase. */
  readonly onPhase?: ((phase: WritePhase) => void) | undefined;
  /** For tests. Default: Node's. */
  readonly files?: FileSystem | undefined;
}

/** Writes the chunks one after the other; each must stay as it is until the next is asked for. Whatever goes wrong before the
 *  rename, the old file stays, and the new one is removed.
 *  @throws CheckpointError that says what failed; whatever `chunks` throws. */
export const atomicWrite = async (
  path: string,
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  { onPhase = () => {}, files: given }: AtomicWriteOptions = {},
): Promise<void> => {
  const [files, paths] = [given ?? (await nodeFiles()), await nodePaths()];
  const { basename, dirname, join } = paths;
  const during = async <T>(phase: WritePhase, act: () => Promise<T>): Promise<T> => {
    onPhase(phase);
    return act().catch((error) => {
      throw failure(path, phase, error);
    });
  };
  const { target, old } = await lookAt(files, path, paths).catch((error) => {
    throw failure(path, "opening", error);
  });
  const folder = dirname(target);
  const stem = await stemOf(basename(target));
  const name = await temporaryName(stem);
  const temporary = join(folder, name);

  active.add(temporary);
  // Until it has the permissions of the old one, nobody else may look into it.
  const file = await during("opening", () => files.open(temporary, "wx", old ? 0o600 : undefined)).catch((error) => {
    active.delete(temporary);
    throw error;
  });
  let open = true;
  try {
    await during("opening", () => refuseOthers(files, folder, stem, name, join));
    onPhase("writing");
    for await (const chunk of chunks)
      await writeAll(file, chunk).catch((error) => Promise.reject(failure(path, "writing", error)));
    await during("syncing", async () => {
      if (old) await keepOwnership(file, old);
      await file.sync();
    });
    open = false;
    await during("syncing", () => file.close());
    await during("renaming", () => files.rename(temporary, target));
  } catch (error) {
    onPhase("cleaning up");
    if (open) await file.close().catch(() => {});
    await files.unlink(temporary).catch(() => {}); // it may be gone with its folder
    throw error;
  } finally {
    active.delete(temporary);
  }
  await during("syncing the folder", () => syncFolder(files, folder));
};

/** The file that `path` means, and what is there now.
 *  @throws CheckpointError where it is no file; what the file system says. */
const lookAt = async (
  files: FileSystem,
  path: string,
  paths: typeof import("node:path"),
): Promise<{ target: string; old: Stats | null }> => {
  const target = await meantBy(files, path, paths);
  const old = await files.stat(target).catch((error) => (error.code === "ENOENT" ? null : Promise.reject(error)));
  if (!old || old.isFile()) return { target, old };
  throw new CheckpointError(
    `${path} is there, and is no file that could be replaced`,
    old.isDirectory() ? "a folder" : "a pipe or a device",
    "Give another name. What a pipe is to carry, save to a stream: Writable.toWeb(createWriteStream(path)).",
  );
};

/** Of a link, what it leads to, be it there or not. */
const meantBy = async (files: FileSystem, path: string, paths: typeof import("node:path")): Promise<string> => {
  try {
    return await files.realpath(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error; // ELOOP: a circle
    const link = await files.readlink(path).catch(() => null);
    return link === null ? path : meantBy(files, paths.resolve(await files.realpath(paths.dirname(path)), link), paths);
  }
};

/** Gives the new file the permissions, the owner and the group of the old one. Where the file system or the rights of this user do not allow it,
 *  fewer may read it, never more. */
const keepOwnership = async (file: FileHandle, { mode, uid, gid }: Stats): Promise<void> => {
  const done = (change: Promise<void>) =>
    change.then(
      () => true,
      () => false,
    );
  const now = await file.stat();
  const keepsGroup = gid === now.gid || (await done(file.chown(now.uid, gid)));
  if (uid !== now.uid) await done(file.chown(uid, keepsGroup ? gid : now.gid));
  await done(file.chmod(keepsGroup ? mode & 0o777 : (mode & 0o707) | ((mode & 0o007) << 3))); // another group is everybody
};

const writeAll = async (file: { write: FileHandleWrite }, chunk: Uint8Array): Promise<void> => {
  for (let done = 0; done < chunk.length; ) done += (await file.write(chunk, done, chunk.length - done)).bytesWritten;
};
type FileHandleWrite = (bytes: Uint8Array, offset: number, length: number) => Promise<{ bytesWritten: number }>;

/** Makes the rename last. Windows has no such call, and needs none. */
const syncFolder = async (files: FileSystem, folder: string): Promise<void> => {
  if (globalThis.process.platform === "win32") return;
  const handle = await files.open(folder, "r");
  await handle.sync().finally(() => handle.close());
};

/** What this process writes now. */
const active = new Set<string>();
/** Whoever writes touches the file. One that nobody has touched for so long was left behind, whatever its name says. */
const ABANDONED_MS = 10 * 60 * 1000;
const SUFFIX = ".saving";

/** What temporary names begin with. File systems take 255 bytes for a name: of a long one, its beginning and a hash of it. */
const stemOf = async (base: string): Promise<string> => {
  const bytes = new TextEncoder().encode(base);
  if (bytes.length <= LONG) return base;
  const hash = (await nodeCrypto()).createHash("sha256").update(bytes).digest("hex").slice(0, 16);
  return `${new TextDecoder().decode(bytes.subarray(0, LONG / 2)).replaceAll("\ufffd", "")}~${hash}`; // no half of a letter
};
const LONG = 128;

/** `.model.safetensors.HOST.PID.RANDOM.saving`: tells the next saver whether this one is still alive. */
const temporaryName = async (stem: string): Promise<string> =>
  `.${stem}.${await hostName()}.${globalThis.process.pid}.${Math.random().toString(36).slice(2)}${SUFFIX}`;
const hostName = async (): Promise<string> => (await nodeSystem()).hostname().replace(/[^A-Za-z0-9-]/g, "-");

/** @throws CheckpointError when another saver writes the same file. What dead ones left behind is removed. */
const refuseOthers = async (
  files: FileSystem,
  folder: string,
  stem: string,
  mine: string,
  join: (...parts: string[]) => string,
): Promise<void> => {
  const host = await hostName();
  for (const other of await files.readdir(folder)) {
    if (other === mine || !other.startsWith(`.${stem}.`) || !other.endsWith(SUFFIX)) continue;
    const [itsHost, pid, random, ...more] = other.slice(stem.length + 2, -SUFFIX.length).split(".");
    if (random === undefined || more.length > 0) continue; // of a file whose name goes on with ours
    const path = join(folder, other);
    const touched = await files.stat(path).catch(() => null);
    if (!touched) continue; // it has just finished
    const mayLive = itsHost === host ? isAlive(Number(pid), path) : true;
    if (mayLive && Date.now() - touched.mtimeMs < ABANDONED_MS)
      throw new CheckpointError(
        `Another saver is writing ${stem}`,
        `${other}, by process ${pid} on ${itsHost}`,
        "Let one saver write a file at a time, or give each a file of its own.",
      );
    await files.unlink(path).catch(() => {});
  }
};

const isAlive = (pid: number, path: string): boolean => {
  const { process } = globalThis;
  if (pid === process.pid) return active.has(path); // else of a process before this one, with the same number
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"; // somebody else's process
  }
};

const failure = (path: string, phase: WritePhase, error: unknown): unknown => {
  const refused = error as NodeJS.ErrnoException;
  if (error instanceof CheckpointError || refused.code === undefined) return error;
  const old =
    phase === "syncing the folder"
      ? "The new checkpoint is in place, but may not survive a power failure"
      : "An older checkpoint there is as it was";
  const explained = new CheckpointError(`Saving ${path} failed while ${phase}`, refused.message, `${remedyOf(refused)} ${old}.`);
  return Object.assign(explained, { cause: error });
};
