import { basename } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

// The core as a page would load it: minified, for browsers, gzipped; what is loaded at start, so without what is imported when
// it is needed (worker threads).
const core = "Adamax, Optimizer, Variable, IndexedSlices, schedules, OptionError, ShapeError, BackendError, CheckpointError";
// This keeps it from growing unseen: what comes in takes as much away. About 2.8 KiB of it are the sentences of its errors.
const limit = 24 * 1024;
const { outputFiles, metafile } = await build({
  stdin: { contents: `export { ${core} } from "./dist/index.js";`, resolveDir: ".", sourcefile: "core.js" },
  bundle: true,
  splitting: true,
  minify: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
  outdir: "core",
  write: false,
  metafile: true,
});

const files = Object.entries(metafile.outputs);
const atStart = new Set(files.filter(([, { entryPoint }]) => entryPoint === "core.js").map(([path]) => path));
for (const path of atStart) // grows as it is walked
  for (const { path: imported, kind } of metafile.outputs[path]!.imports) if (kind === "import-statement") atStart.add(imported);
const names = new Set([...atStart].map((path) => basename(path)));
const loaded = outputFiles.filter(({ path }) => names.has(basename(path)));
const size = loaded.reduce((bytes, { contents }) => bytes + gzipSync(contents, { level: 9 }).length, 0);
console.log(`The core of adamax in a browser: ${size} bytes gzipped, of ${limit} allowed.`);
if (atStart.size === 0 || size > limit) process.exit(1);
