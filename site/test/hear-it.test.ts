import type { Page } from "playwright";
import { expect, test } from "vitest";
import { expectQuiet, useSite } from "./browser.ts";

const open = useSite();

const decibels = async (page: Page, title: RegExp) =>
  Number.parseFloat(await page.locator(".sound").filter({ hasText: title }).locator("span").innerText());

test("the denoiser trains in the page, the sound gets cleaner, and the averages are on a switch", async () => {
  const opened = await open("playground/hear-it.html?steps=100&noise=white");
  const { page } = opened;
  await page.getByRole("button", { name: "Train" }).click();
  await page.getByText("100 steps in").waitFor({ timeout: 60_000 });
  await page.getByText("Cleaned, after step 100").waitFor();
  const [noisy, averaged] = [await decibels(page, /^Noisy/), await decibels(page, /^Cleaned/)];
  expect(averaged).toBeGreaterThan(noisy + 2);
  await page.getByRole("switch", { name: "Averages" }).uncheck();
  await expect.poll(() => decibels(page, /^Cleaned/)).not.toBe(averaged); // the weights of the last step are others
  const duration = () =>
    page
      .locator("audio")
      .nth(1)
      .evaluate((audio) => (audio as HTMLAudioElement).duration);
  await expect.poll(duration).toBeGreaterThan(1);
  const white = await decibels(page, /^Cleaned/);
  await page.getByRole("radio", { name: "hum" }).check(); // heard with what has been learned; as loud as the noise before it
  await expect.poll(() => decibels(page, /^Cleaned/)).not.toBe(white);
  expect(await decibels(page, /^Noisy/)).toBe(noisy);
  await page.waitForURL(/noise=hum/);
  expectQuiet(opened);
});
