/** The package in bundlers: each project of docs/bundlers.md, built from the package as it is published, and opened in Chromium. */

import { join } from "node:path";
import { type Browser, chromium } from "playwright";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { launchOptions } from "../../scripts/chromium.js";
import { environment, ISOLATION, projectsOf, run, serve, workshop, writeProject } from "./projects.js";

vi.setConfig({ testTimeout: 180_000, hookTimeout: 300_000 });

const projects = projectsOf("docs/bundlers.md");
let shop: string;
let browser: Browser;
beforeAll(async () => {
  shop = workshop();
  browser = await chromium.launch(launchOptions);
});
afterAll(() => browser?.close());

/** What the page says in the end, and what its console complained of. */
const open = async (url: string): Promise<{ said: string; complaints: string[] }> => {
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(`${message.text()} ${message.location().url}`);
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(url);
  const waited = page.waitForFunction(() => /bytes/.test(document.body.textContent ?? ""), null, { timeout: 60_000 });
  await waited.catch(() => {});
  const said = (await page.textContent("body")) ?? "";
  await page.close();
  return { said, complaints: complaints.filter((text) => !text.includes("favicon")) };
};

const BUNDLERS = ["Vite", "webpack", "esbuild", "Rollup", "Parcel", "Next.js"];

test("the page has these bundlers, and each has commands", () => {
  for (const name of BUNDLERS) expect(projects.get(name)?.commands.length, name).toBeGreaterThan(0);
});

describe.each(BUNDLERS)("%s", (name) => {
  let folder: string;
  beforeAll(async () => {
    const project = projects.get(name)!;
    folder = writeProject(shop, name, project);
    for (const command of project.commands) await run(command, folder, environment(shop));
  });

  test("isolated: steps are shared by two threads", async () => {
    const { url, close } = await serve(join(folder, "out"), ISOLATION);
    const { said, complaints } = await open(url);
    close();
    expect({ said, complaints }).toEqual({ said: expect.stringMatching(/^shared; .*; \d+ bytes; .*2 threads$/), complaints: [] });
  });

  test("not isolated: one thread, the reason, and no complaint", async () => {
    const { url, close } = await serve(join(folder, "out"), {});
    const { said, complaints } = await open(url);
    close();
    expect({ said, complaints }).toEqual({
      said: expect.stringMatching(/^alone; .*; \d+ bytes; .*one thread: the page is not cross-origin isolated/),
      complaints: [],
    });
  });
});
