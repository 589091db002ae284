/** Lighthouse's scores of the built site's pages. It is fetched when it is asked for: with its 170 packages it would be most of an installation.
 *  13 needs Node 22. Fails below 95. */

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { launchOptions } from "../../scripts/chromium.ts";
import { serve } from "../../scripts/serve.ts";
import { DIST } from "../server.ts";

const PARTS = ["see-it-move", "write-your-own", "hear-it", "measure-it", "look-inside"];
const PAGES = ["", "docs/arguments.html", ...PARTS.map((part) => `playground/${part}.html`)];
const CATEGORIES = ["performance", "accessibility", "best-practices"];

interface Report {
  readonly categories: Readonly<Record<string, { readonly score: number }>>;
  readonly audits: Readonly<Record<string, { readonly displayValue?: string }>>;
}

const { url, close } = await serve(DIST);
for (const page of PAGES) {
  const chromium = `--chrome-flags=--headless --no-sandbox ${launchOptions.args!.join(" ")}`;
  const given = [`${url}${page}`, "--quiet", "--output=json", `--only-categories=${CATEGORIES.join()}`, chromium];
  const { stdout } = await promisify(execFile)("npx", ["--yes", "lighthouse@12.8.2", ...given], {
    env: { ...process.env, CHROME_PATH: launchOptions.executablePath },
    maxBuffer: 1e8,
  });
  const report: Report = JSON.parse(stdout);
  const scores = CATEGORIES.map((category) => Math.round(100 * report.categories[category]!.score));
  if (Math.min(...scores) < 95) process.exitCode = 1;
  const said = CATEGORIES.map((category, i) => `${category} ${scores[i]}`).join(", ");
  console.log(`${page || "home"}: ${said}; largest paint ${report.audits["largest-contentful-paint"]?.displayValue}`);
}
close();
