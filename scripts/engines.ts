/** `npm run test:engines [name...]`: the tests on every engine that is here, and a table of what ran, what is missing, and how to install it.
 *  `--ci` runs what CI runs: the newest Node, Firefox and WebKit; what is missing is a failure.
 *  `--install` first installs what can be: Node, Deno and Bun with npm, browsers with apt-get (as root). */

import { spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BROWSERS } from "../test/engines/browsers.js";

const NPM = "test/engines/node_modules";
const VITEST = "node_modules/vitest/vitest.mjs";
const WHOLE = [
  "test/semantics",
  "test/threads",
  "test/checkpoint/resume.test.ts",
  "test/checkpoint/manager.test.ts",
  "test/checkpoint/load.test.ts",
  "test/cli/command.test.ts",
];

interface Engine {
  /** What must be there. */
  readonly needs: readonly string[];
  readonly install: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Files of tests; none: what its configuration says. */
  readonly tests: readonly string[];
  /** In CI; null: not there. */
  readonly ci: readonly string[] | null;
}

const node = (version: number, ci: Engine["ci"]): Engine => {
  const program = `${NPM}/node-${version}/bin/node`;
  return {
    needs: [program],
    install: "npm ci --prefix test/engines --ignore-scripts",
    command: [program, VITEST, "run", "--project", "node"],
    tests: WHOLE,
    ci,
  };
};

const program = (path: string, words: readonly string[]): Engine => ({
  needs: [`${NPM}/${path}`],
  install: "npm ci --prefix test/engines --ignore-scripts",
  command: [`${NPM}/${path}`, ...words, VITEST, "run", "--project", "node"],
  tests: WHOLE,
  ci: null,
});

/** The semantics suite on a GPU device, by another WebGPU (wgpu) than that of Node and Chromium (Dawn); and by which driver. */
const denoOnDevice = (driver: string, packages: string, ci: Engine["ci"]): Engine => {
  const deno = `${NPM}/@deno/linux-x64-glibc/deno`;
  return {
    needs: [deno, driver],
    install: `npm ci --prefix test/engines --ignore-scripts; apt-get install --no-install-recommends ${packages}`,
    command: [deno, "run", "-A", "--unstable-webgpu", VITEST, "run", "--project", "webgpu", "--pool=threads", "--no-isolate"],
    env: { VK_ICD_FILENAMES: driver, XDG_RUNTIME_DIR: tmpdir() },
    tests: [],
    ci,
  };
};

const browser = (name: keyof typeof BROWSERS, projects: readonly string[], ci: readonly string[]): Engine => ({
  needs: BROWSERS[name].programs,
  install: `apt-get install --no-install-recommends ${BROWSERS[name].packages}`,
  command: [
    process.execPath,
    VITEST,
    "run",
    "--config",
    "test/engines/vitest.browsers.ts",
    ...projects.flatMap((project) => ["--project", project]),
  ],
  tests: [],
  ci,
});

const PAGES = ["test/browser", "test/engines"];

const ENGINES: Readonly<Record<string, Engine>> = {
  "node-22": node(22, null),
  "node-24": node(24, null),
  "node-26": node(26, ["test/semantics", "test/threads", "test/checkpoint/load.test.ts", "test/cli/command.test.ts"]),
  deno: program("@deno/linux-x64-glibc/deno", ["run", "-A"]),
  "deno-webgpu": denoOnDevice("/usr/lib/chromium/vk_swiftshader_icd.json", "chromium libvulkan1", []),
  "deno-webgpu-lavapipe": denoOnDevice("/usr/share/vulkan/icd.d/lvp_icd.x86_64.json", "mesa-vulkan-drivers libvulkan1", null),
  bun: program("@oven/bun-linux-x64/bin/bun", ["--bun"]),
  "tfjs-oldest": {
    needs: ["test/engines/oldest/node_modules/@tensorflow/tfjs-core"],
    install: "npm ci --prefix test/engines/oldest --ignore-scripts",
    command: [process.execPath, VITEST, "run", "--config", "test/engines/vitest.oldest.ts"],
    tests: [],
    ci: null,
  },
  firefox: browser("firefox", ["firefox"], PAGES),
  webkit: browser("webkit", ["webkit", "webkit-as-it-is"], PAGES),
};

interface Row {
  readonly engine: string;
  readonly state: "passed" | "failed" | "missing";
  readonly tests: string;
  readonly seconds: string;
  readonly note: string;
}

const execute = (command: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<number> =>
  new Promise((resolve) => {
    const [first, ...words] = command;
    const child = spawn(first!, words, { stdio: "inherit", env: { ...process.env, ...env } });
    child.on("error", () => resolve(1));
    child.on("exit", (code) => resolve(code ?? 1));
  });

const run = async (name: string, engine: Engine, tests: readonly string[]): Promise<Row> => {
  const missing = engine.needs.filter((path) => !existsSync(path));
  if (missing.length > 0)
    return { engine: name, state: "missing", tests: "", seconds: "", note: `no ${missing.join(", ")}: ${engine.install}` };
  console.log(`\n── ${name}`);
  const results = join(tmpdir(), `adamax-${name}-${process.pid}.json`);
  const begin = performance.now();
  const code = await execute([...engine.command, "--reporter=default", "--reporter=json", `--outputFile=${results}`, ...tests], {
    ...engine.env,
    ADAMAX_ENGINE: name,
  });
  const seconds = ((performance.now() - begin) / 1000).toFixed(0);
  let counts = { numPassedTests: 0, numTotalTests: 0 };
  if (existsSync(results)) counts = JSON.parse(readFileSync(results, "utf8")) as typeof counts;
  rmSync(results, { force: true });
  const { numPassedTests: passed, numTotalTests: total } = counts;
  const isWhole = code === 0 && passed > 0 && passed === total;
  return { engine: name, state: isWhole ? "passed" : "failed", tests: `${passed} of ${total}`, seconds, note: "" };
};

const table = (rows: readonly Row[]): string => {
  const cells = [
    ["engine", "", "tests", "seconds", ""],
    ...rows.map(({ engine, state, tests, seconds, note }) => [engine, state, tests, seconds, note]),
  ];
  const widths = cells[0]!.map((_, i) => Math.max(...cells.map((row) => row[i]!.length)));
  return cells
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
};

const words = process.argv.slice(2);
const isCi = words.includes("--ci");
const asked = words.filter((word) => !word.startsWith("--"));
const unknown = asked.filter((name) => !(name in ENGINES));
if (unknown.length > 0) {
  console.error(`There is no engine ${unknown.join(", ")}. Ask any of: ${Object.keys(ENGINES).join(", ")}.`);
  process.exit(2);
}
const chosen = Object.entries(ENGINES).filter(([name, { ci }]) =>
  asked.length > 0 ? asked.includes(name) : !isCi || ci !== null,
);

if (words.includes("--install")) {
  const between = chosen.some(([name, { ci }]) => ci === null && name !== "tfjs-oldest") ? [] : ["--omit=optional"];
  await execute(["npm", "ci", "--prefix", "test/engines", "--ignore-scripts", "--no-audit", "--no-fund", ...between]);
  if (chosen.some(([name]) => name === "tfjs-oldest"))
    await execute(["npm", "ci", "--prefix", "test/engines/oldest", "--ignore-scripts", "--no-audit", "--no-fund"]);
  const packages = chosen.flatMap(([name, { needs }]) =>
    name in BROWSERS && needs.some((path) => !existsSync(path))
      ? BROWSERS[name as keyof typeof BROWSERS].packages.split(" ")
      : [],
  );
  if (packages.length > 0 && process.getuid?.() === 0) {
    const env = { DEBIAN_FRONTEND: "noninteractive" };
    await execute(["apt-get", "update", "-qq"], env);
    await execute(["apt-get", "install", "-y", "-qq", "--no-install-recommends", ...packages], env);
  }
}

const rows: Row[] = [];
for (const [name, engine] of chosen) rows.push(await run(name, engine, (isCi ? engine.ci : null) ?? engine.tests));
console.log(`\n${table(rows)}`);
const failed = rows.filter(({ state }) => state === "failed" || (state === "missing" && isCi));
if (failed.length > 0) {
  console.log(`\n${failed.map(({ engine, state }) => `${engine} ${state}`).join(", ")}.`);
  process.exitCode = 1;
}
