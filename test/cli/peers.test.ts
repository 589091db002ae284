/** The packages that users bring themselves: npm installs ours beside the oldest and the newest of each range, and the oldest do what is asked of them.
 *  (The oldest TensorFlow.js has a run of its own: `npm run test:engines tfjs-oldest`.) */

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { peerDependencies } from "../../package.json" with { type: "json" };
import { COMMAND, emptyFolder, execute, pack } from "./adamax.js";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

type Versions = Readonly<Record<string, string>>;
const oldest: Versions = Object.fromEntries(
  Object.entries(peerDependencies).map(([name, range]) => [name, /^>=(\S+) </.exec(range)![1]!]),
);

let tarball: string;
beforeAll(() => {
  tarball = pack();
});
afterAll(() => rmSync(dirname(tarball), { recursive: true }));

/** `npm install` of our package in a project that has these. */
const install = (folder: string, versions: Versions, ...options: string[]) => {
  const dependencies = { ...versions, adamax: `file:${tarball}` };
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type: "module", dependencies }));
  return execute("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", ...options], { cwd: folder });
};
const plan = (versions: Versions) => install(emptyFolder(), versions, "--package-lock-only");

describe("npm install", () => {
  test.each([
    ["oldest", oldest],
    ["newest", peerDependencies as Versions],
  ])("beside the %s of all optional packages", async (_, versions) => {
    expect(Object.keys(versions).length).toBeGreaterThan(5);
    expect(await plan(versions)).toMatchObject({ code: 0, complained: "" });
  });

  test("beside one that is too old is refused, so that nobody finds out later", async () => {
    const { code, complained } = await plan({ fflate: "0.7.0" });
    expect([code, complained]).toEqual([1, expect.stringContaining("ERESOLVE")]);
  });
});

describe("the oldest", () => {
  /** Two projects, which have the same programs: with the oldest of each, and with those of this repository. */
  let [old, current]: string[] = [];
  beforeAll(async () => {
    [old, current] = [1, 2].map(() => mkdtempSync(join(tmpdir(), "adamax-peers-")));
    const small = Object.entries(oldest).filter(([name]) => !name.startsWith("@tensorflow/"));
    expect(await install(old!, Object.fromEntries(small))).toMatchObject({ code: 0, complained: "" });
    writeFileSync(join(current!, "package.json"), '{ "type": "module" }');
    mkdirSync(join(current!, "node_modules"));
    for (const [name, path] of [
      ["adamax", "."],
      ["@jax-js", "node_modules/@jax-js"],
    ])
      symlinkSync(resolve(path!), join(current!, "node_modules", name!));
  });
  afterAll(() => {
    for (const folder of [old, current]) if (folder) rmSync(folder, { recursive: true });
  });

  /** What a program, or the command, prints in both projects. */
  const both = async (...words: string[]) => {
    const [one, other] = await Promise.all([old!, current!].map((cwd) => execute(words[0]!, words.slice(1), { cwd })));
    expect(one).toMatchObject({ code: 0, complained: "" });
    expect(one).toEqual(other);
    return one!.printed;
  };
  const fixture = (name: string) => resolve("fixtures", name);
  const command = (...words: string[]) => both(process.execPath, "node_modules/adamax/dist/cli/main.js", ...words);

  test.each([
    ["fflate and h5wasm", "keras-files/keras-average.keras"],
    ["h5wasm", "keras-files/tf_keras-average.h5"],
    ["@bufbuild/protobuf", "keras-folders/copy-alone/model"],
  ])("%s: inspect says of %s what it says with the newest", async (_, file) => {
    expect((await command("inspect", "--json", fixture(file))).length).toBeGreaterThan(500);
  });

  test("fflate and h5wasm: a .keras file is written, and nothing differs", async () => {
    const keras = fixture("keras-files/keras-average.keras");
    await command("convert", keras, "model.safetensors");
    await command("convert", "model.safetensors", "model.keras", "--into", keras);
    const { code } = await execute(process.execPath, [COMMAND, "diff", keras, join(old!, "model.keras")]);
    expect(code).toBe(0);
  });

  test("@jax-js/jax: steps under jit", async () => {
    const program = `
      import { defaultDevice, init, jit, numpy as np } from "@jax-js/jax";
      import { adamax } from "adamax/jax";
      await init("wasm");
      defaultDevice("wasm");
      const optimizer = adamax({ learningRate: 0.1, weightDecay: 0.004, globalClipnorm: 1, useEma: true });
      const step = jit((params, grads, state) => optimizer.step(params, grads, state));
      let params = np.array([4, -3]);
      let state = optimizer.init(params.ref);
      for (let i = 0; i < 3; i++) [params, state] = step(params, np.array([1, -1]), state);
      console.log([...await params.data()].join());`;
    for (const folder of [old!, current!]) writeFileSync(join(folder, "jax.js"), program);
    expect(await both(process.execPath, "jax.js")).toMatch(/^3\.\d+,-2\.\d+\n$/);
  });

  test("koffi: two ranks", async () => {
    const program = `
      import { Adamax, Variable } from "adamax";
      import { createMesh } from "adamax/mesh";
      const mesh = await createMesh([["batch", -1]]);
      const w = new Variable(Float32Array.of(4, -3), { name: "w" });
      const optimizer = new Adamax({ mesh, globalClipnorm: 1 });
      for (let step = 0; step < 3; step++) optimizer.applyGradients([[Float32Array.of(mesh.rank, -1), w]]);
      if (mesh.rank === 0) console.log([mesh.size, ...w.value].join());
      optimizer.dispose();
      mesh.dispose();`;
    for (const folder of [old!, current!]) writeFileSync(join(folder, "mesh.js"), program);
    const words = ["--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", "2", process.execPath, "mesh.js"];
    expect(await both("mpirun.openmpi", ...words)).toMatch(/^2,3\.\d+,-2\.\d+\n$/);
  });
});
