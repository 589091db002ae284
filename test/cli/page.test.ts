/** `adamax inspect --html`. */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Adamax, Variable } from "adamax";
import { saveCheckpoint } from "adamax/checkpoint";
import { expect, test, vi } from "vitest";
import { histogramOf, statisticsOf } from "../../src/cli/statistics.js";
import { adamax, emptyFolder } from "./adamax.js";

vi.setConfig({ testTimeout: 60_000 }); // several processes each

const FILE = "fixtures/keras-files/tf_keras-average.keras";

const pageOf = async (file: string): Promise<string> => {
  const page = join(emptyFolder(), "page.html");
  expect(await adamax("inspect", file, "--html", page)).toEqual({ code: 0, printed: "", complained: "" });
  return readFileSync(page, "utf8");
};

test("one page with the settings, and a histogram and figures of every array of every variable", async () => {
  const page = await pageOf(FILE);
  const { arrays } = JSON.parse((await adamax("inspect", "--json", FILE)).printed) as { arrays: { name: string }[] };
  const shown = arrays.filter(({ name }) => !["iteration", "learning_rate"].includes(name));
  expect(page.match(/<svg /g)).toHaveLength(shown.length);
  for (const { name } of shown) expect(page).toContain(`aria-label="Histogram of ${name}"`);
  for (const kind of ["value", "average", "momentum", "norm"]) expect(page).toContain(`<th>${kind}</th>`);
  expect(page).toContain("<strong>Adamax, 7 steps</strong>");
  expect(page).toContain("<dt>weight_decay</dt><dd>0.004</dd>");
  expect(page).toContain("-0.623703 … 0.517329<br>"); // as the text has it
});

test("it needs nothing else: no address, no script, and the browser is told so", async () => {
  const page = await pageOf(FILE);
  expect(page).not.toMatch(/https?:|<script|<link|src=|url\(|@import/);
  expect(page).toContain(`http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"`);
});

test("names from the file are text", async () => {
  const folder = emptyFolder();
  const optimizer = new Adamax();
  optimizer.build([new Variable(Float32Array.of(1, Number.NaN), { name: `<img onerror="x">&'` })]);
  await saveCheckpoint(join(folder, "x.safetensors"), { optimizer });
  const page = await pageOf(join(folder, "x.safetensors"));
  expect(page).not.toContain("<img");
  expect(page).toContain("&#60;img onerror=&#34;x&#34;&#62;&#38;&#39;");
  expect(page).toContain("<b>not finite 1</b>");
});

test("a page that is there is replaced only with --force", async () => {
  const page = join(emptyFolder(), "page.html");
  writeFileSync(page, "mine");
  const refused = await adamax("inspect", FILE, "--html", page);
  expect(refused.code).toBe(1);
  expect(refused.complained).toContain("--force");
  expect(readFileSync(page, "utf8")).toBe("mine");
  expect(await adamax("inspect", FILE, "--html", page, "--force")).toMatchObject({ code: 0 });
  expect(readFileSync(page, "utf8")).toContain("<!doctype html>");
});

test("a file that cannot be read leaves no page", async () => {
  const page = join(emptyFolder(), "page.html");
  expect(await adamax("inspect", "package.json", "--html", page)).toMatchObject({ code: 1, printed: "" });
  expect(existsSync(page)).toBe(false);
});

test("histograms count the finite numbers, each once", () => {
  const values = Float32Array.of(0, 1, 1, 2, 4, Number.NaN, Number.POSITIVE_INFINITY);
  expect(histogramOf(values, statisticsOf(values), 4)).toEqual([1, 2, 1, 1]);
  expect(histogramOf(Float32Array.of(3, 3), statisticsOf(Float32Array.of(3, 3)), 3)).toEqual([0, 2, 0]);
  expect(histogramOf(Float32Array.of(Number.NaN), statisticsOf(Float32Array.of(Number.NaN)), 3)).toEqual([0, 0, 0]);
  const wide = Float64Array.of(-1.7e308, 0, 1.7e308); // their difference is no number
  expect(histogramOf(wide, statisticsOf(wide), 3)).toEqual([1, 1, 1]);
});
