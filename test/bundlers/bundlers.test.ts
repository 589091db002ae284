/** The package in bundlers: each project of docs/bundlers.md, built from the package as it is published, and opened in Chromium. */

import { spawn } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Browser, chromium } from "playwright";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { launchOptions } from "../../scripts/chromium.js";
import { ISOLATION, serve } from "../../scripts/serve.js";
import { environment, projectsOf, run, workshop, writeProject } from "./projects.js";

vi.setConfig({ testTimeout: 180_000, hookTimeout: 300_000 });

const projects = projectsOf("docs/bundlers.md");
let shop: string;
let browser: Browser;
beforeAll(async () => {
  shop = workshop();
  browser = await chromium.launch(launchOptions);
});
afterAll(() => browser?.close());

/** What the page says in the end, and what its console complained of. */
const open = async (url: string, until = /^(shared|alone);|weights$/): Promise<{ said: string; complaints: string[] }> => {
  const page = await browser.newPage();
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning")
      complaints.push(`${message.text()} ${message.location().url}`);
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(url);
  const { source } = until;
  await page
    .waitForFunction((text) => new RegExp(text).test(document.body?.textContent ?? ""), source, { timeout: 60_000 })
    .catch(() => {}); // what it says instead is looked at
  const said = (await page.textContent("body")) ?? "";
  await page.close();
  return { said, complaints: complaints.filter((text) => !text.includes("favicon")) };
};

const BUNDLERS = ["Vite", "webpack", "esbuild", "Rollup", "Parcel", "Next.js"];
const OWN_WORKER = "A worker of yours";

test("the page has these bundlers, and each has commands", () => {
  for (const name of [...BUNDLERS, OWN_WORKER]) expect(projects.get(name)?.commands.length, name).toBeGreaterThan(0);
});

const SHARED = /^shared; .*; \d+ bytes; .*2 threads$/;
const ALONE = /^alone; .*; \d+ bytes; .*one thread: the page is not cross-origin isolated/;

describe.each([...BUNDLERS, OWN_WORKER])("%s", (name) => {
  let folder: string;
  beforeAll(async () => {
    const project = projects.get(name)!;
    folder = writeProject(shop, name, project);
    if (name === "Parcel") writeFileSync(join(folder, "package-lock.json"), "{}"); // by which it knows the project's folder
    for (const command of project.commands) await run(command, folder, environment(shop));
  });

  test.each([
    ["isolated: steps are shared by two threads", ISOLATION, SHARED],
    ["not isolated: one thread, the reason, and no complaint", {}, ALONE],
  ])("%s", async (_, headers, said) => {
    const { url, close } = await serve(join(folder, "out"), { headers });
    const page = await open(url);
    close();
    expect(page).toEqual({ said: expect.stringMatching(said), complaints: [] });
  });
});

/** Vite's development server in a folder, until `use` is done. */
const develop = async <Result>(
  folder: string,
  use: (url: string) => Promise<Result>,
  vite = join(shop, "node_modules/vite"),
): Promise<Result> => {
  const server = spawn(process.execPath, [join(vite, "bin/vite.js"), "--port", "0", "--host", "127.0.0.1"], {
    cwd: folder,
    env: { ...environment(shop), NO_COLOR: "1" },
  });
  try {
    const url = await new Promise<string>((found, failed) => {
      let printed = "";
      server.stdout.on("data", (chunk) => {
        printed += chunk;
        const [address] = /http:\/\/127\.0\.0\.1:\d+\//.exec(printed) ?? [];
        if (address) found(address);
      });
      server.on("exit", () => failed(new Error(`vite ended: ${printed}`)));
    });
    return await use(url);
  } finally {
    server.kill();
  }
};

const VITE_7 = resolve("node_modules/vite");

describe("Vite's development server", () => {
  test("the older one is 7", () => {
    expect(JSON.parse(readFileSync(join(VITE_7, "package.json"), "utf8")).version).toMatch(/^7\./);
  });

  const project = projects.get("Vite")!;
  const without = (pattern: RegExp, name: string) => {
    const files = new Map(project.files);
    files.set("vite.config.js", files.get("vite.config.js")!.replace(pattern, ""));
    return writeProject(shop, name, { ...project, files });
  };

  test.each([
    ["8", undefined],
    ["7", VITE_7],
  ])("of Vite %s, isolated: steps are shared by two threads", async (_, vite) => {
    const folder = writeProject(shop, "Vite dev", project);
    expect(await develop(folder, open, vite)).toEqual({ said: expect.stringMatching(SHARED), complaints: [] });
  });

  test("not isolated: one thread, the reason, and no complaint", async () => {
    const folder = without(/server: \{ headers \},/, "Vite dev alone");
    expect(await develop(folder, open)).toEqual({ said: expect.stringMatching(ALONE), complaints: [] });
  });

  test("where packages are bundled beforehand, the worker is given by its entry", async () => {
    const folder = without(/optimizeDeps: .*/, "Vite dev entry");
    const main = project.files.get("main.js")!.replace("threads: 2 }", "threads: 2, workerUrl }");
    writeFileSync(join(folder, "main.js"), `import workerUrl from "adamax/worker?worker&url";\n${main}`);
    const { said } = await develop(folder, open, VITE_7);
    expect(said).toMatch(SHARED);
  });

  test("where they are, and nothing is said of the worker, one thread trains on, and why says what to do", async () => {
    const folder = without(/optimizeDeps: .*/, "Vite dev lost");
    const { said } = await develop(folder, open, VITE_7);
    expect(said).toMatch(
      /^alone; .*; \d+ bytes; .*its script could not be loaded; it must be where workerUrl says .*docs\/bundlers\.md/,
    );
  });
});

describe("files of Keras", () => {
  test("are read in a page, by a worker that is an entry", async () => {
    const project = projects.get("Files of Keras")!;
    const folder = writeProject(shop, "keras", project);
    mkdirSync(join(folder, "node_modules"));
    cpSync(join(shop, "node_modules/adamax"), join(folder, "node_modules/adamax"), { recursive: true });
    for (const name of ["h5wasm", "fflate"]) symlinkSync(resolve("node_modules", name), join(folder, "node_modules", name));
    for (const command of project.commands) await run(command, folder, environment(shop));
    cpSync("fixtures/keras-files/keras-plain.h5", join(folder, "out/model.h5"));
    const { url, close } = await serve(join(folder, "out"), { headers: {} });
    const page = await open(url, /weights/);
    close();
    expect(page).toEqual({ said: expect.stringMatching(/^h5, \d+ weights$/), complaints: [] });
  });
});

describe("a content security policy", () => {
  const said = async (policy: string) => {
    const folder = writeProject(shop, "policy", projects.get("esbuild")!);
    const main = projects.get("esbuild")!.files.get("main.js")!;
    writeFileSync(
      join(folder, "main.js"),
      main
        .replace(/const backend .*\n/, "")
        .replace("learningRate: 0.01, backend", "learningRate: 0.01, threads: 2")
        .replaceAll("backend.", "optimizer.backend."),
    );
    for (const command of projects.get("esbuild")!.commands) await run(command, folder, environment(shop));
    const { url, close } = await serve(join(folder, "out"), { headers: { ...ISOLATION, "content-security-policy": policy } });
    const page = await open(url);
    close();
    return page;
  };
  const [, policy] = /Content-Security-Policy: (.*)/.exec(readFileSync("docs/bundlers.md", "utf8"))!;

  test("as the docs have it: two threads, and nothing is refused", async () => {
    expect(await said(policy!)).toEqual({ said: expect.stringMatching(SHARED), complaints: [] });
  });

  test("without wasm-unsafe-eval: the interpreter, and why names the policy", async () => {
    const page = await said(policy!.replace(" 'wasm-unsafe-eval'", ""));
    expect(page.said).toMatch(/^alone; .* bytes; .*WebAssembly compilation is refused here.*[Cc]ontent [Ss]ecurity [Pp]olicy/);
  });

  test("without worker-src: one thread, and why names it", async () => {
    const page = await said(policy!.replace("worker-src 'self'", "worker-src 'none'"));
    expect(page.said).toMatch(/^alone; .* bytes; .*one thread of 2: .*a content security policy must allow it \(worker-src\)/);
  });
});

describe("CommonJS and Jest", () => {
  test("the programs of the docs run", async () => {
    const project = projects.get("CommonJS and Jest")!;
    const folder = writeProject(shop, "jest", project);
    const [both] = project.commands;
    const printed = await run(both!, folder, environment(shop));
    expect(printed).toMatch(/^0\.89\d+|^0\.9/);
    expect(printed).toContain("1 passed");
    writeFileSync(
      join(folder, "more.test.js"),
      `import { Adamax, Variable, WasmBackend } from "adamax";
      import { loadCheckpoint, saveCheckpoint } from "adamax/checkpoint";

      test("threads and checkpoints", async () => {
        const make = () => new Variable(new Float32Array(400_000).fill(1), { name: "w" });
        const backend = new WasmBackend({ threads: 2 });
        const [w, again] = [make(), make()];
        const optimizer = new Adamax({ learningRate: 0.1, backend });
        const gradient = new Float32Array(400_000).fill(1);
        for (const end = performance.now() + 40_000; backend.sharedPasses === 0 && performance.now() < end; ) {
          // In a row: where all cores are busy, a step is over before a worker has its turn.
          for (const row = performance.now() + 50; performance.now() < row; ) optimizer.applyGradients([[gradient, w]]);
          await new Promise((go) => setTimeout(go, 2));
        }
        expect(backend.sharedPasses).toBeGreaterThan(0);
        await saveCheckpoint("run.safetensors", { optimizer });
        const other = new Adamax({ learningRate: 0.1 });
        other.build([again]);
        await loadCheckpoint("run.safetensors", { optimizer: other });
        expect(again.value[399_999]).toBe(w.value[399_999]);
        backend.dispose();
      }, 60_000);`,
    );
    expect(await run("npx jest more", folder, { ...environment(shop), NODE_OPTIONS: "--experimental-vm-modules" })).toContain(
      "1 passed",
    );
  });
});
