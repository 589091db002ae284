/** Builds the site once for all its tests. With SITE_BUILT in the environment they take what is in site/dist: for work on the tests. */

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

export default (): void => {
  if (process.env.SITE_BUILT) return;
  execFileSync("npm", ["run", "--silent", "build"], {
    cwd: fileURLToPath(new URL("..", import.meta.url)),
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, NODE_ENV: "production" }, // Vitest's is "test", and a site built so is a larger one
  });
};
