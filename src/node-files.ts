/** Node's own modules, and what to do where its file system refuses. */

/** Not imported, so that bundlers for browsers find nothing to resolve; undefined where there is no Node. */
export const nodeModule = <Module>(name: string): Module | undefined =>
  (globalThis as { process?: NodeJS.Process }).process?.getBuiltinModule?.(`node:${name}`) as Module | undefined;

/** When a file cannot be opened because so many are open, by the system's code. */
export const TOO_MANY_OPEN: Readonly<Record<string, string>> = {
  EMFILE: "Close files, or let this process have more of them open (ulimit -n).",
  ENFILE: "Close files: the whole machine has too many of them open.",
};

/** When one cannot be written. */
export const remedyOf = ({ code }: NodeJS.ErrnoException): string => REMEDIES[code!] ?? "Look at the folder and the disk.";

const REMEDIES: Readonly<Record<string, string>> = {
  ...TOO_MANY_OPEN,
  ENOSPC: "Make room on the disk.",
  EDQUOT: "Make room within your quota.",
  EROFS: "Choose a folder that can be written.",
  EACCES: "Choose a folder that you may write to.",
  EPERM: "Choose a folder that you may write to.",
  ENOENT: "Make the folder first.",
  ENOTDIR: "A file is where a folder should be: choose another path.",
  EISDIR: "It is a folder: name a file in it.",
};
