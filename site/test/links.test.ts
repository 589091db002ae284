import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { exports } from "../../package.json" with { type: "json" };
import { DIST } from "../server.ts";
import { attribute, builtPages } from "./pages.ts";

const pages = builtPages();
const idsOf = new Map(pages.map(({ path, html }) => [path, new Set(attribute(html, "id"))]));

test("every document of docs/ is a page, and so is every entry of the package", () => {
  const documents = readdirSync(fileURLToPath(new URL("../../docs", import.meta.url))).filter((name) => name.endsWith(".md"));
  const entries = Object.keys(exports)
    .filter((name) => !/json$|worker$|\/core$/.test(name)) // "./tfjs/core" is a part of "./tfjs"; workers export nothing
    .map((name) => name.slice(2) || "index");
  const wanted = [
    ...documents.map((name) => `/docs/${name.replace(/md$/, "html")}`),
    ...entries.map((entry) => `/docs/api/${entry}/index.html`),
    "/docs/api/index/classes/Adamax.html",
    "/CONTRIBUTING.html",
  ];
  expect(documents.length).toBeGreaterThan(10);
  expect(wanted.filter((path) => !idsOf.has(path))).toEqual([]);
});

test("no link of any page is dead, its place in the other page included", () => {
  const dead = pages.flatMap(({ path, html }) =>
    attribute(html, "href").flatMap((href) => {
      const target = new URL(href, `http://site${path}`);
      if (target.origin !== "http://site") return [];
      const there = decodeURIComponent(target.pathname.endsWith("/") ? `${target.pathname}index.html` : target.pathname);
      const id = decodeURIComponent(target.hash.slice(1));
      const isThere = existsSync(join(DIST, there)) && (id === "" || !idsOf.has(there) || idsOf.get(there)!.has(id));
      return isThere ? [] : [`${path}: ${href}`];
    }),
  );
  expect(dead).toEqual([]);
});

test("no page asks another host for anything", () => {
  const foreign = pages.flatMap(({ path, html }) =>
    [...html.matchAll(/<(?:script|link|img|iframe|audio|video|source)\b[^>]*\b(?:src|href)="(https?:)?\/\/[^"]*"/g)].map(
      ([tag]) => `${path}: ${tag}`,
    ),
  );
  expect(foreign).toEqual([]);
});
