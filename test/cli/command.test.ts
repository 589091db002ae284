/** The command `adamax`, as a process of its own, from the built package. */

import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";

vi.setConfig({ testTimeout: 30_000 }); // several processes each

const files = "fixtures/keras-files";
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "adamax-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Outcome {
  code: number;
  printed: string;
  complained: string;
}

const adamax = (...args: string[]): Promise<Outcome> =>
  new Promise((resolve) => {
    execFile(process.execPath, ["dist/cli/main.js", ...args], (error, printed, complained) =>
      resolve({ code: error ? Number(error.code) : 0, printed, complained }),
    );
  });

describe("inspect", () => {
  test("prints the class, the step count, the configuration and a line with figures for every array", async () => {
    const { code, printed, complained } = await adamax("inspect", `${files}/tf_keras-average.keras`);
    expect({ code, complained }).toEqual({ code: 0, complained: "" });
    expect(printed).toMatch(/^Adamax, 7 steps$/m);
    expect(printed).toMatch(/^ {2}weight_decay: 0.004$/m);
    expect(printed).toMatch(/^first\/kernel +\[3, 4\] +float32 +-0.623703 +0.517329 +0 +0$/m);
    expect(printed).toMatch(/^average\/dense\/kernel /m);
    expect(printed).toMatch(/^norm\/dense\/kernel /m);
  });

  test("--json is the same as JSON", async () => {
    const { printed } = await adamax("inspect", "--json", `${files}/keras-plain.h5`);
    expect(JSON.parse(printed)).toMatchObject({ className: "Adamax", steps: 7, format: "h5", config: { beta_1: 0.9 } });
    expect(JSON.parse(printed).arrays).toHaveLength(9 + 16);
  });

  test("counts what is not finite", async () => {
    const { printed } = await adamax("inspect", "--json", `${files}/keras-float16.weights.h5`);
    const { arrays } = JSON.parse(printed) as { arrays: { name: string; nonFinite: number }[] };
    expect(arrays.find(({ name }) => name === "first/kernel")!.nonFinite).toBe(2); // float16: 0 / 0
  });
});

describe("diff", () => {
  test("nothing between two formats of one training: 0", async () => {
    expect(await adamax("diff", `${files}/keras-plain.keras`, `${files}/keras-plain.h5`)).toEqual({
      code: 0,
      printed: "",
      complained: "",
    });
  });

  test("names settings and arrays, and counts ulps: 1", async () => {
    const { code, printed } = await adamax("diff", `${files}/keras-plain.keras`, `${files}/keras-average.keras`);
    expect(code).toBe(1);
    expect(printed).toContain("weight_decay: null and 0.01\n");
    expect(printed).toMatch(/^first\/kernel: 12 of 12 elements differ, by up to \d+ ulps$/m);
    expect(printed).toMatch(/^average\/first\/kernel: only in .*keras-average.keras$/m);
  });
});

describe("convert", () => {
  test("to a checkpoint, and from there into a given .keras file: nothing differs", async () => {
    const [checkpoint, back] = [join(folder, "run.safetensors"), join(folder, "back.keras")];
    expect(await adamax("convert", `${files}/keras-plain.keras`, checkpoint)).toMatchObject({ code: 0 });
    expect(await adamax("convert", checkpoint, back, "--into", `${files}/keras-plain.keras`)).toEqual({
      code: 0,
      printed: "",
      complained: "",
    });
    expect(await adamax("diff", back, `${files}/keras-plain.keras`)).toMatchObject({ code: 0, printed: "" });
  });

  test("takes options for a file that holds none", async () => {
    const to = join(folder, "weights.safetensors");
    expect(await adamax("convert", `${files}/keras-plain.weights.h5`, to)).toMatchObject({ code: 1 });
    expect(existsSync(to)).toBe(false);
    expect(await adamax("convert", `${files}/keras-plain.weights.h5`, to, "--options", '{"learning_rate": 0.01}')).toMatchObject({
      code: 0,
    });
    expect((await adamax("diff", to, `${files}/keras-plain.weights.h5`)).printed).toBe("");
  });

  test("replaces a file only with --force", async () => {
    const to = join(folder, "there.weights.h5");
    cpSync(`${files}/tf_keras-plain.weights.h5`, to);
    const before = readFileSync(to);
    const refused = await adamax("convert", `${files}/keras-plain.keras`, to);
    expect(refused.code).toBe(1);
    expect(refused.complained).toContain("--force");
    expect(readFileSync(to)).toEqual(before);
    expect(await adamax("convert", `${files}/keras-plain.keras`, to, "--force")).toMatchObject({ code: 0 });
    expect(readFileSync(to)).not.toEqual(before);
  });
});

describe("failures", () => {
  test.each([
    ["no such command", ["paint"]],
    ["a missing argument", ["diff", "a"]],
    ["an unknown option", ["inspect", "--colour", "a"]],
    ["a number of ulps that is none", ["diff", "a", "b", "--ulps", "many"]],
    ["no command", []],
  ])("%s is wrong use: 2, on stderr", async (_, args) => {
    const { code, printed, complained } = await adamax(...args);
    expect({ code, printed }).toEqual({ code: 2, printed: "" });
    expect(complained).not.toBe("");
  });

  test("a file that cannot be read: 1, one line on stderr; with --debug where it came from", async () => {
    const { code, complained } = await adamax("inspect", "package.json");
    expect({ code, lines: complained.trimEnd().split("\n").length }).toEqual({ code: 1, lines: 1 });
    expect((await adamax("--debug", "inspect", "package.json")).complained).toMatch(/\n +at /);
  });

  test("help is no failure, and has examples", async () => {
    const { code, printed } = await adamax("convert", "--help");
    expect(code).toBe(0);
    expect(printed).toContain("$ adamax convert model.keras model.weights.h5");
  });

  test("a reader that closes the pipe early is no failure", async () => {
    const command = `"${process.execPath}" dist/cli/main.js inspect --json ${files}/keras-plain.h5 | head -n 1; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = await new Promise<{ stdout: string; stderr: string }>((resolve) => {
      execFile("bash", ["-c", command], (_, stdout, stderr) => resolve({ stdout, stderr }));
    });
    expect(stdout).toBe("{\n0\n");
    expect(stderr).toBe("");
  });
});
