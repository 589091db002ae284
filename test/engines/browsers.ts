/** The browsers besides Chromium, as Debian has them; scripts/setup.sh installs them. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BrowserProgram } from "./open-browser.js";

const MINI_BROWSER = "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser";

export interface InstalledBrowser extends BrowserProgram {
  /** What must be there. */
  readonly programs: readonly string[];
}

export const BROWSERS = {
  firefox: {
    programs: ["/usr/bin/firefox-esr"],
    command(url, profile) {
      const preferences = {
        "dom.webgpu.enabled": true,
        "browser.shell.checkDefaultBrowser": false,
        "datareporting.policy.dataSubmissionEnabled": false,
      };
      const lines = Object.entries(preferences).map(([name, value]) => `user_pref("${name}", ${value});\n`);
      writeFileSync(join(profile, "user.js"), lines.join(""));
      return ["/usr/bin/firefox-esr", "--headless", "--no-remote", "--profile", profile, url];
    },
  },
  webkit: {
    programs: [MINI_BROWSER, "/usr/bin/xvfb-run"],
    command: (url) => ["/usr/bin/xvfb-run", "-a", MINI_BROWSER, url],
    env: { WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1" }, // it refuses root otherwise; only our own page is opened
  },
} as const satisfies Record<string, InstalledBrowser>;
