/** `npm run test:engines [name...]`: the tests on every engine that is here, and a table of what ran, what is missing, and how to install it.
 *  `--ci` runs what `npm test` runs after the tests in Node and Chromium: those that differ from them, two at a time; what is missing is a failure.
 *  `--install` first does what the table would say of what is missing. */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
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

/** Installs what CI runs; and what brings the rest of test/engines, too. */
const SETUP = "bash scripts/setup.sh";
const NPM_CI = "npm ci --ignore-scripts --no-audit --no-fund --prefix test/engines";

interface Engine {
  /** What must be there. */
  readonly needs: readonly string[];
  /** A command that brings it. */
  readonly install: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Files of tests; none: what its configuration says. */
  readonly tests: readonly string[];
  readonly isInCi: boolean;
}

const program = (path: string, words: readonly string[], isInCi: boolean): Engine => ({
  needs: [`${NPM}/${path}`],
  install: isInCi ? SETUP : NPM_CI,
  command: [`${NPM}/${path}`, ...words, VITEST, "run", "--project", "node"],
  tests: WHOLE,
  isInCi,
});

/** The semantics suite on a GPU device, by another WebGPU (wgpu) than that of Node and Chromium (Dawn); and by which driver. */
const denoOnDevice = (driver: string, packages: string, isInCi: boolean): Engine => {
  const deno = `${NPM}/@deno/linux-x64-glibc/deno`;
  return {
    needs: [deno, driver],
    install: isInCi ? SETUP : `${SETUP}; apt-get install -y --no-install-recommends ${packages}`,
    command: [deno, "run", "-A", "--unstable-webgpu", VITEST, "run", "--project", "webgpu", "--pool=threads", "--no-isolate"],
    // Not also by OpenGL, whose threads were seen to crash Deno (2.9) at its end.
    env: { VK_ICD_FILENAMES: driver, DENO_WEBGPU_BACKEND: "vulkan" },
    tests: [],
    isInCi,
  };
};

const browser = (name: keyof typeof BROWSERS, projects: readonly string[]): Engine => ({
  needs: BROWSERS[name].programs,
  install: SETUP,
  command: [
    process.execPath,
    VITEST,
    "run",
    "--config",
    "test/engines/vitest.browsers.ts",
    ...projects.flatMap((project) => ["--project", project]),
  ],
  tests: [],
  isInCi: true,
});

/** Compilers that are neither the oldest nor the newest. */
const BETWEEN = ["5.5", "5.6", "5.7", "5.8", "5.9", "6.0"];

/** The longest first, since two run at a time. */
const ENGINES: Readonly<Record<string, Engine>> = {
  "deno-webgpu": denoOnDevice("/usr/lib/chromium/vk_swiftshader_icd.json", "chromium libvulkan1", true),
  webkit: browser("webkit", ["webkit", "webkit-as-it-is"]),
  deno: program("@deno/linux-x64-glibc/deno", ["run", "-A"], true),
  bun: { ...program("@oven/bun-linux-x64/bin/bun", ["--bun"], true), env: { BUN_JSC_useWasmFastMemory: "0" } }, // see MANY_MEMORIES
  firefox: browser("firefox", ["firefox"]),
  "node-26": program("node-26/bin/node", [], true),
  "node-24": program("node-24/bin/node", [], false),
  "node-22": program("node-22/bin/node", [], false),
  "deno-webgpu-lavapipe": denoOnDevice("/usr/share/vulkan/icd.d/lvp_icd.x86_64.json", "mesa-vulkan-drivers libvulkan1", false),
  typescript: {
    needs: BETWEEN.map((version) => `${NPM}/typescript-${version}`),
    install: NPM_CI,
    command: [process.execPath, VITEST, "run", "--project", "node"],
    env: { TYPESCRIPT: BETWEEN.join(" ") },
    tests: ["test/declarations/compilers.test.ts"],
    isInCi: false,
  },
  "tfjs-oldest": {
    needs: ["test/engines/oldest/node_modules/@tensorflow/tfjs-core"],
    install: `${NPM_CI}/oldest`,
    command: [process.execPath, VITEST, "run", "--config", "test/engines/vitest.oldest.ts"],
    tests: [],
    isInCi: false,
  },
  "tfjs-node": {
    needs: ["test/engines/tfjs-node/node_modules/@tensorflow/tfjs-node/lib/napi-v8/tfjs_binding.node"],
    install: "bash test/engines/tfjs-node/install.sh", // 1.5 GB: TensorFlow's library
    command: [process.execPath, VITEST, "run", "--config", "test/engines/vitest.tfjs-node.ts"],
    env: { TF_CPP_MIN_LOG_LEVEL: "3" },
    tests: [],
    isInCi: false,
  },
};

interface Row {
  readonly engine: string;
  readonly state: "passed" | "failed" | "missing";
  readonly tests: string;
  readonly seconds: string;
  readonly note: string;
}

/** Longer than any of them takes on a busy machine. */
const MINUTES = 10;

const running = new Set<ChildProcess>();
const end = ({ pid }: ChildProcess): void => {
  try {
    process.kill(-pid!, "SIGTERM"); // with all that it has started
  } catch {} // it has ended, or never began
};
process.on("exit", () => running.forEach(end));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));

const missingOf = ({ needs }: Engine): readonly string[] => needs.filter((path) => !existsSync(path));

/** What it printed comes when it has ended, since another one may run beside it. */
const run = async (name: string, engine: Engine): Promise<Row> => {
  const missing = missingOf(engine);
  const row = { engine: name, tests: "", seconds: "" };
  if (missing.length > 0) return { ...row, state: "missing", note: `no ${missing.join(", ")}: ${engine.install}` };
  console.log(`── ${name} begins`);
  const results = `test-results-${name}.json`; // .ci/run counts what is in them
  rmSync(results, { force: true });
  const [first, ...words] = [
    ...engine.command,
    "--reporter=default",
    "--reporter=json",
    `--outputFile=${results}`,
    "--maxWorkers=1",
    ...engine.tests,
  ];
  const begin = performance.now();
  const child = spawn(first!, words, {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // in a group of its own
    env: { ...process.env, ...engine.env },
  });
  running.add(child);
  const printed: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => printed.push(chunk));
  let note = "";
  const timer = setTimeout(() => {
    note = `ended after ${MINUTES} minutes`;
    end(child);
  }, MINUTES * 60_000);
  const status = await new Promise<number | string>((resolve) => {
    child.on("error", ({ message }) => resolve(message));
    child.on("exit", (code, signal) => setTimeout(() => resolve(code ?? signal!), 500)); // the rest of what it printed is on its way
  });
  clearTimeout(timer);
  running.delete(child);
  const seconds = ((performance.now() - begin) / 1000).toFixed(0);
  console.log(`\n── ${name}\n${Buffer.concat(printed)}`);
  const { numPassedTests: passed, numTotalTests: total } = existsSync(results)
    ? (JSON.parse(readFileSync(results, "utf8")) as { numPassedTests: number; numTotalTests: number })
    : { numPassedTests: 0, numTotalTests: 0 };
  const isWhole = status === 0 && passed > 0 && passed === total;
  if (passed === total && status !== 0) note ||= `ended with ${status}`;
  return { engine: name, state: isWhole ? "passed" : "failed", tests: `${passed} of ${total}`, seconds, note };
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
const chosen = Object.entries(ENGINES).filter(([name, { isInCi }]) =>
  asked.length > 0 ? asked.includes(name) : !isCi || isInCi,
);

if (words.includes("--install")) {
  const lacking = chosen.filter(([, engine]) => missingOf(engine).length > 0);
  for (const command of new Set(lacking.map(([, { install }]) => install)))
    spawnSync(command, { shell: true, stdio: "inherit", env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } });
}

const rows: Row[] = [];
const waiting = [...chosen];
const lane = async () => {
  for (let next = waiting.shift(); next; next = waiting.shift()) rows.push(await run(...next));
};
await Promise.all(Array.from({ length: isCi ? 2 : 1 }, lane));
console.log(`\n${table(rows)}`);
const failed = rows.filter(({ state }) => state === "failed" || (state === "missing" && isCi));
if (failed.length > 0) {
  console.log(`\n${failed.map(({ engine, state }) => `${engine} ${state}`).join(", ")}.`);
  process.exitCode = 1;
}
