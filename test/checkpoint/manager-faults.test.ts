/** What a manager deletes, and what it leaves, where the folder or the machine is not as it should be. */

import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import files from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { CheckpointManager } from "adamax/checkpoint";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { folder, rejection, trained } from "./helpers.js";

beforeEach(() => void vi.spyOn(console, "warn").mockImplementation(() => {}));
afterEach(() => {
  vi.restoreAllMocks();
  syncBuiltinESMExports();
});

const numbers = (path: string) => readdirSync(path).map((name) => Number(/-0*(\d+)\.safetensors$/.exec(name)?.[1]));
const nameOf = (number: number) => `checkpoint-${`${number}`.padStart(6, "0")}.safetensors`;

/** A folder with checkpoints 1 to 5, the first of which is the best, whose manager keeps two and the best from now on. */
const withFive = async () => {
  const path = folder();
  const { optimizer } = trained({}, 1);
  const generous = new CheckpointManager(path, { keep: 9 });
  for (let loss = 1; loss <= 5; loss++) await generous.save({ optimizer, metrics: { loss } });
  const manager = new CheckpointManager(path, { keep: 2, best: "loss" });
  return { path, optimizer, manager, save: () => manager.save({ optimizer, metrics: { loss: 9 } }) };
};

/** Node's `call` fails with `code` for paths that end in one of `names`. */
const failAt = (call: "open" | "readdir" | "unlink", code: string, ...names: string[]): void => {
  const real = files[call] as (...args: unknown[]) => Promise<unknown>;
  vi.spyOn(files, call).mockImplementation(((...args: unknown[]) =>
    names.some((name) => String(args[0]).endsWith(name))
      ? Promise.reject(Object.assign(new Error(`${code}: injected`), { code }))
      : real(...args)) as never);
  syncBuiltinESMExports();
};

describe.each(["EMFILE", "ENFILE", "EACCES", "EIO"])("%s while a checkpoint is opened says nothing about it", (code) => {
  test("what could not be read is not deleted, and goes when it could be", async () => {
    const { path, save } = await withFive();
    failAt("open", code, nameOf(1), nameOf(3));
    await save();
    expect(numbers(path)).toEqual([1, 2, 3, 5, 6]); // 2 was read, and is the best of those
    vi.restoreAllMocks();
    syncBuiltinESMExports();
    await save();
    expect(numbers(path)).toEqual([1, 6, 7]);
  });

  test("it is neither left out of the list nor passed over in loading", async () => {
    const { manager, optimizer } = await withFive();
    failAt("open", code, nameOf(1), nameOf(5));
    for (const ask of [() => manager.list(), () => manager.loadNewest({ optimizer }), () => manager.loadBest({ optimizer })])
      expect((await rejection(ask())).message).toMatch(new RegExp(`cannot be read. Received: ${code}: injected`));
  });
});

test("a folder that cannot be listed for want of descriptors says what to do about that", async () => {
  const { manager, path } = await withFive();
  failAt("readdir", "EMFILE", path);
  expect((await rejection(manager.list())).message).toMatch(/cannot be read\. Received: EMFILE: injected\. Close files/);
});

test.skipIf(process.platform === "win32")(
  "with three file descriptors left, 300 checkpoints are listed and the right ones deleted",
  async () => {
    const path = folder();
    const script = `
    import { CheckpointManager } from "adamax/checkpoint";
    import { Adamax, Variable } from "adamax";
    import { closeSync, copyFileSync, openSync } from "node:fs";
    const path = ${JSON.stringify(path)};
    const optimizer = new Adamax();
    optimizer.build([new Variable(Float32Array.of(1))]);
    const save = (loss) => new CheckpointManager(path, { keep: 250, best: "loss" }).save({ optimizer, metrics: { loss } });
    const [best, first] = [await save(0), await save(1)];
    for (let i = 3; i <= 300; i++) copyFileSync(path + "/" + first, path + "/" + first.replace("000002", String(i).padStart(6, "0")));
    await save(1); // node has opened by now what it opens once
    const held = [];
    try { for (;;) held.push(openSync("/dev/null")); } catch {}
    for (const descriptor of held.splice(-3)) closeSync(descriptor);
    await save(2);`;
    execFileSync("bash", ["-c", 'ulimit -n 200; exec "$0" "$@"', process.execPath, "--input-type=module", "-e", script]);
    expect(numbers(path)).toEqual([1, ...Array.from({ length: 250 }, (_, i) => 53 + i)]);
  },
);

test.skipIf(process.platform === "win32")(
  "a folder, a pipe or a link to nothing that is called like a checkpoint stops nothing, and stays",
  async () => {
    const { path, optimizer, manager, save } = await withFive();
    mkdirSync(join(path, nameOf(6)));
    execFileSync("mkfifo", [join(path, nameOf(7))]);
    execFileSync("ln", ["-s", "nowhere", join(path, nameOf(8))]);
    for (let i = 0; i < 3; i++) await save();
    expect(numbers(path)).toEqual([1, 6, 7, 8, 10, 11]);
    expect((await manager.list()).map(({ number }) => number)).toEqual([11, 10, 1]);
    expect((await manager.loadNewest({ optimizer }))?.name).toBe("checkpoint-000011.safetensors");
  },
);

test("checkpoints of a newer version, and files of other programs, are not damaged: they stay", async () => {
  const { path, save } = await withFive();
  const newer = readFileSync(join(path, nameOf(2)), "latin1").replace('"version":"1"', '"version":"2"');
  writeFileSync(join(path, nameOf(2)), newer, "latin1");
  await save();
  expect(numbers(path)).toEqual([1, 2, 5, 6]);
});

test("what cannot be deleted stays, with one warning, and saving goes on", async () => {
  const { path, save } = await withFive();
  failAt("unlink", "EPERM", nameOf(4));
  const warn = vi.mocked(console.warn);
  warn.mockClear();
  const names = [await save(), await save()];
  expect(names).toEqual([nameOf(6), nameOf(7)]);
  expect(numbers(path)).toContain(4);
  expect(warn).toHaveBeenCalledTimes(1);
  expect(warn.mock.calls[0]![0]).toContain("old checkpoints are not deleted. The folder");
});
