/** The page of examples/page, built by Vite as its user would, served, and opened in Chromium; and the same training in Node. */

import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Browser, chromium, type Page } from "playwright";
import { build, createServer, preview } from "vite";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { launchOptions } from "../../scripts/chromium.js";

const root = "examples/page";
const outDir = mkdtempSync(join(tmpdir(), "adamax-page-"));
const local = { host: "127.0.0.1", port: 0 };
let browser: Browser;

beforeAll(async () => {
  await build({ root, logLevel: "warn", build: { outDir } });
  browser = await chromium.launch(launchOptions);
}, 60_000);
afterAll(async () => {
  await browser?.close();
  rmSync(outDir, { recursive: true });
});

/** The production build behind a server, with the headers of the example's configuration or without any. */
const serve = async ({ isolated }: { isolated: boolean }): Promise<string> => {
  const server = await preview({ root, build: { outDir }, preview: local, ...(isolated ? {} : { configFile: false }) });
  onTestFinished(() => server.close());
  return server.resolvedUrls!.local[0]!;
};

/** Opens the page. What it complains of fails the test at its end. */
const open = async (url: string, viewport = { width: 1100, height: 800 }): Promise<Page> => {
  const page = await browser.newPage({ viewport });
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  onTestFinished(async () => {
    await page.close();
    expect(complaints).toEqual([]);
  });
  await page.goto(url);
  return page;
};

const textOf = (page: Page, id: string): Promise<string> => page.locator(`#${id}`).innerText();
const numberOf = async (page: Page, id: string) => Number.parseFloat((await textOf(page, id)).replace(",", ""));
const done = (page: Page) => page.locator("#status", { hasText: "Done" }).waitFor({ timeout: 40_000 });
const measured = (page: Page) => page.locator("#million", { hasText: "steps shared" }).waitFor({ timeout: 20_000 });

/** PAGE_SCREENSHOTS=folder keeps pictures, to look at. */
const picture = async (page: Page, name: string): Promise<Buffer> => {
  const folder = process.env.PAGE_SCREENSHOTS;
  return page.screenshot({ fullPage: true, ...(folder ? { path: join(folder, `${name}.png`) } : {}) });
};

/** How many colors the middle of the map has, which a drawn map has many of. */
const colorsOf = (page: Page): Promise<number> =>
  page.locator("#map").evaluate((canvas: HTMLCanvasElement) => {
    const { data } = canvas.getContext("2d")!.getImageData(100, 100, 280, 280);
    return new Set(new Uint32Array(data.buffer)).size;
  });

describe("the page", { timeout: 70_000 }, () => {
  test("with the headers it trains, and its threads find their script in the bundle", async () => {
    const page = await open(`${await serve({ isolated: true })}?threads=2`);
    const worker = page.waitForEvent("worker", { timeout: 60_000 });
    await done(page);
    expect(await numberOf(page, "accuracy")).toBeGreaterThan(97);
    expect(await numberOf(page, "loss")).toBeLessThan(0.02);
    expect(await numberOf(page, "steps")).toBe(2000);
    expect(await numberOf(page, "speed")).toBeGreaterThan(0);
    expect(await textOf(page, "epoch")).toBe("200 / 200");
    expect(await textOf(page, "backend")).toMatch(/^wasm: WebAssembly SIMD.*one thread: no model was large enough for more/);
    expect(await colorsOf(page)).toBeGreaterThan(100);
    await measured(page);
    const [, , shared] = (await textOf(page, "million")).match(/^([\d.]+) ms, (\d+) of \d+ steps shared by threads/)!;
    expect(await textOf(page, "million")).toMatch(/2 threads$/);
    expect(Number(shared)).toBeGreaterThan(0);
    expect((await worker).url()).toMatch(/\/assets\/worker-[^/]+\.js$/);
    expect((await picture(page, "wide")).length).toBeGreaterThan(20_000);
  });

  test("without the headers it trains as well, on one thread, and says why", async () => {
    const page = await open(`${await serve({ isolated: false })}?threads=2`);
    await done(page);
    expect(await numberOf(page, "accuracy")).toBeGreaterThan(97);
    await measured(page);
    for (const id of ["backend", "million"])
      expect(await textOf(page, id)).toMatch(/one thread: the page is not cross-origin isolated/);
    expect(await textOf(page, "million")).toContain(" 0 of ");
  });

  test("on a phone nothing is wider than the screen; a training can be stopped, and another one follows", async () => {
    const page = await open(await serve({ isolated: true }), { width: 360, height: 740 });
    await page.locator("#epoch", { hasText: /^\d+ \// }).waitFor();
    await page.locator("#stop").click();
    await page.locator("#status", { hasText: "Stopped" }).waitFor();
    expect(await numberOf(page, "epoch")).toBeLessThan(200);
    await page.locator("#again").click();
    await done(page);
    expect(await numberOf(page, "accuracy")).toBeGreaterThan(97);
    await measured(page);
    const widths = await page.evaluate(() =>
      [...document.querySelectorAll("body *")].map((element) => element.getBoundingClientRect().right),
    );
    expect(Math.max(...widths)).toBeLessThanOrEqual(360);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
    await picture(page, "phone");
  });

  test("the development server runs it too, threads included", async () => {
    const server = await (
      await createServer({ root, logLevel: "warn", server: local, cacheDir: join(outDir, "cache") })
    ).listen();
    onTestFinished(() => server.close());
    const page = await open(`${server.resolvedUrls!.local[0]}?threads=2`);
    await measured(page);
    expect(await textOf(page, "status")).toBe("Done");
    expect(await textOf(page, "million")).toMatch(/2 threads$/);
  });
});

test("the same training runs in Node", async () => {
  const env = { ...process.env, TSX_TSCONFIG_PATH: "tsconfig.build.json", NO_COLOR: "1" }; // "adamax" is dist, not src
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", `${root}/node.ts`], {
    env,
    timeout: 60_000,
  });
  const lines = stdout.trimEnd().split("\n");
  expect(lines[0]).toMatch(/^wasm: /);
  expect(lines).toHaveLength(12);
  expect(Number.parseFloat(lines.at(-1)!)).toBeGreaterThan(97);
}, 70_000);
