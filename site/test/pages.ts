/** What the built site consists of. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DIST } from "../server.ts";

/** One page of the built site. */
export interface Page {
  /** As a browser asks for it: "/docs/numbers.html". */
  readonly path: string;
  readonly html: string;
}

export const builtPages = (): Page[] =>
  readdirSync(DIST, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".html"))
    .sort()
    .map((name) => ({ path: `/${name}`, html: readFileSync(join(DIST, name), "utf8") }));

/** Values of an attribute, wherever it stands. */
export const attribute = (html: string, name: string): string[] =>
  [...html.matchAll(new RegExp(`\\s${name}="([^"]*)"`, "g"))].map(([, value]) => value!.replace(/&amp;/g, "&"));
