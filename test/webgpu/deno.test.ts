/** The semantics suite on a GPU device in Deno, whose WebGPU (wgpu) is another implementation than that of Node and Chromium (Dawn). */

import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";

const SWIFTSHADER = "/usr/lib/chromium/vk_swiftshader_icd.json";

/** Of Debian on x86-64; the package deno brings others for other machines. */
const deno = join(dirname(createRequire(import.meta.url).resolve("@deno/linux-x64-glibc/package.json")), "deno");

/** DENO_VULKAN: another driver, as lavapipe (/usr/share/vulkan/icd.d/lvp_icd.x86_64.json). */
test("every test of it passes there, on wgpu", { timeout: 600_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "adamax-deno-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "results.json");
  const env = {
    ...process.env,
    VK_ICD_FILENAMES: process.env.DENO_VULKAN ?? SWIFTSHADER,
    DENO_NO_UPDATE_CHECK: "1",
    DENO_DIR: join(folder, "deno"),
    CI: "", // whose results are written elsewhere
  };
  const run = [
    ...["run", "-A", "--unstable-webgpu", "node_modules/vitest/vitest.mjs", "run", "--project", "webgpu"],
    ...["--pool=threads", "--no-isolate", "--reporter=json", `--outputFile=${file}`],
  ];
  await promisify(execFile)(deno, run, { env, maxBuffer: 2 ** 26 }).catch(() => {}); // what failed is in the file
  const results = JSON.parse(readFileSync(file, "utf8")) as {
    numPassedTests: number;
    testResults: {
      name: string;
      message: string;
      assertionResults: { status: string; fullName: string; failureMessages: string[] }[];
    }[];
  };
  const failed = results.testResults.flatMap(({ name, message, assertionResults }) => [
    ...assertionResults
      .filter(({ status }) => status !== "passed")
      .map(({ fullName, failureMessages }) => `${name}: ${fullName}: ${failureMessages}`),
    ...(message ? [`${name}: ${message}`] : []),
  ]);
  expect(failed).toEqual([]);
  expect(results.numPassedTests).toBeGreaterThan(900);
});
