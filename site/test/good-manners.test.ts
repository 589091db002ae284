/** What holds for every page: what it weighs, whether everybody can use it, whether it opens without a complaint. */

import { createRequire } from "node:module";
import type { Page } from "playwright";
import { expect, test } from "vitest";
import { useSite } from "./browser.ts";
import { builtPages } from "./pages.ts";

const open = useSite();
const PARTS = ["see-it-move", "write-your-own", "hear-it", "measure-it", "look-inside"].map((part) => `playground/${part}.html`);
const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

const failures = async (page: Page): Promise<string[]> => {
  await page.addScriptTag({ path: axe });
  return page.evaluate(async () => {
    const { violations } = await (globalThis as never as { axe: typeof import("axe-core") }).axe.run(
      { exclude: [".VPNavBarSearch", ".VPSidebar"] }, // the theme's own: a name that lacks the keys it shows, links in buttons
    );
    return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 160)}`));
  });
};

test("no page weighs more than 300 kB compressed before TensorFlow.js is needed", async () => {
  for (const path of ["", "docs/arguments.html", ...PARTS]) {
    const { page, weight } = await open(path);
    await page.waitForLoadState("networkidle");
    expect(await weight(), path).toBeGreaterThan(20_000);
    expect(await weight(), path).toBeLessThan(300_000);
    await page.context().close();
  }
});

test.each(["", "docs/arguments.html", "docs/api/index/classes/Adamax.html", ...PARTS])(
  "axe finds no fault in /%s, light and dark, and it is not wider than a phone",
  async (path) => {
    const light = await open(path);
    await light.page.waitForLoadState("networkidle");
    expect(await failures(light.page)).toEqual([]);
    const dark = await open(path, { colorScheme: "dark", viewport: { width: 390, height: 844 } });
    await dark.page.waitForLoadState("networkidle");
    expect(await failures(dark.page)).toEqual([]);
    expect(await dark.page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
  },
);

/** Every page that is written by hand, and of the API reference one of each kind. */
const opened = (paths: readonly string[]): string[] => {
  const kinds = new Map(paths.map((path) => [path.startsWith("/docs/api/") ? path.replace(/[^/]*$/, "") : path, path]));
  return [...kinds.values()].filter((path) => path !== "/404.html");
};

test("every page opens without a complaint", async () => {
  const { page, complaints } = await open("");
  for (const path of opened(builtPages().map(({ path }) => path))) {
    await page.goto(new URL(path, page.url()).href, { waitUntil: "load" });
    expect(complaints, path).toEqual([]);
  }
}, 240_000); // some sixty pages

test("what has been loaded goes on without a network", async () => {
  const { page } = await open("playground/see-it-move.html");
  await page.locator("[data-runner=lion]").waitFor();
  await page.context().setOffline(true);
  const path = () => page.locator("[data-runner=adamax] polyline").last().getAttribute("points");
  const before = await path();
  await page.getByRole("radio", { name: "Saddle" }).check();
  await expect.poll(path).not.toBe(before);
});
