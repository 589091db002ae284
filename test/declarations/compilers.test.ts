/** The published declarations compile with the oldest TypeScript of the README and the newest: without skipLibCheck and @types/node, with lib es2022 and dom, however modules are
 *  resolved. In TYPESCRIPT of the environment: those between, of test/engines (`npm run test:engines typescript`). */

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { exports } from "../../package.json" with { type: "json" };
import { execute } from "../cli/adamax.js";

vi.setConfig({ testTimeout: 120_000 });

const ENTRIES = Object.keys(exports)
  .filter((path) => path !== "./package.json")
  .map((path) => path.replace(".", "adamax"));
/** Those whose types are nobody's but ours. WebGPU's are TypeScript's own since 6; before, a package has them, as those of TensorFlow.js and jax-js. */
const alone = (version: string): string[] =>
  ENTRIES.filter((entry) => !/\/(tfjs|jax)/.test(entry) && (entry !== "adamax/webgpu" || Number(version) >= 6));

const inEngines = (version: string): [version: string, folder: string] => [
  version,
  `test/engines/node_modules/typescript-${version}`,
];
const { TYPESCRIPT } = process.env;
const COMPILERS: readonly [version: string, folder: string][] = TYPESCRIPT
  ? TYPESCRIPT.split(" ").map(inEngines)
  : [inEngines("5.4"), ["7", "node_modules/typescript"]];

const PROGRAM = `
import { Adamax, Variable } from "adamax";
import { checkpointBlob } from "adamax/checkpoint";
const optimizer = new Adamax({ learningRate: 0.1 });
optimizer.applyGradients([[Float32Array.of(1), new Variable(Float32Array.of(1))]]);
export const blob: Blob = await checkpointBlob({ optimizer });`;

/** Three projects, with no @types near: the package alone, in modules and in CommonJS, and beside it what its adapters adapt to. */
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "adamax-types-"));
  for (const project of ["alone", "commonjs", "adapters"]) {
    const installed = join(folder, project, "node_modules/adamax");
    mkdirSync(installed, { recursive: true });
    for (const name of ["dist", "package.json"]) cpSync(name, join(installed, name), { recursive: true });
    writeFileSync(join(folder, project, "package.json"), project === "commonjs" ? "{}" : '{ "type": "module" }');
    if (project !== "commonjs") writeFileSync(join(folder, project, "program.ts"), PROGRAM);
  }
  for (const name of ["@tensorflow", "@jax-js", "@webgpu"])
    symlinkSync(resolve("node_modules", name), join(folder, "adapters/node_modules", name));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** In each project, so that a compiler that looks at nothing is noticed. */
const WRONG = 'export { nothing } from "adamax/nothing";';
const noticed = expect.stringContaining("Cannot find module 'adamax/nothing'");

/** What the compiler says of programs that take all of these. */
const complaintsOf = async (compiler: string, project: string, entries: readonly string[], more: object): Promise<string[]> => {
  const compilerOptions = {
    noEmit: true,
    strict: true,
    skipLibCheck: false,
    target: "ES2022",
    lib: ["ES2022", "DOM"],
    types: [],
    ...more,
  };
  const here = join(folder, project);
  const taken = entries.map((entry, i) => `export * as entry${i} from "${entry}";`);
  writeFileSync(join(here, "all.ts"), [...taken, WRONG].join("\n"));
  writeFileSync(join(here, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
  const { printed } = await execute(process.execPath, [resolve(compiler, "bin/tsc"), "--project", "."], { cwd: here });
  return printed.split("\n").filter((line) => line.includes("error TS"));
};

describe.each(COMPILERS)("TypeScript %s", (version, compiler) => {
  test("is that version", () => {
    expect(JSON.parse(readFileSync(join(compiler, "package.json"), "utf8")).version).toMatch(new RegExp(`^${version}\\.`));
  });

  test.each([
    ["bundler", "ESNext"],
    ["node16", "Node16"],
    ["nodenext", "NodeNext"],
  ])("%s: every entry that needs no other package compiles", async (moduleResolution, module) => {
    expect(await complaintsOf(compiler, "alone", alone(version), { module, moduleResolution })).toEqual([noticed]);
  });

  test("a CommonJS project may import it from 5.8 on; before, the compiler says what to write", async () => {
    const options = { module: "NodeNext", moduleResolution: "NodeNext" };
    const said = Number(version) < 5.8 ? [expect.stringMatching(/TS1479.*'import\("adamax"\)'/)] : [];
    expect(await complaintsOf(compiler, "commonjs", ["adamax"], options)).toEqual([...said, noticed]);
  });

  // Those of TensorFlow.js, jax-js and WebGPU do not pass by themselves.
  test("beside the packages of the adapters, no complaint is about ours", async () => {
    const complaints = await complaintsOf(compiler, "adapters", ENTRIES, { module: "NodeNext", moduleResolution: "NodeNext" });
    expect(complaints.filter((line) => /^(node_modules\/adamax|\w+\.ts)\b/.test(line))).toEqual([noticed]);
  });
});
