/** Links of the documentation to files of the repository that are no pages: each such file becomes a page that shows it (scripts/source-pages.ts). */

import { posix } from "node:path";
import type { MarkdownOptions } from "vitepress";

type Markdown = Parameters<NonNullable<MarkdownOptions["config"]>>[0];

export const SOURCES = "source";

/** The path in the repository of what `href` means in the page `from`, when that is a file and no page; else null. */
export const sourceOf = (href: string, from: string): string | null => {
  if (/^([a-z]+:|#|\/)/i.test(href) || !/\.[a-z]+(#|$)/i.test(href) || /\.(md|html)(#|$)/.test(href)) return null;
  return posix.join(posix.dirname(from), href.replace(/#.*/, ""));
};

export const linksToSources = (markdown: Markdown): void => {
  const { normalizeLink } = markdown;
  markdown.core.ruler.push("links-to-sources", ({ tokens, env }) => {
    for (const link of tokens.flatMap(({ children }) => children ?? []).filter(({ type }) => type === "link_open")) {
      const source = sourceOf(String(link.attrGet("href")), env.relativePath);
      if (source !== null) link.attrSet("href", normalizeLink(`/${SOURCES}/${source}.md`));
    }
  });
};

/** The place of a heading as GitHub names it, so that links to it hold there and here. */
export const slugOf = (heading: string): string =>
  heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{M}_ -]/gu, "")
    .replaceAll(" ", "-");
