/** What a file says is text: nothing in it is obeyed by a terminal. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Adamax, CheckpointError, Variable } from "adamax";
import { loadCheckpoint, saveCheckpoint } from "adamax/checkpoint";
import { describe, expect, test, vi } from "vitest";
import { printable } from "../../src/errors.js";
import { adamax, emptyFolder, onTerminal } from "./adamax.js";

vi.setConfig({ testTimeout: 60_000 }); // several processes each

/** Orders of a terminal by ESC, by the one byte CSI, by DEL; a line of one's own; letters turned around and hidden. */
const EVIL = "\x1b]0;title\x07\x1b[2Jk\x9b31me\x7fr\nadamax: fine\r\u2028n\u202eel\u200b\u{e0041}";
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const ORDERS = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u{e0000}-\u{e007f}]/u;

const evilFile = async (value = 1): Promise<string> => {
  const file = join(emptyFolder(), "run.safetensors");
  using optimizer = new Adamax({ name: EVIL });
  optimizer.build([new Variable(Float32Array.of(value, Number.NaN), { name: EVIL })]);
  await saveCheckpoint(file, { optimizer });
  return file;
};

describe("names with escape sequences", () => {
  test.each([
    ["inspect", (a: string) => ["inspect", a]],
    ["inspect --json", (a: string) => ["inspect", "--json", a]],
    ["diff", (a: string, b: string) => ["diff", a, b]],
    ["convert", (a: string) => ["convert", a, join(emptyFolder(), "x.weights.h5"), "--into", a]],
    [
      "convert, which warns of names that Keras does not find,",
      (a: string) => ["convert", a, join(emptyFolder(), "x.weights.h5")],
    ],
    ["a path", () => ["inspect", EVIL]],
  ])("%s prints none of them", async (_, args) => {
    const { printed, complained } = await adamax(...args(await evilFile(), await evilFile(2)));
    expect(printed + complained).not.toMatch(ORDERS);
    expect(printed + complained).toMatch(/run\.safetensors|\\u001b/);
  });

  test("on a terminal, only the colours are ours", async () => {
    const { printed } = await onTerminal({}, "inspect", await evilFile());
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(printed.replace(/\x1b\[(1|22|31|39)m|\r\n/g, "")).not.toMatch(ORDERS);
    expect(printed).toContain("\\u001b]0;title\\u0007\\u001b[2Jk\\u009b31me\\u007fr\\u000aadamax: fine");
  });

  test("--json is still JSON, with the names as they are", async () => {
    const { printed } = await adamax("inspect", "--json", await evilFile());
    expect(JSON.parse(printed).arrays[0].name).toBe(EVIL);
  });

  test("a page shows them, too", async () => {
    const page = join(emptyFolder(), "x.html");
    await adamax("inspect", await evilFile(), "--html", page);
    const { readFileSync } = await import("node:fs");
    expect(readFileSync(page, "utf8")).not.toMatch(ORDERS);
  });

  test("errors of the library, which others print, have none", async () => {
    const file = await evilFile();
    using optimizer = new Adamax();
    const error = await loadCheckpoint(file, { optimizer, variables: [new Variable(new Float32Array(2), { name: "w" })] }).then(
      () => null,
      (reason: Error) => reason,
    );
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error!.message).toContain("\n- variables/\\u001b]0;title");
    expect(error!.message).not.toMatch(ORDERS);
    const text = join(emptyFolder(), "x.json");
    writeFileSync(text, `{"weightsManifest":[{"paths":[],"weights":[{"name":"\x9b2J","dtype":"\x9b2J","shape":[]}]}]}`);
    expect((await adamax("inspect", text)).complained).not.toMatch(ORDERS);
  });
});

test("printable: text is as it was, what is obeyed becomes an escape of JSON that means it", () => {
  const text = "dense_1/kernel:0 ünïcödé 漢字 👍🏽 \\u001b";
  expect(printable(text)).toBe(text);
  expect(JSON.parse(`"${printable(EVIL)}"`)).toBe(EVIL);
  expect(printable(printable(EVIL))).toBe(printable(EVIL));
  expect(printable("\ud800")).toBe("\\ud800");
});
