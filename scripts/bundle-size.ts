import { gzipSync } from "node:zlib";
import { build } from "esbuild";

// The whole core, as a page would load it: minified, for browsers, gzipped.
const limit = 15 * 1024;
const { outputFiles } = await build({
  entryPoints: ["dist/index.js"],
  bundle: true,
  minify: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
  write: false,
});
const size = gzipSync(outputFiles[0]!.contents, { level: 9 }).length;
console.log(`adamax in a browser: ${size} bytes gzipped, of ${limit} allowed.`);
if (size > limit) process.exit(1);
