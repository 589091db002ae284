/** What stands under the name that is saved to, and what its owner chose for it, stays. */

import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import * as realFiles from "node:fs/promises";
import { join } from "node:path";
import { CheckpointError, OptionError } from "adamax";
import { inspectCheckpoint, loadCheckpoint, saveCheckpoint } from "adamax/checkpoint";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { atomicWrite, type FileSystem } from "../../src/checkpoint/storage/atomic-write.js";
import { folder, leftBehind, rejection, trained } from "./helpers.js";

beforeEach(() => void vi.spyOn(console, "warn").mockImplementation(() => {}));
afterEach(() => vi.restoreAllMocks());
const isRoot = process.getuid?.() === 0;
const save = (file: string) => saveCheckpoint(file, { optimizer: trained({}, 1).optimizer });

describe.skipIf(process.platform === "win32")("of a file that is replaced", () => {
  test.each([0o600, 0o640, 0o666, 0o444])("the permissions stay: %o", async (mode) => {
    const file = join(folder(), "model.safetensors");
    await save(file);
    chmodSync(file, mode);
    await save(file);
    expect(statSync(file).mode & 0o777).toBe(mode);
  });

  test.each([
    ["ascii", "a".repeat(255)],
    ["letters of four bytes", "\u{1f600}".repeat(63)],
    ["one byte more than is written as it is", `b${"\u{1f600}".repeat(32)}`],
  ])("its name may be as long as the file system takes: %s", async (_, name) => {
    const path = folder();
    const file = join(path, name);
    await save(file);
    await save(file);
    expect(readdirSync(path)).toEqual([name]);
    expect((await inspectCheckpoint(file, { verify: true })).tensors.length).toBeGreaterThan(0);
    const two = await Promise.allSettled([save(file), save(file)]);
    const [{ reason }] = two.filter(({ status }) => status === "rejected") as [PromiseRejectedResult];
    expect(reason.message).toContain("Another saver is writing");
    expect(readdirSync(path)).toEqual([name]);
  });

  test("while it is written, nobody else may read it", async () => {
    const path = folder();
    const file = join(path, "model.safetensors");
    writeFileSync(file, "", { mode: 0o600 });
    const modes: number[] = [];
    const { optimizer } = trained({}, 1);
    const look = () => modes.push(...leftBehind(path).map((name) => statSync(join(path, name)).mode & 0o777));
    await saveCheckpoint(file, { optimizer, onProgress: look });
    expect(new Set(modes)).toEqual(new Set([0o600]));
  });

  test.skipIf(!isRoot)("owner and group stay, where they may be given", async () => {
    const file = join(folder(), "model.safetensors");
    writeFileSync(file, "");
    chmodSync(file, 0o640);
    chownSync(file, 1234, 2345);
    await save(file);
    const { uid, gid, mode } = statSync(file);
    expect({ uid, gid, mode: mode & 0o777 }).toEqual({ uid: 1234, gid: 2345, mode: 0o640 });
  });

  test("where they may not be given, another group may do no more than everybody", async () => {
    const file = join(folder(), "bytes");
    writeFileSync(file, "", { mode: 0o600 });
    const foreign: FileSystem = {
      ...realFiles,
      stat: (async (path: string) =>
        Object.assign(await realFiles.stat(path), { mode: 0o100662, uid: 4321, gid: 5432 })) as never,
      open: (async (...args: Parameters<typeof realFiles.open>) =>
        Object.assign(await realFiles.open(...args), {
          chown: () => Promise.reject(Object.assign(new Error("EPERM"), { code: "EPERM" })),
        })) as never,
    };
    await atomicWrite(file, [new Uint8Array(5)], { files: foreign });
    expect(statSync(file).mode & 0o777).toBe(0o622);
  });

  test("the links stay, also those to a file that is not there yet", async () => {
    const path = folder();
    mkdirSync(join(path, "runs"));
    const [latest, newest] = [join(path, "latest"), join(path, "runs", "newest")];
    symlinkSync("runs/newest", latest);
    symlinkSync("../model.safetensors", newest);
    for (let i = 0; i < 2; i++) await save(latest);
    expect([readlinkSync(latest), readlinkSync(newest)]).toEqual(["runs/newest", "../model.safetensors"]);
    expect(lstatSync(join(path, "model.safetensors")).isFile()).toBe(true);
    await inspectCheckpoint(latest, { verify: true });
  });

  test("links in a circle are an error, and stay", async () => {
    const path = folder();
    symlinkSync("b", join(path, "a"));
    symlinkSync("a", join(path, "b"));
    expect((await rejection(save(join(path, "a")))).message).toMatch(/failed while opening\. Received: ELOOP/);
    expect(readdirSync(path)).toEqual(["a", "b"]);
  });
});

describe.skipIf(process.platform === "win32")("what is no file", () => {
  const pipe = (path: string): string => {
    execFileSync("mkfifo", [path]);
    return path;
  };

  test("is not replaced by one: a pipe, a device, a folder", async () => {
    const path = folder();
    mkdirSync(join(path, "folder"));
    for (const other of [pipe(join(path, "pipe")), "/dev/null", join(path, "folder")]) {
      const error = await rejection(save(other));
      expect(error).toBeInstanceOf(CheckpointError);
      expect(error.message).toContain(`${other} is there, and is no file that could be replaced`);
    }
    expect(lstatSync(join(path, "pipe")).isFIFO()).toBe(true);
    expect(existsSync("/dev/null") && lstatSync("/dev/null").isCharacterDevice()).toBe(true);
    expect(readdirSync(path)).toEqual(["folder", "pipe"]);
  });

  test("is not waited for: reading a pipe that nobody writes to is an error", async () => {
    const path = pipe(join(folder(), "pipe"));
    const { optimizer } = trained({}, 1);
    for (const reading of [inspectCheckpoint(path), loadCheckpoint(path, { optimizer })])
      expect((await rejection(reading)).message).toMatch(/pipe cannot be read\. Received: .*a pipe/);
  });
});

test.each(["y.keras", "y.weights.h5", "y.H5", "model.json", "y.npz"])(
  "a checkpoint is not called %s: that would be another format",
  async (name) => {
    const path = folder();
    const error = await rejection(save(join(path, name)));
    expect(error).toBeInstanceOf(OptionError);
    expect(error.message).toMatch(/Name it ".*\.safetensors"/);
    expect(readdirSync(path)).toEqual([]);
  },
);
