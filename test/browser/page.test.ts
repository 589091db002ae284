/** The page of examples/page, in whatever browser runs this. (test/examples/page.test.ts opens it in Chromium as it is built.) */

import { expect, test } from "vitest";
// @ts-expect-error: Vite gives the text of any file.
import html from "../../examples/page/index.html?raw";

test("it trains, draws, and measures a step", { timeout: 120_000 }, async () => {
  document.body.innerHTML = /<body>([\s\S]*)<\/body>/.exec(html)![1]!;
  const text = (id: string) => document.getElementById(id)!.textContent ?? "";
  await import("../../examples/page/main.js");
  await expect.poll(() => text("million"), { timeout: 100_000 }).toContain("steps shared");
  expect(text("status")).toBe("Done");
  expect(Number.parseFloat(text("accuracy"))).toBeGreaterThan(97);
  expect(text("backend")).toMatch(/^wasm: WebAssembly SIMD/);
  const map = document.getElementById("map") as HTMLCanvasElement;
  const { data } = map.getContext("2d")!.getImageData(100, 100, 280, 280);
  expect(new Set(new Uint32Array(data.buffer)).size).toBeGreaterThan(100); // colors
});
