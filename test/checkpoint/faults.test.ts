/** Whatever goes wrong while saving: an error, the old checkpoint intact, no temporary file left. */

import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import * as realFiles from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { CheckpointError } from "adamax";
import { inspectCheckpoint, loadCheckpoint, saveCheckpoint } from "adamax/checkpoint";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { atomicWrite, type FileSystem } from "../../src/checkpoint/storage/atomic-write.js";
import { folder, leftBehind, rejection, trained } from "./helpers.js";
import { killSavers } from "./kills.js";
import { train } from "./steps.js";

vi.setConfig({ testTimeout: 120_000 });

const BIG = { w: { shape: [2_000_000] } }; // 24 MB with m and u
beforeEach(() => void vi.spyOn(console, "warn").mockImplementation(() => {}));
afterEach(() => vi.restoreAllMocks());
const isRoot = process.getuid?.() === 0;

/** A folder with a checkpoint, and an optimizer that has gone on since. */
const withCheckpoint = async (path = folder()) => {
  const file = join(path, "model.safetensors");
  const { optimizer, variables } = trained({}, 1);
  await saveCheckpoint(file, { optimizer });
  const old = readFileSync(file);
  train(optimizer, variables, 1, 2);
  const expectOld = () => {
    expect(readFileSync(file).equals(old)).toBe(true);
    expect(readdirSync(path)).toEqual(["model.safetensors"]);
  };
  return { path, file, optimizer, expectOld };
};

test("kill -9 in every phase of saving: always the old or the new checkpoint, whole", async () => {
  const { broken, phases, leftBehind } = await killSavers(24, 7);
  expect(broken).toEqual([]);
  expect(Object.keys(phases).length).toBeGreaterThan(3);
  expect(leftBehind.afterSaving).toBe(0);
});

/** A real file system that fails at `call`, the `nth` time. */
const failing = (call: "open" | "write" | "sync" | "close" | "rename" | "syncFolder", code: string, nth = 1): FileSystem => {
  let left = nth;
  const fail = (name: string): void => {
    if (name === call && --left === 0) throw Object.assign(new Error(`${code}: injected, ${name}`), { code });
  };
  return {
    ...realFiles,
    open: (async (path: string, flags: string) => {
      if (flags === "wx") fail("open");
      const file = await realFiles.open(path, flags);
      const failingFile = {
        write: async (bytes: Uint8Array, offset: number, length: number) => {
          fail("write");
          return file.write(bytes, offset, Math.min(length, 100_000)); // short writes are legal, too
        },
        sync: async () => {
          fail(flags === "wx" ? "sync" : "syncFolder");
          return file.sync();
        },
        close: async () => {
          await file.close();
          fail("close");
        },
        stat: () => file.stat(),
        chmod: (mode: number) => file.chmod(mode),
      };
      return failingFile;
    }) as never,
    rename: async (from, to) => {
      fail("rename");
      return realFiles.rename(from, to);
    },
  };
};

describe("a file system that fails", () => {
  test.each([
    ["opening", "open", "EACCES", 1],
    ["writing", "write", "ENOSPC", 1],
    ["writing", "write", "ENOSPC", 9],
    ["writing", "write", "EIO", 3],
    ["syncing", "sync", "EIO", 1],
    ["syncing", "close", "EDQUOT", 1],
    ["renaming", "rename", "EPERM", 1],
  ] as const)("while %s (%s, %s, call %i): the old file stays", async (phase, call, code, nth) => {
    const { file, expectOld } = await withCheckpoint();
    const error = await rejection(
      atomicWrite(file, [new Uint8Array(500_000), new Uint8Array(500_000)], { files: failing(call, code, nth) }),
    );
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error.message).toMatch(
      new RegExp(`Saving .* failed while ${phase}\\. Received: ${code}.*An older checkpoint there is as it was`),
    );
    expectOld();
  });

  test("short writes are gone on with", async () => {
    const file = join(folder(), "bytes");
    const bytes = Uint8Array.from({ length: 333_333 }, (_, i) => i);
    await atomicWrite(file, [bytes, bytes], { files: failing("open", "EIO", 99) });
    expect(readFileSync(file).equals(Buffer.concat([bytes, bytes]))).toBe(true);
  });

  test("a folder that cannot be synced: an error that says that the new file is in place", async () => {
    const { file } = await withCheckpoint();
    const error = await rejection(atomicWrite(file, [new Uint8Array(5)], { files: failing("syncFolder", "EIO") }));
    expect(error.message).toContain("The new checkpoint is in place, but may not survive a power failure");
    expect(readFileSync(file)).toHaveLength(5);
  });
});

test.skipIf(!isRoot || process.platform !== "linux")("a disk that is full (a tmpfs of 8 MiB)", async ({ skip }) => {
  const path = folder();
  if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", path]).status !== 0) skip("mounting is not allowed here");
  onTestFinished(() => void execFileSync("umount", [path]));
  const { file, expectOld } = await withCheckpoint(path);
  const { optimizer } = trained({}, 1, BIG);
  const error = await rejection(saveCheckpoint(file, { optimizer }));
  expect(error.message).toMatch(/failed while writing\. Received: ENOSPC.*Make room on the disk/);
  expectOld();
  await saveCheckpoint(file, { optimizer: trained({}, 1).optimizer }); // the room is free again
});

/** Runs `saveCheckpoint` as a user whom permissions bind: root's own are checked by nobody. */
const saveAsNobody = (file: string): string => {
  const script = `
    import { saveCheckpoint } from "adamax/checkpoint";
    import { Adamax, Variable } from "adamax";
    if (process.getuid() === 0) process.setuid(65534);
    const optimizer = new Adamax();
    optimizer.build([new Variable(Float32Array.of(1))]);
    try { await saveCheckpoint(${JSON.stringify(file)}, { optimizer }); console.log("saved"); } catch (error) { console.log(error.name, error.message); }`;
  return execFileSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], { encoding: "utf8" });
};

test("a folder that is read-only", async () => {
  const { path, file, expectOld } = await withCheckpoint();
  chmodSync(path, 0o555);
  onTestFinished(() => chmodSync(path, 0o755));
  expect(saveAsNobody(file)).toMatch(
    /CheckpointError Saving .* failed while opening\. Received: EACCES.*Choose a folder that you may write to/,
  );
  expectOld();
});

test("a folder that is not there", async () => {
  const { optimizer } = trained({}, 1);
  const error = await rejection(saveCheckpoint(join(folder(), "no", "model.safetensors"), { optimizer }));
  expect(error.message).toMatch(/failed while opening\. Received: ENOENT.*Make the folder first/);
});

test("a folder that is removed while saving: an error, and nothing comes back", async () => {
  const path = join(folder(), "inner");
  mkdirSync(path);
  const { file } = await withCheckpoint(path);
  const { optimizer } = trained({}, 1, BIG);
  const error = await rejection(
    saveCheckpoint(file, { optimizer, onProgress: ({ bytes }) => bytes > 1e7 && rmSync(path, { recursive: true, force: true }) }),
  );
  expect(error.message).toMatch(/failed while renaming\. Received: ENOENT/);
  expect(() => readdirSync(path)).toThrow("ENOENT");
});

describe("two savers at once", () => {
  test("in one process: one at least is refused, and what is there is whole", async () => {
    const { path, file, optimizer } = await withCheckpoint();
    const { optimizer: other } = trained({}, 1, BIG);
    const results = await Promise.allSettled([
      saveCheckpoint(file, { optimizer: other }),
      saveCheckpoint(file, { optimizer }),
      saveCheckpoint(file, { optimizer }),
    ]);
    const refused = results.filter((result) => result.status === "rejected");
    expect(refused.length).toBeGreaterThanOrEqual(2);
    for (const { reason } of refused) expect(reason.message).toContain("Another saver is writing model.safetensors");
    expect(leftBehind(path)).toEqual([]);
    await inspectCheckpoint(file, { verify: true });
  });

  test("while another process saves: an error that names it, and the old checkpoint stays", async () => {
    const { path, file, optimizer } = await withCheckpoint();
    const other = join(path, `.model.safetensors.${hostname().replace(/[^A-Za-z0-9-]/g, "-")}.${process.ppid}.abc.saving`);
    writeFileSync(other, "");
    const old = readFileSync(file);
    expect((await rejection(saveCheckpoint(file, { optimizer }))).message).toContain(`by process ${process.ppid} on`);
    expect(readFileSync(file).equals(old)).toBe(true);
    expect(leftBehind(path)).toHaveLength(1); // the other's
  });

  test("what a dead saver left is removed: of a dead process, of this number in another life, of a machine that has not written for long", async () => {
    const { path, file, optimizer } = await withCheckpoint();
    const dead = spawnSync(process.execPath, ["-e", ""]).pid;
    const host = hostname().replace(/[^A-Za-z0-9-]/g, "-");
    for (const name of [`${host}.${dead}`, `${host}.${process.pid}`, "elsewhere.1"]) {
      const temporary = join(path, `.model.safetensors.${name}.abc.saving`);
      writeFileSync(temporary, "");
      if (name === "elsewhere.1") utimesSync(temporary, new Date(0), new Date(0));
    }
    writeFileSync(join(path, ".model.safetensors.more.safetensors.a.1.b.saving"), ""); // of another file
    await saveCheckpoint(file, { optimizer });
    expect(leftBehind(path)).toEqual([".model.safetensors.more.safetensors.a.1.b.saving"]);
  });
});

test("a link stays a link: the file that it means is replaced", async () => {
  const { path, file, optimizer } = await withCheckpoint();
  symlinkSync(file, join(path, "latest"));
  await saveCheckpoint(join(path, "latest"), { optimizer });
  expect(await realFiles.readlink(join(path, "latest"))).toBe(file);
  expect((await inspectCheckpoint(file)).optimizer.calls).toBe(2);
});

test("a file that is cut while it is loaded: no step until a load succeeds", async () => {
  const { optimizer, variables } = trained({}, 1, BIG);
  const file = join(folder(), "model.safetensors");
  await saveCheckpoint(file, { optimizer });
  let rounds = 0;
  const cut = ({ bytes, total }: { bytes: number; total: number }) => {
    if (bytes === total && ++rounds === 1) writeFileSync(file, readFileSync(file).subarray(0, 10e6)); // after the checks
  };
  expect((await rejection(loadCheckpoint(file, { optimizer, onProgress: cut }))).message).toContain(
    "broke off, and left variables and state neither old nor new",
  );
  expect(() => train(optimizer, variables, 1, 2)).toThrow("Variables and state are neither old nor new");
});
