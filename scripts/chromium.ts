/** How every program here starts Chromium: the tests, the benchmark, the examples. */

import { existsSync } from "node:fs";
import type { LaunchOptions } from "playwright";

export const launchOptions: LaunchOptions = {
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium", // scripts/setup.sh looks in the same place
  chromiumSandbox: false, // Chromium's sandbox refuses root
  args: [
    "--enable-unsafe-webgpu",
    "--use-webgpu-adapter=swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
};

/** @throws Error that says where Chromium was looked for, and how to get one. */
export const assertChromium = (): void => {
  const { executablePath } = launchOptions;
  if (!existsSync(executablePath!))
    throw new Error(
      `This needs Chromium, and there is none at ${executablePath}. Run scripts/setup.sh as root (Debian: it calls apt-get install chromium), ` +
        "or set the variable CHROMIUM to the path of one.",
    );
};
