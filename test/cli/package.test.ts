/** `adamax bench` and `adamax demo` in the package as it is published, installed in an empty folder: without what only the repository has. */

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { execute } from "./adamax.js";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

/** Folders with the package, and nothing else of what it needs but its own dependency. */
let [bare, equipped]: string[] = [];
beforeAll(() => {
  const packed = mkdtempSync(join(tmpdir(), "adamax-packed-"));
  execFileSync("npm", ["pack", "--silent", "--pack-destination", packed]);
  const [tarball] = readdirSync(packed);
  const install = (...packages: string[]) => {
    const folder = mkdtempSync(join(tmpdir(), "adamax-installed-"));
    const modules = join(folder, "node_modules");
    mkdirSync(join(modules, "adamax"), { recursive: true });
    execFileSync("tar", ["-xzf", join(packed, tarball!), "--strip-components=1", "-C", join(modules, "adamax")]);
    for (const name of packages) {
      mkdirSync(dirname(join(modules, name)), { recursive: true });
      symlinkSync(resolve("node_modules", name), join(modules, name));
    }
    return folder;
  };
  bare = install("commander");
  const tensorflow = ["", "-core", "-layers", "-backend-wasm"].map((part) => `@tensorflow/tfjs${part}`);
  equipped = install("commander", "fft.js", ...tensorflow);
  rmSync(packed, { recursive: true });
});
afterAll(() => {
  for (const folder of [bare, equipped]) if (folder) rmSync(folder, { recursive: true });
});

const adamaxIn = (cwd: string, ...args: string[]) =>
  execute(process.execPath, ["node_modules/adamax/dist/cli/main.js", ...args], { cwd });

describe("bench", () => {
  test("measures, and writes JSON and a page", async () => {
    const { code, printed, complained } = await adamaxIn(bare!, "bench", "memory");
    expect({ code, complained }).toEqual({ code: 0, complained: "" });
    expect(printed).toMatch(/10 x 100, plain +heap after - before/);
    expect(JSON.parse(readFileSync(join(bare!, "adamax-bench/memory.json"), "utf8"))).toMatchObject({ question: "memory" });
    expect(readFileSync(join(bare!, "adamax-bench/index.html"), "utf8")).toContain("<!doctype html>");
  });

  test("replaces earlier answers only with --force", async () => {
    mkdirSync(join(bare!, "earlier"));
    await adamaxIn(bare!, "bench", "tfjs", "--out", "earlier");
    const refused = await adamaxIn(bare!, "bench", "tfjs", "--out", "earlier");
    expect(refused).toMatchObject({ code: 1, printed: "" });
    expect(refused.complained).toContain("--force");
    expect(await adamaxIn(bare!, "bench", "tfjs", "--out", "earlier", "--force")).toMatchObject({ code: 0 });
  });

  test("names the packages that a side lacks", async () => {
    const { code, printed } = await adamaxIn(bare!, "bench", "tfjs", "--out", "missing");
    expect(code).toBe(0);
    expect(printed).toContain(
      "TensorFlow.js: left out. It needs packages that are not here: npm install @tensorflow/tfjs @tensorflow/tfjs-backend-wasm",
    );
  });

  test("a question that there is not is wrong use, and the questions of the help are those that there are", async () => {
    const { code, printed, complained } = await adamaxIn(bare!, "bench", "everything");
    expect({ code, printed }).toEqual({ code: 2, printed: "" });
    const known = /Ask any of: (.*)\./.exec(complained)![1]!.split(", ").sort();
    const help = (await adamaxIn(bare!, "bench", "--help")).printed;
    expect(/questions +([\w, -]+) \(default/.exec(help.replace(/\n +/g, " "))![1]!.split(", ").sort()).toEqual(known);
  });
});

describe("demo", () => {
  test("names the packages that it lacks, and how to run it with them", async () => {
    const { code, printed, complained } = await adamaxIn(bare!, "demo");
    expect({ code, printed, lines: complained.trimEnd().split("\n").length }).toEqual({ code: 1, printed: "", lines: 1 });
    expect(complained).toContain("Missing: @tensorflow/tfjs, @tensorflow/tfjs-backend-wasm, fft.js.");
    expect(complained).toContain("npx -p adamax -p @tensorflow/tfjs -p @tensorflow/tfjs-backend-wasm -p fft.js adamax demo");
  });

  test("trains on the recordings of the package, and writes page and sounds with the names of those who made them", async () => {
    const { code, printed, complained } = await adamaxIn(equipped!, "demo", "--quick", "--out", "speech");
    expect({ code, complained }).toEqual({ code: 0, complained: "" });
    expect(printed).toMatch(/recordings to train on, 2 others to test on/);
    expect(printed).toMatch(/^ +Adamax, clipping and averaging .* ms /m);
    const out = join(equipped!, "speech");
    expect(readdirSync(out).filter((name) => name.endsWith(".wav"))).toHaveLength(20);
    expect(readFileSync(join(out, "report.html"), "utf8")).toContain("Allison Smith");
    expect(readFileSync(join(out, "ATTRIBUTION.md"), "utf8")).toContain("Allison Smith");
    expect(existsSync(join(out, "LICENSE"))).toBe(true);
    const again = await adamaxIn(equipped!, "demo", "--quick", "--out", "speech");
    expect(again).toMatchObject({ code: 1, printed: "" });
    expect(again.complained).toContain("--force");
  });

  test("the package carries licence and attribution of its recordings", () => {
    const recordings = join(bare!, "node_modules/adamax/dist/examples/speech/recordings");
    expect(readFileSync(join(recordings, "LICENSE"), "utf8")).toMatch(/ATTRIBUTION-SHAREALIKE|Attribution-ShareAlike/i);
    expect(readFileSync(join(recordings, "ATTRIBUTION.md"), "utf8")).toContain("a selection was made");
  });
});
