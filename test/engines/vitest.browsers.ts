/** Tests in Firefox and WebKit: `npx vitest run --config test/engines/vitest.browsers.ts --project firefox`. */

import { defineConfig } from "vitest/config";
import base from "../../vitest.config.js";
import { BROWSERS } from "./browsers.js";
import { type BrowserProgram, openBrowser } from "./open-browser.js";

const chromium = base.test!.projects!.find((project) => (project as { test: { name: string } }).test.name === "chromium") as {
  test: object;
};

const project = (name: string, program: BrowserProgram, include: string[]) => ({
  ...chromium,
  esbuild: { target: "es2022" }, // what the package is built for: `using` is not known everywhere
  test: {
    ...chromium.test,
    name,
    include,
    setupFiles: ["test/engines/dispose.ts"],
    browser: {
      enabled: true,
      screenshotFailures: false,
      provider: openBrowser(program),
      instances: [{ browser: name as never }],
    },
  },
});

const everywhere = ["test/semantics/**/*.test.ts", "test/browser/{threads,checkpoint,page}.test.ts"];
const { firefox, webkit } = BROWSERS;
/** JavaScriptCore has few memories with guards around them, and collects all garbage for one more: 50 ms for each of the thousands of optimizers that replay
 *  the goldens. Without guards there is no such limit. */
const MANY_MEMORIES = { JSC_useWasmFastMemory: "0" };

export default defineConfig({
  ...base,
  root: ".",
  test: {
    ...base.test,
    projects: [
      project("firefox", firefox, [...everywhere, "test/browser/opfs.test.ts"]),
      // MiniBrowser hides SharedArrayBuffer, which Safari has; with this it has it too. It has no OPFS.
      project("webkit", { ...webkit, env: { ...webkit.env, ...MANY_MEMORIES, JSC_useSharedArrayBuffer: "1" } }, everywhere),
      project("webkit-as-it-is", webkit, ["test/engines/no-shared-memory.test.ts", "test/browser/page.test.ts"]),
    ],
  },
});
