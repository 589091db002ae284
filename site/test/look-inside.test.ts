import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { readContents } from "../../dist/cli/contents.js";
import { bodyOf } from "../../dist/cli/page.js";
import { expectQuiet, useSite } from "./browser.ts";

const open = useSite();
const INSIDE = "playground/look-inside.html";
const fixture = (name: string) => fileURLToPath(new URL(`../../fixtures/${name}`, import.meta.url));

test("a .keras and an .h5 file say in the page what the command says of them, and no request is made", async () => {
  const opened = await open(INSIDE);
  const { page } = opened;
  await page.waitForLoadState("networkidle");
  for (const name of ["keras-files/keras-average.keras", "keras-files/tf_keras-average.h5"]) {
    const posted: string[] = [];
    page.on("request", (request) => request.postData() !== null && posted.push(request.url()));
    await page.locator("#files").setInputFiles(fixture(name));
    const title = name.split("/")[1]!;
    await page.getByRole("heading", { name: title }).waitFor();
    const wanted = await page.evaluate(
      (html) => new DOMParser().parseFromString(html, "text/html").body.innerHTML.trim(),
      bodyOf(await readContents(fixture(name))),
    );
    expect((await page.locator(".contents").innerHTML()).trim()).toBe(wanted);
    expect(await page.getByRole("img", { name: /^Histogram of/ }).count()).toBeGreaterThan(10);
    expect(posted).toEqual([]);
  }
  expectQuiet(opened);
});

test("a file is dropped on the page; a model of several files comes as one; what is no model is said", async () => {
  const opened = await open(INSIDE);
  const { page } = opened;
  await page.locator("#files").waitFor({ state: "attached" });
  await page.waitForLoadState("networkidle");
  const transfer = await page.evaluateHandle(() => {
    const data = new DataTransfer();
    data.items.add(new File(["no model"], "letter.txt"));
    return data;
  });
  await page.dispatchEvent(".drop", "dragover", { dataTransfer: transfer });
  await page.dispatchEvent(".drop", "drop", { dataTransfer: transfer });
  await expect.poll(() => page.getByRole("alert").innerText()).toMatch(/letter\.txt|safetensors|checkpoint/i);
  for (const folder of ["keras-folders/keras-shards", "keras-folders/average-weights"]) {
    const files = readdirSync(fixture(folder)).map((name) => fixture(`${folder}/${name}`));
    await page.locator("#files").setInputFiles(files);
    await page.getByRole("heading", { name: `and ${files.length - 1} more` }).waitFor();
  }
  expectQuiet(opened);
});

test("an example opens by a link", async () => {
  const opened = await open(`${INSIDE}?example=yes`);
  await opened.page.getByRole("heading", { name: "keras-average.keras" }).waitFor();
  expect(await opened.page.locator(".contents").innerText()).toContain("Adamax, 7 steps");
  expectQuiet(opened);
});
