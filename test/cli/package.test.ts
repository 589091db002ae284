/** `adamax bench` and `adamax demo` in the package as it is published, installed in an empty folder: without what only the repository has. */

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { execute, pack } from "./adamax.js";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

/** Folders with the package, and nothing else or what its demo needs. */
let [bare, equipped]: string[] = [];
let tarball: string;
beforeAll(() => {
  tarball = pack();
  const install = (...packages: string[]) => {
    const folder = mkdtempSync(join(tmpdir(), "adamax-installed-"));
    const modules = join(folder, "node_modules");
    mkdirSync(join(modules, "adamax"), { recursive: true });
    execFileSync("tar", ["-xzf", tarball, "--strip-components=1", "-C", join(modules, "adamax")]);
    for (const name of packages) {
      mkdirSync(dirname(join(modules, name)), { recursive: true });
      symlinkSync(resolve("node_modules", name), join(modules, name));
    }
    return folder;
  };
  bare = install();
  const tensorflow = ["", "-core", "-layers", "-backend-wasm"].map((part) => `@tensorflow/tfjs${part}`);
  equipped = install("fft.js", ...tensorflow);
});
afterAll(() => {
  for (const folder of [bare, equipped, dirname(tarball)]) if (folder) rmSync(folder, { recursive: true });
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

  test("shows this project's targets only when asked", async () => {
    const asked = await adamaxIn(bare!, "bench", "memory", "--targets", "--out", "targets");
    expect(asked.printed).toMatch(/median.*target/);
    expect(asked.printed).toMatch(/targets? missed\./i);
    const usual = await adamaxIn(bare!, "bench", "memory", "--out", "usual");
    expect([usual.code, usual.printed]).toEqual([0, expect.not.stringMatching(/target|MISSED/)]);
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

  test("trains on a voice that is nobody's, gains what can be heard, and writes page and sounds", async () => {
    const { code, printed, complained } = await adamaxIn(equipped!, "demo", "--quick", "--out", "speech");
    expect({ code, complained }).toEqual({ code: 0, complained: "" });
    expect(printed).toMatch(/recordings to train on, 2 others to test on/);
    const gained = (row: RegExp) => Number(row.exec(printed)![1]!.replace("−", "-"));
    expect(gained(/^ +network +([+−][\d.]+)/m)).toBeGreaterThan(5); // dB; 7.0 here
    const [theirs, ours, better] = ["TensorFlow.js Adamax", "Adamax", "Adamax, clipping and averaging"].map((label) =>
      gained(new RegExp(`^ +${label} +[\\d.]+ +[\\d.]+ +([+−][\\d.]+)`, "m")),
    );
    expect(ours).toBeCloseTo(theirs!, 1); // the same rule
    expect(ours).toBeGreaterThan(1);
    expect(better).toBeGreaterThan(ours!);
    const out = join(equipped!, "speech");
    expect(readdirSync(out).filter((name) => name.endsWith(".wav"))).toHaveLength(20);
    expect(readFileSync(join(out, "report.html"), "utf8")).toContain("It is synthesised");
    const again = await adamaxIn(equipped!, "demo", "--quick", "--out", "speech");
    expect(again).toMatchObject({ code: 1, printed: "" });
    expect(again.complained).toContain("--force");
  });

  test("names what recordings of one's own it wants", async () => {
    mkdirSync(join(equipped!, "mine"));
    const { code, complained } = await adamaxIn(equipped!, "demo", "--recordings", "mine", "--out", "own");
    expect(code).toBe(1);
    expect(complained).toContain("mine: too few recordings");
  });
});

describe("the package", () => {
  test("brings no other package along, and is MIT throughout", () => {
    const { dependencies, license } = JSON.parse(readFileSync(join(bare!, "node_modules/adamax/package.json"), "utf8"));
    expect([dependencies, license]).toEqual([undefined, "MIT"]);
    const names = readdirSync(join(bare!, "node_modules/adamax"), { recursive: true, encoding: "utf8" });
    expect(names.filter((name) => /\.wav$|ATTRIBUTION/.test(name))).toEqual([]);
  });

  test("is small", () => {
    expect(statSync(tarball).size).toBeLessThan(700_000); // bytes
  });

  test("every link of its pages leads to a file of the package, and to a heading that there is", () => {
    const root = join(bare!, "node_modules/adamax");
    const pages = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".md"));
    const anchors = (page: string) =>
      [...readFileSync(page, "utf8").matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
        heading!
          .toLowerCase()
          .replace(/[^\p{L}\d _-]/gu, "")
          .replaceAll(" ", "-"),
      );
    const broken = pages.flatMap((page) =>
      [
        ...readFileSync(join(root, page), "utf8")
          .replace(/```[\s\S]*?```/g, "")
          .matchAll(/\]\(([^)]+)\)/g),
      ].flatMap(([, link]) => {
        if (/^https?:/.test(link!)) return [];
        const [path, anchor] = link!.split("#");
        const target = path === "" ? join(root, page) : join(root, dirname(page), path!);
        if (!existsSync(target)) return [`${page}: ${link}`];
        return anchor && !anchors(target).includes(anchor) ? [`${page}: ${link}`] : [];
      }),
    );
    expect(pages.length).toBeGreaterThan(15);
    expect(broken).toEqual([]);
  });
});
