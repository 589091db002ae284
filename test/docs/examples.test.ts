/** Every ```ts block of the README, of CONTRIBUTING and of docs/ is type-checked and run against the built package, as its reader would run it.
 *  - ```ts no-run     is type-checked only.
 *  - ```ts continue   goes on in the file of the block before it.
 *  - `console.log(x); // prints: 0.5`   these lines must be printed, whole and in this order; a `…` stands for anything. */
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";

type Block = { name: string; file: string; source: string; run: boolean };

/** Without a GPU of their own, the examples that need one take SwiftShader. */
const GPU = { VK_ICD_FILENAMES: "/usr/lib/chromium/vk_swiftshader_icd.json" };
const folder = ".docs-examples"; // in the repository, so that "adamax" is found as the package that it is in: dist
const pages = [...["README.md", "CONTRIBUTING.md"].filter((page) => readdirSync(".").includes(page)), ...markdown("docs")];

function markdown(path: string): string[] {
  if (!readdirSync(".").includes("docs")) return [];
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    const inside = `${path}/${entry.name}`;
    if (entry.isDirectory()) return inside === "docs/api" ? [] : markdown(inside);
    return entry.name.endsWith(".md") ? [inside] : [];
  });
}

/** The blocks of a page. Everything else of the page is left empty, so a line of a block keeps its number. */
function blocksOf(page: string): Block[] {
  const lines = readFileSync(page, "utf8").split("\n");
  const blocks: Block[] = [];
  let source = lines.map(() => "");
  let open: { at: number; fence: string; words: string[] } | undefined;
  for (const [at, line] of lines.entries()) {
    const fence = /^\s*(```+|~~~+)\s*(.*)$/.exec(line);
    if (!open && fence) {
      open = { at, fence: fence[1]!, words: fence[2]!.split(/\s+/) };
      if (open.words[0] === "ts" && !open.words.includes("continue")) source = lines.map(() => "");
    } else if (open && fence && fence[2] === "" && fence[1]!.startsWith(open.fence)) {
      if (open.words[0] === "ts") {
        const name = `${page}:${open.at + 2}`; // the block's first line
        const file = `${name.replace(/[^\w.]/g, "-")}.ts`;
        blocks.push({ name, file, source: `${source.join("\n")}\nexport {};\n`, run: !open.words.includes("no-run") });
      }
      open = undefined;
    } else if (open?.words[0] === "ts") source[at] = line;
  }
  if (open) throw new Error(`${page}:${open.at + 1}: this code block is not closed.`);
  return blocks;
}

function execute(program: string, args: string[]): Promise<{ failed: boolean; output: string; printed: string }> {
  const environment = { ...process.env, TSX_TSCONFIG_PATH: join(folder, "tsconfig.json"), NO_COLOR: "1", ...GPU };
  const options = { env: environment, timeout: 120_000, maxBuffer: 1 << 26 };
  return new Promise((resolve) => {
    execFile(program, args, options, (error, printed, complaints) =>
      resolve({
        failed: error !== null,
        output: `${error?.killed ? "Killed after 120 s.\n" : ""}${complaints}${printed}`,
        printed,
      }),
    );
  });
}

function checkPrinted(block: Block, printed: string): void {
  const actual = printed.split("\n").map((line) => line.trimEnd());
  let next = 0;
  for (const [at, line] of block.source.split("\n").entries()) {
    const promised = /\/\/ prints: (.*?)\s*$/.exec(line)?.[1];
    if (promised === undefined) continue;
    const pattern = new RegExp(
      `^${promised
        .split("…")
        .map((text) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"))
        .join(".*")}$`,
    );
    const found = actual.findIndex((candidate, index) => index >= next && pattern.test(candidate));
    if (found < 0)
      throw new Error(
        `${block.name.replace(/:\d+$/, "")}:${at + 1} promises "${promised}". Printed from there on:\n${actual.slice(next).join("\n")}`,
      );
    next = found + 1;
  }
}

const blocks = pages.flatMap(blocksOf);

beforeAll(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  // A module each, compiled as the strict user of an installed package would; unused names are a matter of taste there.
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({
      extends: "../tsconfig.json",
      compilerOptions: {
        module: "NodeNext",
        moduleResolution: "NodeNext",
        paths: {},
        noUnusedLocals: false,
        noUnusedParameters: false,
      },
      include: ["*.ts"], // named: tsc skips folders with a dot by itself
    }),
  );
  for (const { file, source } of blocks) writeFileSync(join(folder, file), source);
});

describe.concurrent("examples in the docs", { timeout: 150_000 }, () => {
  test("README.md has an example", () => {
    expect(blocks.filter(({ name }) => name.startsWith("README.md:")).length).toBeGreaterThan(0);
  });

  test("all of them type-check", async () => {
    const { failed, output } = await execute(process.execPath, ["node_modules/typescript/bin/tsc", "--noEmit", "-p", folder]);
    if (failed) throw new Error(output);
  });

  for (const block of blocks.filter(({ run }) => run)) {
    test(block.name, async () => {
      const { failed, output, printed } = await execute(process.execPath, ["--import", "tsx", join(folder, block.file)]);
      if (failed) throw new Error(`${block.name} fails (its lines have the numbers they have in the page):\n${output}`);
      checkPrinted(block, printed);
    });
  }
});
