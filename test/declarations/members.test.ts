/** What the published declarations show, and that what is ours alone is not among it. */

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { beforeAll, expect, test, vi } from "vitest";

vi.setConfig({ hookTimeout: 120_000 });

const ENTRIES = ["adamax", "adamax/checkpoint", "adamax/jax", "adamax/tfjs", "adamax/tfjs/core"];

/** The names that a user of a class is to see, and no other. */
const MEMBERS: Readonly<Record<string, string>> = {
  Variable: "name shape dtype length layout constraint value buffer gradient owner isConstrained read write toString",
  Optimizer:
    "settings hyperparameters backend iterations learningRate useEma trainableVariables variables download build extend " +
    "excludeFromWeightDecay applyGradients minimize swapAverages finalizeVariableValues resetAverages addVariable addVariableFromReference " +
    "getConfig saveOwnVariables loadOwnVariables setWeights dispose",
  WasmBackend: "name why near threads sharedPasses place checkGradient compile dispose",
  InterpreterBackend: "name why near threads place checkGradient compile dispose",
};
const exactly = (type: string, members: string) => `
  import type { ${type} } from "adamax";
  type Seen = Exclude<keyof ${type}, symbol>;
  type Meant = ${members
    .split(" ")
    .map((name) => `"${name}"`)
    .join(" | ")};
  const none = (list: never[]) => list;
  none([] as Exclude<Seen, Meant>[]);
  none([] as Exclude<Meant, Seen>[]);`;

const HIDDEN = ["internalsOf", "Internals", "Lifecycle", "OptimizerState", "TensorVariable", "HeapBackend", "DeviceBackend"];
const cannotImport = (name: string) =>
  [...ENTRIES, "adamax/dist/optimizer/optimizer.js"]
    .map((entry, i) => `// @ts-expect-error\nimport { ${name} as _${i} } from "${entry}";`)
    .join("\n");

/** Programs of a user, by what they claim. */
const CLAIMS: Readonly<Record<string, string>> = {
  "every entry's declarations compile by themselves": ENTRIES.map((entry, i) => `export * as entry${i} from "${entry}";`).join(
    "\n",
  ),
  ...Object.fromEntries(
    Object.entries(MEMBERS).map(([type, members]) => [
      `${type} shows what is documented, and nothing that is ours alone`,
      exactly(type, members),
    ]),
  ),
  "optimizers of TensorFlow.js lend what they know to nobody else": `
    import { Adamax, TensorOptimizer } from "adamax/tfjs";
    const none = (list: never[]) => list;
    none([] as Extract<keyof (Adamax & TensorOptimizer), "lend" | "restore" | "core">[]);`,
  ...Object.fromEntries(HIDDEN.map((name) => [`${name} cannot be imported, from no entry and by no path`, cannotImport(name)])),
  "what only we make cannot be made": ["KerasModel", "AdamaxExport"]
    .map((name) => `import { ${name} } from "adamax/checkpoint";\n// @ts-expect-error\nnew ${name}();`)
    .join("\n"),
};
const WRONG = 'import { Variable } from "adamax";\nnew Variable(new Float32Array(1)).adopt();';

/** What the compiler says of each program, and of our declarations, in this order. (Those of TensorFlow.js and jax-js do not pass by themselves.) */
let complaints: string[][];
beforeAll(() => {
  const folder = mkdtempSync(join(tmpdir(), "adamax-declarations-"));
  const links = { adamax: ".", "@types": "node_modules/@types", "@tensorflow": "node_modules/@tensorflow" };
  mkdirSync(join(folder, "node_modules"));
  for (const [name, path] of Object.entries(links)) symlinkSync(resolve(path), join(folder, "node_modules", name));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  const programs = [...Object.values(CLAIMS), WRONG];
  for (const [i, program] of programs.entries()) writeFileSync(join(folder, `program${i}.ts`), program);
  const compilerOptions = {
    noEmit: true,
    strict: true,
    skipLibCheck: false,
    target: "ES2022",
    lib: ["ES2023", "ESNext.Disposable", "DOM", "DOM.Iterable"],
    module: "NodeNext",
    types: ["node"],
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
  let printed = "";
  try {
    execFileSync(process.execPath, [resolve("node_modules/typescript/bin/tsc"), "--project", folder], { encoding: "utf8" });
  } catch (error) {
    printed = (error as { stdout: string }).stdout;
  }
  rmSync(folder, { recursive: true });
  const lines = printed.split("\n");
  const about = (file: RegExp) => lines.filter((line) => file.test(line) && !line.includes("node_modules/"));
  complaints = [...programs.map((_, i) => about(new RegExp(`^\\S*program${i}\\.ts\\(`))), about(/^\S*dist\/\S+\.d\.ts\(/)];
});

test.each(Object.keys(CLAIMS).map((claim, i) => [claim, i] as const))("%s", (_, i) => expect(complaints[i]).toEqual([]));

test("our declarations need no skipLibCheck", () => expect(complaints.at(-1)).toEqual([]));

test("no declaration is marked as internal, nor gives internals away", () => {
  const files = readdirSync("dist", { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".d.ts"));
  const telling = files.filter((name) => /@internal|internalsOf/.test(readFileSync(join("dist", name), "utf8")));
  expect([files.length > 50, telling]).toEqual([true, []]);
});

test("what is wrong is noticed", () => {
  expect(complaints.at(-2)).toEqual([expect.stringContaining("Property 'adopt' does not exist")]);
});
