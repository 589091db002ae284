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

test.each(["", "docs/arguments.html", "docs/api/index/classes/Adamax.html", ...PARTS])(
  "/%s weighs less than 300 kB compressed before TensorFlow.js is needed; axe finds no fault, light and dark; it is not wider than a phone",
  async (path) => {
    const { page, weight } = await open(path);
    await page.waitForLoadState("networkidle");
    expect(await weight()).toBeGreaterThan(20_000);
    expect(await weight()).toBeLessThan(300_000);
    expect(await failures(page)).toEqual([]);
    await page.emulateMedia({ colorScheme: "dark" });
    await page.setViewportSize({ width: 390, height: 844 });
    await page.reload({ waitUntil: "networkidle" });
    expect(await page.evaluate(() => document.documentElement.classList.contains("dark"))).toBe(true);
    expect(await failures(page)).toEqual([]);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
    await page.context().close();
  },
);

/** Every page that is written by hand, and of the API reference one of each kind. */
const opened = (paths: readonly string[]): string[] => {
  const kinds = new Map(paths.map((path) => [path.startsWith("/docs/api/") ? path.replace(/[^/]*$/, "") : path, path]));
  return [...kinds.values()].filter((path) => path !== "/404.html");
};

test("every page opens without a complaint", async () => {
  const paths = opened(builtPages().map(({ path }) => path));
  expect(paths.length).toBeGreaterThan(40);
  const lane = async () => {
    const { page, complaints } = await open("");
    for (let path = paths.pop(); path; path = paths.pop()) {
      await page.goto(new URL(path, page.url()).href, { waitUntil: "load" });
      expect(complaints, path).toEqual([]);
    }
  };
  await Promise.all([lane(), lane()]);
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
