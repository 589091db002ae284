/** What the command shows on a terminal, and not elsewhere. */

import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { adamax, emptyFolder, execute, onTerminal } from "./adamax.js";

vi.setConfig({ testTimeout: 60_000 }); // several processes each

const FILE = "fixtures/keras-files/keras-plain.h5";
const BROKEN = "fixtures/keras-files/keras-float16.weights.h5"; // float16: 0 / 0
const ESCAPE = "\x1b[";

describe("colours", () => {
  test("on a terminal: headings are bold, arrays with numbers that are not finite red", async () => {
    const { printed } = await onTerminal({}, "inspect", BROKEN);
    expect(printed).toContain("\x1b[1marray ");
    const lines = printed.split("\r\n");
    expect(lines.find((line) => line.startsWith("\x1b[31mfirst/kernel "))).toMatch(/ 2.\[39m$/);
    expect(lines.some((line) => line.startsWith("batch_normalization/gamma "))).toBe(true);
  });

  test("on a terminal, errors begin in red", async () => {
    expect((await onTerminal({}, "inspect", "nowhere")).printed).toContain("\x1b[31madamax:\x1b[39m nowhere cannot be read");
  });

  test.each([{ NO_COLOR: "1" }, { TERM: "dumb" }])("not where the user wants none: %o", async (env) => {
    expect((await onTerminal(env, "inspect", BROKEN)).printed).not.toContain(ESCAPE);
  });

  test("not in a pipe, not in a file", async () => {
    const { printed } = await adamax("inspect", BROKEN);
    expect(printed).not.toContain(ESCAPE);
    expect((await adamax("inspect", "nowhere")).complained).not.toContain(ESCAPE);
  });
});

describe("progress of convert", () => {
  test("on a terminal: what is read, what is written and how far, and nothing of it is left", async () => {
    const to = join(emptyFolder(), "run.safetensors");
    const { printed } = await onTerminal({}, "convert", "fixtures/keras-files/keras-plain.keras", to);
    expect(printed).toContain("reading fixtures/keras-files/keras-plain.keras");
    expect(printed).toContain(`writing ${to}: 100 %`);
    expect(printed.endsWith("\r\x1b[K")).toBe(true);
  });

  test("of other formats too, reading a checkpoint and writing a model", async () => {
    const [run, weights] = ["run.safetensors", "w.weights.h5"].map((name) => join(emptyFolder(), name)) as [string, string];
    await adamax("convert", "fixtures/keras-files/keras-plain.keras", run);
    const { printed } = await onTerminal({}, "convert", run, weights);
    expect(printed).toContain(`reading ${run}: 100 %`);
    expect(printed).toContain(`writing ${weights}: 100 %`);
  });

  test("not where stderr is no terminal", async () => {
    const to = join(emptyFolder(), "run.safetensors");
    expect(await adamax("convert", FILE, to)).toEqual({ code: 0, printed: "", complained: "" });
  });
});

describe("a reader that closes the pipe early is no failure", () => {
  test.each([
    ["inspect", `inspect --json ${FILE}`],
    ["diff", `diff ${FILE} fixtures/keras-files/keras-average.keras`],
    ["help", "--help"],
  ])("%s", async (_, args) => {
    const command = `'${process.execPath}' dist/cli/main.js ${args} | head -n 1; echo "\${PIPESTATUS[0]}"`;
    const { printed, complained } = await execute("bash", ["-c", command]);
    expect(printed.trimEnd().split("\n")).toHaveLength(2);
    expect(Number(printed.trimEnd().split("\n")[1])).toBeLessThanOrEqual(_ === "diff" ? 1 : 0); // diff may have ended before
    expect(complained).toBe("");
  });
});
