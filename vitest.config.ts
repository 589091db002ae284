import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { playwright } from "@vitest/browser-playwright";
import { defineConfig } from "vitest/config";
import { launchOptions } from "./scripts/chromium.ts";

const [src, far, webgpu] = ["./src", "./test/far", "./test/webgpu"].map((path) => fileURLToPath(new URL(path, import.meta.url)));

/** After all tests in Node: a browser is a crowd of processes by itself. */
const afterNode = { maxWorkers: 1, sequence: { groupOrder: 1 } } as const;
const inChromium = () => ({
  enabled: true,
  headless: true,
  screenshotFailures: false,
  provider: playwright({ launchOptions }),
  instances: [{ browser: "chromium" as const }],
});
/** "adamax" is what test/webgpu makes of it: the core, on a GPU device in software. */
const onDevice = { alias: [{ find: /^adamax$/, replacement: `${webgpu}/adamax.ts` }] };

export default defineConfig({
  test: {
    maxWorkers: Math.max(2, availableParallelism() - 1), // by itself, one on two cores
    testTimeout: 60_000, // a busy machine is no failure; what must be fast is measured in bench/
    hookTimeout: 60_000,
    // .ci/run counts tests in this file, and in those of scripts/engines.ts.
    reporters: process.env.CI ? ["default", "json"] : ["default"],
    outputFile: "test-results.json", // scripts/engines.ts names another for each engine
    projects: [
      {
        extends: true,
        test: {
          name: "node",
          environment: "node",
          include: ["test/**/*.test.ts"],
          exclude: ["test/browser/**", "test/far/**", "test/engines/**"],
          maxConcurrency: 2, // test.concurrent: examples of the docs and jobs of ranks, which are processes
        },
      },
      {
        extends: true,
        // The semantics suite on a backend whose memory is in another thread.
        resolve: { alias: [{ find: /^adamax$/, replacement: `${far}/adamax.ts` }] },
        test: { name: "far", environment: "node", include: ["test/semantics/**/*.test.ts", "test/far/**/*.test.ts"] },
      },
      {
        extends: true,
        // The site, built once and opened in Chromium.
        test: {
          name: "site",
          environment: "node",
          include: ["site/test/**/*.test.ts"],
          globalSetup: "site/test/build.ts",
          expect: { poll: { timeout: 10_000 } },
        },
      },
      {
        extends: true,
        // And on a GPU device. scripts/engines.ts runs this in Deno, too.
        resolve: onDevice,
        test: {
          name: "webgpu",
          environment: "node",
          include: ["test/semantics/**/*.test.ts"],
          setupFiles: "Deno" in globalThis ? ["test/engines/deno.ts"] : [],
        },
      },
      {
        extends: true,
        // Cross-origin isolation: without it a page has no SharedArrayBuffer.
        server: {
          headers: { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" },
        },
        // Found only when a test imports them, they would make Vite reload the page in the middle of the tests.
        optimizeDeps: {
          include: [
            "@tensorflow/tfjs",
            "@tensorflow/tfjs-core",
            "@tensorflow/tfjs-layers",
            "@tensorflow/tfjs-backend-webgpu",
            "@jax-js/jax",
            "@bufbuild/protobuf/wire",
            "fflate",
            "h5wasm",
          ],
        },
        test: {
          name: "chromium",
          include: ["test/semantics/**/*.test.ts", "test/browser/**/*.test.ts"],
          browser: inChromium(),
          ...afterNode,
        },
      },
      {
        extends: true,
        resolve: onDevice,
        optimizeDeps: { include: ["fast-check"] },
        test: { name: "webgpu in chromium", include: ["test/semantics/**/*.test.ts"], browser: inChromium(), ...afterNode },
      },
    ],
  },
  resolve: {
    alias: [
      { find: /^adamax$/, replacement: `${src}/index.ts` },
      { find: /^adamax\/(.+)$/, replacement: `${src}/$1/index.ts` },
    ],
  },
});
