import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright";
import { expect, test } from "vitest";
import { expectQuiet, useSite } from "./browser.ts";

const open = useSite();
const WRITE = "playground/write-your-own.html";

const type = async (page: Page, text: string) => {
  await page.locator(".own .bar").hover(); // the editor comes when somebody is there
  await page.locator(".cm-content").click();
  await page.keyboard.press("Control+a");
  await page.keyboard.insertText(text);
};
const said = (page: Page) => page.locator(".own [role=status]").innerText();
const joined = (page: Page) => page.locator("[data-runner=own]");

const rule = (update: string) => `import { defineRule } from "adamax";
defineRule({
  name: "Mine",
  slots: [],
  hyperparameters: {},
  update: ({ w, g }, { learningRate }) => ({
    ${update}
  }),
});`;

test("the rule of the documentation, typed in whole, joins the race with the path of the Lion that is there", async () => {
  const opened = await open(WRITE);
  const { page } = opened;
  await joined(page).waitFor();
  const document = readFileSync(fileURLToPath(new URL("../../docs/your-own-optimizer.md", import.meta.url)), "utf8");
  await type(page, /```ts\n([\s\S]*?)```/.exec(document)![1]!);
  await expect.poll(() => said(page)).toBe("Lion runs, and has joined the race.");
  await page.getByLabel("Learning rate of Lion").last().focus();
  await page.keyboard.press("Home");
  await page.getByLabel("Learning rate of Lion").first().focus();
  await page.keyboard.press("Home");
  const pathOf = (id: string) => page.locator(`[data-runner=${id}] polyline`).last().getAttribute("points");
  await expect.poll(async () => (await pathOf("own")) === (await pathOf("lion"))).toBe(true);
  expectQuiet(opened);
});

test("errors stand beside their lines: of syntax, of the rule, and of a rule that does not end", async () => {
  const opened = await open(WRITE);
  const { page } = opened;
  await joined(page).waitFor();
  const markers = () => page.locator(".cm-lint-marker-error").count();
  await type(page, rule("w: w.sub(learningRate.mul(g.mean())),"));
  await expect.poll(() => said(page)).toMatch(/^Line 7\. .*g\.mean is not a function/);
  expect(await markers()).toBe(1);
  await type(page, rule("w: w.sub(2 * g),"));
  await expect.poll(() => said(page)).toMatch(/^Line 7\. An expression has no value/);
  await type(page, rule("w: w.sub(g) +,"));
  await expect.poll(() => said(page)).toMatch(/^Line 7\. Unexpected token/);
  await type(page, "for (;;) {}");
  await expect.poll(() => said(page), { timeout: 10_000 }).toMatch(/did not end within 2 seconds/);
  await type(page, rule("w: w.sub(g.mul(learningRate)),"));
  await expect.poll(() => said(page)).toBe("Mine runs, and has joined the race.");
  expect(await markers()).toBe(0);
  expectQuiet(opened);
});

test("a rule that comes with a link runs when the visitor says so, and not before", async () => {
  const { page } = await open(WRITE);
  await joined(page).waitFor();
  await type(page, rule("w: w.sub(g.mul(learningRate)),"));
  await page.waitForURL(/rule=/);
  const opened = await open(WRITE + new URL(page.url()).search);
  const { page: other } = opened;
  await other.locator("[data-runner=lion]").waitFor();
  await expect.poll(() => said(other)).toMatch(/came with the link/);
  expect(await other.getByLabel("The rule").inputValue()).toContain("w: w.sub(g.mul(learningRate)),");
  expect(await joined(other).count()).toBe(0);
  await other.getByRole("button", { name: "Run it" }).click();
  await joined(other).waitFor();
  expectQuiet(opened);
});

test("one leaves the editor by keyboard alone", async () => {
  const { page } = await open(WRITE);
  await page.getByLabel("Begin with").focus();
  await page.locator(".cm-content").focus();
  await page.keyboard.press("Escape");
  await page.keyboard.press("Tab");
  expect(await page.evaluate(() => document.activeElement?.closest(".cm-editor"))).toBe(null);
});

test("a link whose rule is damaged says so, and shows another one that runs", async () => {
  const opened = await open(`${WRITE}?rule=!!!`);
  const { page } = opened;
  await joined(page).waitFor();
  expect(await said(page)).toMatch(/^The rule that came with the link is damaged or too long[\s\S]*has joined the race\.$/);
  expectQuiet(opened);
});

test("a rule that is too long for a link runs, and the page says that its address does not hold it", async () => {
  const { page } = await open(WRITE);
  await joined(page).waitFor();
  await type(page, `${rule("w: w.sub(g.mul(learningRate)),")}\n// ${"x".repeat(9000)}`);
  await expect.poll(() => said(page)).toMatch(/^Mine runs, and has joined the race\.\s+The rule is too long for a link/);
  expect(page.url()).not.toContain("rule=");
});

test("without a network the page says that rules cannot run, and the text stays in its plain field", async () => {
  const { page } = await open(WRITE);
  await joined(page).waitFor();
  await page.route(/\/(worker|editor)[-.][^/]*\.js$/, (route) => route.abort());
  await page.getByLabel("The rule").fill("while (true) {}"); // its worker is ended, and the next one does not come
  await expect.poll(() => said(page), { timeout: 10_000 }).toMatch(/did not end within 2 seconds/);
  await page.getByLabel("The rule").fill(rule("w: w.sub(g.mul(learningRate)),"));
  await expect.poll(() => said(page)).toMatch(/could not be started/);
  expect(await page.locator(".cm-editor").count()).toBe(0);
});

test("who types into the plain field goes on in the editor that takes its place", async () => {
  const { page } = await open(WRITE);
  await joined(page).waitFor();
  await page.locator("textarea").focus();
  await page.keyboard.press("Control+Home");
  await page.keyboard.type("// first, ");
  await page.locator(".cm-editor").waitFor();
  await page.keyboard.type("then\n");
  await expect.poll(() => page.locator(".cm-line").first().innerText()).toBe("// first, then");
});

test("a rule reaches neither the network nor the page", async () => {
  const opened = await open(WRITE); // complains of every request to elsewhere
  const { page } = opened;
  await joined(page).waitFor();
  for (const line of ['fetch("https://example.com/");', 'self.postMessage({ kind: "ran" });', "close();"]) {
    await type(page, `${line}\n${rule("w: w.sub(g.mul(learningRate)),")}`);
    await expect.poll(() => said(page), { message: line }).toMatch(/^Line 1\. .* is not a function$/);
  }
  expectQuiet(opened);
});
