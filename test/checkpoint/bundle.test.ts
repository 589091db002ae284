import { build } from "esbuild";
import { expect, test } from "vitest";

test.each(["save", "load", "manager", "inspect", "exports/adamax-export", "keras/keras"])(
  "%s: a bundler for browsers finds no module of Node in it",
  async (name) => {
    const { outputFiles } = await build({
      entryPoints: [`src/checkpoint/${name}.ts`],
      bundle: true,
      format: "esm",
      platform: "browser",
      write: false,
      external: ["./worker.js"],
      logLevel: "silent",
    });
    expect(outputFiles[0]!.text).not.toMatch(/(from|import\()\s*["']node:/);
  },
);

test("the core holds nothing of checkpoints, and nothing of Node where it is minified for a page", async () => {
  const { metafile, outputFiles } = await build({
    entryPoints: ["src/index.ts"],
    bundle: true,
    format: "esm",
    platform: "browser",
    write: false,
    metafile: true,
    minify: true,
    logLevel: "silent",
  });
  expect(outputFiles[0]!.text).not.toMatch(/(from|import\()\s*["'`]node:[a-z]/);
  expect(Object.keys(metafile.inputs).filter((path) => path.includes("src/checkpoint/"))).toEqual([]);
});
