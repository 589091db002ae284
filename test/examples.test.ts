/** The examples, each run against the built package in a process of its own, as its reader would run it. */
import { execFile } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";

/** Seconds that an example may take: one that draws on Chromium's software GPU, beside the browser tests, is slow. */
const LONGEST = 180;

const run = (example: string, ...words: string[]) => runWith({}, example, ...words);

const runWith = async (variables: Record<string, string>, example: string, ...words: string[]) => {
  const env = { ...process.env, TSX_TSCONFIG_PATH: "tsconfig.build.json", NO_COLOR: "1", ...variables }; // "adamax" is dist, not src
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", `examples/${example}`, ...words], {
    env,
    timeout: LONGEST * 1000,
  });
  return stdout.trimEnd().split("\n");
};

describe.concurrent("examples", { timeout: (LONGEST + 10) * 1000 }, () => {
  test("the curve fit finds each number to a fiftieth", async () => {
    const [loss, ...found] = await run("curve-fit.ts");
    const [first, last] = loss!.match(/0\.\d+/g)!.map(Number);
    expect(last).toBeLessThan(first! / 10);
    expect(found).toHaveLength(4);
    for (const line of found) {
      const [value, truth] = line.match(/\d\.\d+/g)!.map(Number);
      expect(Math.abs(value! / truth! - 1), line).toBeLessThan(1 / 50); // the noise is a fifteenth of the strength
    }
  });

  test("a network that never leaves the GPU tells two spirals apart, and draws what it has learned", async () => {
    const file = join(tmpdir(), `adamax-spirals-${process.pid}.png`);
    const software = { VK_ICD_FILENAMES: "/usr/lib/chromium/vk_swiftshader_icd.json" };
    const lines = await runWith(software, "webgpu/main.ts", file);
    const [first, last, right] = lines
      .join()
      .match(/loss (\S+) -> (\S+); (\S+) %/)!
      .slice(1)
      .map(Number);
    expect([first! > 0.5, last! < 0.05, right! > 98]).toEqual([true, true, true]);
    expect(readFileSync(file).subarray(1, 4).toString()).toBe("PNG");
    rmSync(file);
  });

  test("the classifier stops by itself and knows 97 of 100 new points", async () => {
    const [line] = await run("classifier.ts");
    const [epochs, right, all] = line!.match(/\d+/g)!.map(Number);
    expect(epochs).toBeLessThan(200);
    expect(right! / all!).toBeGreaterThan(0.97);
  });

  test("fine-tuning: a frozen body stays, and unfreezing it in the same run brings the error down further", async () => {
    const [untrained, frozen, body, all] = await run("fine-tuning.ts", "--quick");
    const [, error, updates] = all!.match(/error (\S+), (\d+) updates/)!;
    const errorOf = (line: string) => Number(/error (\S+),/.exec(line)![1]);
    expect(errorOf(frozen!)).toBeLessThan(errorOf(untrained!) / 2);
    expect(body).toBe("the body has not moved");
    expect(Number(error)).toBeLessThan(errorOf(frozen!) / 1.5);
    expect(updates).toBe("600"); // one count for both parts
  });

  const accuraciesOf = (lines: readonly string[]) =>
    ["tf.train.adamax", "adamax/tfjs, the same", "adamax/tfjs, with more"].map((name) =>
      Number(/([\d.]+) % \|$/.exec(lines.find((line) => line.startsWith(`| ${name}`))!)![1]),
    ) as [theirs: number, same: number, more: number];

  test("MNIST: the accuracy of TensorFlow.js' own Adamax, more with more options, and a resumed run with the same bits", async () => {
    const lines = await run("mnist/main.ts", "--quick");
    const [theirs, same, more] = accuraciesOf(lines);
    expect(theirs).toBeGreaterThan(70);
    expect(Math.abs(same - theirs)).toBeLessThan(0.5); // their bias correction is a running product
    expect(more).toBeGreaterThan(theirs + 2);
    expect(lines.at(-1)).toMatch(/the same weights, bit for bit$/);
  });

  test("MNIST in Chromium on webgl: a convolutional network learns likewise, and goes on with the same bits", async () => {
    const lines = await run("mnist/browser.ts", "--quick");
    expect(lines[0]).toContain("on webgl (ANGLE");
    const [theirs, same, more] = accuraciesOf(lines);
    expect(theirs).toBeGreaterThan(60); // after 40 small steps
    expect(Math.abs(same - theirs)).toBeLessThan(1.5); // a digit is 0.2 %
    expect(more).toBeGreaterThan(theirs);
    expect(lines.at(-1)).toMatch(/the same weights, bit for bit$/);
  });

  test("without Chromium, a program that needs it says where it looked and what to do", async () => {
    const running = runWith({ CHROMIUM: "/nowhere/chromium" }, "mnist/browser.ts", "--quick");
    await expect(running).rejects.toThrow(/none at \/nowhere\/chromium\. Run scripts\/setup\.sh .* variable CHROMIUM/);
  });

  test.for(["curve-fit.ts", "classifier.ts", "fine-tuning.ts"])("%s has at most 70 lines", (example) => {
    expect(readFileSync(`examples/${example}`, "utf8").trimEnd().split("\n").length).toBeLessThanOrEqual(70);
  });
});
