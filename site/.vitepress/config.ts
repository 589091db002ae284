/** The site: docs/, the API reference that TypeDoc writes to docs/api, and what lies in site/pages. Pages keep the addresses that their files
 *  have in the repository, so that links between them hold here and there. */

import { fileURLToPath } from "node:url";
import { defineConfig } from "vitepress";
import { linksToSources, slugOf } from "./links.ts";
import { apiSidebar, guideSidebar } from "./sidebar.ts";

const inRepository = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** Pages are rendered twice, for the reader and for the server, which starts no worker: those, with TensorFlow.js in one, are bundled once. */
const noWorkersOnServer = {
  name: "no-workers-on-server",
  enforce: "pre" as const,
  transform: (code: string, id: string, { ssr = false }: { ssr?: boolean } = {}) =>
    ssr && id.includes("/site/playground/") ? code.replace(/new URL\("[^"]*worker\.ts", import\.meta\.url\)/g, '""') : null,
};

/** Scripts that come when somebody is there: before that they would only take the line from what is seen first. */
const LATER = /\/(editor|broken-line)\./;

export default defineConfig({
  title: "adamax",
  description: "The Keras optimizer Adamax for TypeScript: documentation, API reference and a playground.",
  lang: "en",
  base: process.env.SITE_BASE ?? "/", // where the site lies on its host
  srcDir: "..",
  srcExclude: ["fixtures/**", "scripts/**", "src/**", "test/**", "dist/**", "examples/page/**"],
  rewrites: { "site/pages/:rest*": ":rest*" },
  transformHtml: (html) =>
    html
      .replace(/<div class="VPHome(?=[ "])/, '<div role="main" class="VPHome') // the theme's home has no landmark
      .replace(/<link rel="prefetch"[^>]*>\s*/g, (link) => (LATER.test(link) ? "" : link))
      .replace(/<link [^>]*vp-icons\.css[^>]*>\s*/, ""), // an empty file for icons that we do not have, which the first paint would wait for
  outDir: "dist",
  shouldPreload: (link) => !LATER.test(link),
  appearance: { disableTransition: false }, // else each page that opens computes its styles twice more
  cacheDir: "../node_modules/.cache/vitepress",
  head: [
    ["link", { rel: "icon", href: `${process.env.SITE_BASE ?? "/"}icon.svg`, type: "image/svg+xml" }],
    ["meta", { name: "color-scheme", content: "light dark" }],
  ],
  markdown: {
    config: linksToSources,
    anchor: { slugify: slugOf },
    theme: { light: "github-light-high-contrast", dark: "github-dark-high-contrast" },
  },
  themeConfig: {
    nav: [
      { text: "Guide", link: "/README", activeMatch: "^/(README|CHANGELOG|CONTRIBUTING|docs/(?!api))" },
      { text: "API", link: "/docs/api/", activeMatch: "^/docs/api/" },
      { text: "Playground", link: "/playground/see-it-move", activeMatch: "^/playground/" },
    ],
    sidebar: { "/docs/api/": apiSidebar(inRepository("docs/api")), "/": guideSidebar },
    search: { provider: "local" },
    outline: [2, 3],
    docFooter: { prev: "Previous", next: "Next" },
    externalLinkIcon: true,
  },
  vite: {
    publicDir: inRepository("site/public"),
    assetsInclude: ["**/*.keras"],
    resolve: {
      alias: [
        { find: /^adamax$/, replacement: inRepository("dist/index.js") },
        { find: /^adamax\/(.+)$/, replacement: inRepository("dist/$1/index.js") },
        { find: /^adamax-cli\/(.+)$/, replacement: inRepository("dist/cli/$1.js") }, // what the command says of a file
      ],
    },
    plugins: [noWorkersOnServer],
    esbuild: { jsx: "automatic", jsxImportSource: "vue" },
    worker: { format: "es" },
    server: { headers: isolation(), fs: { allow: [inRepository("")] } },
    build: { chunkSizeWarningLimit: 2000 }, // TensorFlow.js, which comes when it is needed
  },
});

/** Only a page that is served with these headers has shared memory, and so threads. */
function isolation(): Record<string, string> {
  return { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };
}
