import { expect, test } from "vitest";
import { expectQuiet, useSite } from "./browser.ts";

const open = useSite();

test.each([
  ["on wasm, with threads", "largest=10000", 2],
  ["on cpu, without threads", "largest=10000&backend=cpu&threads=off", 2],
  ["on webgl", "largest=1000&backend=webgl", 1],
  ["on webgpu", "largest=1000&backend=webgpu", 1],
])("a step is measured against TensorFlow.js' own %s, and every figure is one", async (_, query, sizes) => {
  const opened = await open(`playground/measure-it.html?${query}`);
  const { page } = opened;
  const status = page.locator(".status");
  await page.getByRole("button", { name: "Measure" }).click();
  await expect.poll(() => status.innerText(), { timeout: 60_000 }).toMatch(/thread/);
  await expect.poll(() => status.innerText(), { timeout: 60_000 }).toBe("Done.");
  const cells = await page.locator(".results tbody td").allInnerTexts();
  expect(cells).toHaveLength(sizes * 5);
  for (const cell of cells) expect(cell).toMatch(/^\d+(\.\d+)?(e\+\d+)?( µs| ms| \([\d.e+]+ – [\d.e+]+\))$/);
  expectQuiet(opened);
});

test("a measurement is stopped, and the page says so", async () => {
  const { page } = await open("playground/measure-it.html?largest=10000000");
  await page.getByRole("button", { name: "Measure" }).click();
  await page.getByRole("button", { name: "Stop" }).click();
  expect(await page.locator(".status").innerText()).toBe("Stopped.");
  await page.getByRole("button", { name: "Measure" }).waitFor();
});
