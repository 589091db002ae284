/** Opens a page in headless Chromium and calls the functions of its module: for programs that start in Node and compute in a browser. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { build } from "esbuild";
import { chromium } from "playwright";
import { assertChromium, launchOptions } from "../../scripts/chromium.js";

type Functions<Module> = {
  [Name in keyof Module]: Module[Name] extends (...given: infer Given) => infer Result ? (...given: Given) => Result : never;
};

const PAGE = "<!doctype html><meta charset=utf-8><title>adamax</title><link rel=icon href=data:,><script src=/page.js></script>";

export interface OpenedPage<Module> {
  /** Calls an exported function in the page. What goes in and out is copied as JSON is, with typed arrays, NaN and infinities.
   *  @throws Error when it throws there. */
  call<Name extends keyof Functions<Module> & string>(
    name: Name,
    ...given: Parameters<Functions<Module>[Name]>
  ): Promise<Awaited<ReturnType<Functions<Module>[Name]>>>;
  close(): Promise<void>;
}

/** `module` is the path of the page's program. What it prints is printed here.
 *  @throws Error when there is no Chromium, or the module cannot be bundled. */
export const openPage = async <Module>(module: string): Promise<OpenedPage<Module>> => {
  assertChromium();
  const { outputFiles } = await build({
    entryPoints: [module],
    bundle: true,
    format: "iife",
    globalName: "page",
    platform: "browser",
    target: "es2022",
    // "adamax" is for the page what it is for the program that opens it. A built one has no settings of TypeScript.
    ...(module.endsWith(".ts") ? { tsconfig: process.env.TSX_TSCONFIG_PATH ?? "tsconfig.json" } : { tsconfigRaw: {} }),
    write: false,
    logLevel: "error",
  });
  const script = outputFiles[0]!.contents;
  const server = createServer(({ url }, response) => {
    const [type, content] = url === "/page.js" ? ["text/javascript", script] : ["text/html", PAGE];
    // Isolated from other origins, a page has finer clocks and SharedArrayBuffer.
    const isolation = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
    response.writeHead(200, { "content-type": type, ...isolation }).end(content);
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const browser = await chromium.launch(launchOptions);
  const close = async (): Promise<void> => {
    await browser.close();
    server.close();
  };
  const page = await browser.newPage();
  page.on("console", (message) => {
    if (message.type() === "log" || message.type() === "error") console.log(message.text()); // not the browser's own warnings
  });
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  const call = (name: string, ...given: unknown[]) =>
    page.evaluate(
      ([name, given]) =>
        (globalThis as never as { page: Record<string, (...given: unknown[]) => unknown> }).page[name]!(...given),
      [name, given] as const,
    );
  return { call: call as OpenedPage<Module>["call"], close };
};
