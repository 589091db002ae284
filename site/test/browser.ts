/** A browser with the built site in it, for tests that use it as a person would. */

import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright";
import { afterAll, beforeAll, expect } from "vitest";
import { launchOptions } from "../../scripts/chromium.ts";
import { type Served, serve } from "../../scripts/serve.ts";
import { DIST } from "../server.ts";

export interface Opened {
  readonly page: Page;
  /** What the browser complained of, and every request that left the site. */
  readonly complaints: string[];
  /** Bytes that all answers had so far, as they were sent. */
  weight(): Promise<number>;
}

/** For one file of tests: opens pages of the site, each in a context of its own. At the end nothing may have been complained of.
 *  Motion is off unless a test wants it, so that pages are as they will stay. */
export const useSite = (): ((path: string, options?: BrowserContextOptions) => Promise<Opened>) => {
  let browser: Browser;
  let served: Served;
  beforeAll(async () => {
    served = await serve(DIST);
    browser = await chromium.launch(launchOptions);
  });
  afterAll(async () => {
    await browser?.close();
    served?.close();
  });
  return async (path, options = {}) => {
    const context = await browser.newContext({ reducedMotion: "reduce", viewport: { width: 1280, height: 900 }, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    const complaints: string[] = [];
    page.on("pageerror", ({ message }) => complaints.push(message));
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
    });
    page.on("request", (request) => {
      if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(served.url))
        complaints.push(`asked for ${request.url()}`);
    });
    const sizes: Promise<number>[] = [];
    page.on("requestfinished", (request) => {
      const size = request.sizes().then(({ responseBodySize }) => responseBodySize);
      size.catch(() => {}); // a page that closes does not answer any more, of which only `weight` need tell
      sizes.push(size);
    });
    await page.goto(new URL(path, served.url).href);
    return { page, complaints, weight: async () => (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0) };
  };
};

export const expectQuiet = ({ complaints }: Opened): void => expect(complaints).toEqual([]);
