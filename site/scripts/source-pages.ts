/** Writes a page for each file of the repository that the documentation links to and that is no page itself. */

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { SOURCES, sourceOf } from "../.vitepress/links.ts";

const repository = fileURLToPath(new URL("../..", import.meta.url));
const pages = join(repository, "site/pages", SOURCES);

/** Where links are looked for: what config.ts makes pages of, without the API reference, which links to nothing outside of it. */
const documents = ["docs", "bench", "examples"]
  .flatMap((folder) =>
    readdirSync(join(repository, folder), { recursive: true, encoding: "utf8" }).map((name) => `${folder}/${name}`),
  )
  .concat(readdirSync(repository))
  .filter((path) => path.endsWith(".md") && !path.startsWith("docs/api/"));

const sources = new Set(
  documents.flatMap((path) =>
    [...readFileSync(join(repository, path), "utf8").matchAll(/\]\(([^)\s]+)\)/g)].flatMap(
      ([, href]) => sourceOf(href!, path) ?? [],
    ),
  ),
);

rmSync(pages, { recursive: true, force: true });
for (const source of sources) {
  const text = readFileSync(join(repository, source), "utf8");
  const to = join(pages, `${source}.md`);
  mkdirSync(dirname(to), { recursive: true });
  writeFileSync(
    to,
    `---\noutline: false\neditLink: false\n---\n\n# ${source}\n\n\`\`\`\`${extname(source).slice(1)}\n${text}\`\`\`\`\n`,
  );
}
console.log(`${sources.size} files of the repository that are linked to became pages`);
