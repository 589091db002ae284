import type { Page } from "playwright";
import { expect, test } from "vitest";
import { expectQuiet, useSite } from "./browser.ts";

const open = useSite();
const MOVE = "playground/see-it-move.html";

const pathOf = async (page: Page, id: string) => {
  const points = await page.locator(`[data-runner=${id}] polyline`).last().getAttribute("points");
  return points!.split(" ").map((point) => point.split(",").map(Number) as [number, number]);
};
const numbers = (page: Page) => page.locator(".numbers");

test("four optimizers start where the start is dragged to, by pointer and by keys, and the address says where", async () => {
  const opened = await open(MOVE);
  const { page } = opened;
  const start = page.getByRole("button", { name: /^Start at/ });
  await page.locator("[data-runner=lion]").waitFor();
  const box = (await start.boundingBox())!;
  await page.mouse.move(box.x + 22, box.y + 22);
  await page.mouse.down();
  await page.mouse.move(box.x + 222, box.y + 122, { steps: 3 });
  await page.mouse.up();
  const picture = (await page.locator(".picture").boundingBox())!;
  const scale = 600 / picture.width;
  for (const id of ["adamax", "adam", "sgd", "lion"]) {
    const [[x, y]] = (await pathOf(page, id)) as [[number, number]];
    expect(x).toBeCloseTo((box.x + 222 - picture.x) * scale, -0.5);
    expect(y).toBeCloseTo((box.y + 122 - picture.y) * scale, -0.5);
  }
  const dragged = await pathOf(page, "adamax");
  await page.waitForURL(/start=/);
  const before = page.url();
  await start.focus();
  await page.keyboard.press("ArrowRight");
  const [moved] = await pathOf(page, "adamax");
  expect(moved![0]).toBeCloseTo(dragged[0]![0] + 10, 0); // a tenth of the plane's unit

  await page.waitForURL((url) => url.href !== before);
  const { page: other } = await open(MOVE + new URL(page.url()).search);
  await other.locator("[data-runner=lion]").waitFor();
  const points = (there: Page) => there.locator("[data-runner=adamax] polyline").last().getAttribute("points");
  await expect.poll(async () => (await points(other)) === (await points(page))).toBe(true);
  expectQuiet(opened);
});

test("the equations show the numbers of the step under the pointer, and those follow from each other", async () => {
  const opened = await open(MOVE);
  const { page } = opened;
  await page.locator("[data-runner=adam]").waitFor();
  for (const id of ["adam", "lion", "sgd"])
    await page.getByLabel(`Show ${id === "sgd" ? "SGD" : id === "adam" ? "Adam" : "Lion"}`, { exact: true }).uncheck();
  const path = await pathOf(page, "adamax");
  const picture = (await page.locator(".picture").boundingBox())!;
  const [x, y] = path[40]!;
  await page.mouse.move(picture.x + (x * picture.width) / 600, picture.y + (y * picture.width) / 600);
  await expect.poll(() => numbers(page).getAttribute("aria-label")).toMatch(/^Step (39|40|41|42) of Adamax$/);
  const text = (await numbers(page).innerText()).replaceAll("−", "-").replaceAll("\u00a0", " ");
  const [, m, g, , share, result] = /m ← .*\s+x\s+(\S+) \+ \((\S+) - \(?(-?[\d.e-]+)\)*\) · (\S+) = (\S+)/
    .exec(text)!
    .map(Number);
  expect(m! + (g! - m!) * share!).toBeCloseTo(result!, 2);
  const [, old, size, u] = /u ← .*\s+x\s+max\((\S+), (\S+)\) = (\S+)/.exec(text)!.map(Number);
  expect(Math.max(old!, size!)).toBeCloseTo(u!, 3);
  await page.mouse.move(picture.x + 5, picture.y + picture.height - 5); // nobody is there
  await expect.poll(() => numbers(page).getAttribute("aria-label")).toBe("Step 300 of Adamax");
  expectQuiet(opened);
});

test("every option of the page is a control, and each changes what is computed", async () => {
  const { page } = await open(`${MOVE}?surface=stream&useEma=true`);
  await page.locator("[data-runner=adamax]").waitFor();
  await page.locator(".below:not([inert])").waitFor(); // alive
  const state = async () => `${await page.locator(".legend").innerText()} ${await numbers(page).innerText()}`;
  const before = await state();
  const keys: Record<string, string> = { emaMomentum: "Home", beta1: "Home", beta2: "Home", epsilon: "End" };
  const switched = [
    "weightDecay",
    "clipnorm",
    "clipvalue",
    "globalClipnorm",
    "emaOverwriteFrequency",
    "gradientAccumulationSteps",
  ];
  for (const [name, key] of Object.entries(keys)) {
    await page.locator(`#option-${name}`).focus();
    await page.keyboard.press(key);
    await expect.poll(state, { message: name }).not.toBe(before);
    await page.getByRole("button", { name: "Back to the defaults" }).click();
    await page.locator("#option-useEma").check();
    await expect.poll(state).toBe(before);
  }
  for (const name of switched) {
    const box = page.getByLabel(`Use ${name}`, { exact: true });
    await box.check();
    await expect.poll(state, { message: name }).not.toBe(before);
    await box.uncheck();
    await expect.poll(state).toBe(before);
  }
  await page.locator("#option-schedule").selectOption("CosineDecay");
  await expect.poll(state).not.toBe(before);
  await page.locator("#option-schedule").selectOption("constant");
  await page.locator("#option-name").fill("Mine");
  await expect.poll(state).toContain("Mine");
  await page.locator("#option-name").fill("");
  await page.locator("#option-jitCompile").uncheck(); // the interpreter: the same bits
  await page.waitForURL(/jitCompile=false/);
  expect(await state()).toBe(before);
  await page.locator("#option-useEma").uncheck();
  await expect.poll(() => page.locator(".average").count()).toBe(0);
});

test("only one way of clipping is on", async () => {
  const { page } = await open(`${MOVE}?clipnorm=1`);
  const first = page.getByLabel("Use clipnorm", { exact: true });
  await expect.poll(() => first.isChecked()).toBe(true);
  await page.getByLabel("Use clipvalue").check();
  expect(await first.isChecked()).toBe(false);
});

test("it plays, pauses and is scrubbed; where motion is not wanted it does not play by itself", async () => {
  const still = await open(MOVE);
  const shown = (page: Page) => page.locator(".timeline .value").innerText();
  await expect.poll(() => shown(still.page)).toBe("300 / 300");
  const { page } = await open(MOVE, { reducedMotion: "no-preference" });
  const button = page.getByRole("button", { name: "Pause" });
  await button.waitFor();
  await button.click();
  const paused = await shown(page);
  expect(Number(paused.split(" ")[0])).toBeLessThan(300);
  await page.getByLabel("Steps shown").focus();
  await page.keyboard.press("Home");
  await expect.poll(() => shown(page)).toBe("0 / 300");
  await page.keyboard.press("ArrowRight");
  await expect.poll(() => shown(page)).toBe("1 / 300");
  await expect.poll(() => page.getByRole("status").innerText()).toMatch(/^Step 1\. Adamax: .*Lion: /);
});

test("an address that says nonsense shows the beginning", async () => {
  const opened = await open(
    `${MOVE}?surface=nowhere&start=1e9,x&beta1=7&noise=-1&step=1e9&hidden=all&numbers=%3Cb%3E&rate-adam=NaN&schedule=none`,
  );
  const { page } = opened;
  await page.locator("[data-runner=lion]").waitFor();
  expect(await page.getByRole("radio", { name: "Valley" }).isChecked()).toBe(true);
  expect(await page.locator("#option-beta1 + .value").innerText()).toBe("0.9");
  expectQuiet(opened);
});
