import { expect, test } from "vitest";
import { expectQuiet, useSite } from "./browser.ts";

const open = useSite();

test("a step is measured against TensorFlow.js' own, with threads and without, and every figure is one", async () => {
  for (const [query, says] of [
    ["", /thread/],
    ["&threads=off&backend=cpu", /thread/],
  ] as const) {
    const opened = await open(`playground/measure-it.html?largest=10000${query}`);
    const { page } = opened;
    const status = page.locator(".status");
    await page.getByRole("button", { name: "Measure" }).click();
    await expect.poll(() => status.innerText(), { timeout: 60_000 }).toMatch(says);
    await expect.poll(() => status.innerText(), { timeout: 60_000 }).toBe("Done.");
    const cells = await page.locator(".results tbody td").allInnerTexts();
    expect(cells).toHaveLength(2 * 5);
    for (const cell of cells) expect(cell).toMatch(/^\d+(\.\d+)?(e\+\d+)?( µs| ms| \([\d.e+]+ – [\d.e+]+\))$/);
    expectQuiet(opened);
  }
});

test("a measurement is stopped, and the page says so", async () => {
  const { page } = await open("playground/measure-it.html?largest=10000000");
  await page.getByRole("button", { name: "Measure" }).click();
  await page.getByRole("button", { name: "Stop" }).click();
  expect(await page.locator(".status").innerText()).toBe("Stopped.");
  await page.getByRole("button", { name: "Measure" }).waitFor();
});
