/** The files that the command writes: each is asked for, none takes another's place, and the names in them stay. */

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Adamax, Variable } from "adamax";
import { saveCheckpoint } from "adamax/checkpoint";
import { describe, expect, test, vi } from "vitest";
import { adamax, emptyFolder } from "./adamax.js";

vi.setConfig({ testTimeout: 60_000 }); // several processes each

const files = "fixtures/keras-files";
const bytesIn = (folder: string) =>
  Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));

/** A model.json with one variable, and a checkpoint of it for each of the values. */
const withModel = async (...values: number[]) => {
  const folder = emptyFolder();
  const weights = [{ name: "dense/kernel", shape: [1], dtype: "float32" }];
  const json = { modelTopology: { model_config: {} }, weightsManifest: [{ paths: ["w.bin"], weights }] };
  writeFileSync(join(folder, "architecture.json"), JSON.stringify(json));
  writeFileSync(join(folder, "w.bin"), new Uint8Array(4));
  for (const [i, value] of values.entries()) {
    using optimizer = new Adamax();
    optimizer.build([new Variable(Float32Array.of(value), { name: "dense/kernel" })]);
    await saveCheckpoint(join(folder, `${i}.safetensors`), { optimizer });
  }
  const convert = (checkpoint: number, to: string, ...more: string[]) =>
    adamax("convert", join(folder, `${checkpoint}.safetensors`), to, "--into", join(folder, "architecture.json"), ...more);
  const valueIn = async (file: string): Promise<number> =>
    JSON.parse((await adamax("inspect", "--json", file)).printed).arrays[0].max as number;
  return { folder, convert, valueIn };
};

describe("models of TensorFlow.js in one folder", () => {
  test("have files of their own: the second leaves the first as it was", async () => {
    const { convert, valueIn } = await withModel(1, 2);
    const out = join(emptyFolder(), "m");
    expect(await convert(0, join(out, "model.json"))).toEqual({ code: 0, printed: "", complained: "" });
    expect(await convert(1, join(out, "second.json"))).toMatchObject({ code: 0 });
    expect(readdirSync(out).sort()).toEqual(["model.json", "model.weights.bin", "second.json", "second.weights.bin"]);
    expect([await valueIn(join(out, "model.json")), await valueIn(join(out, "second.json"))]).toEqual([1, 2]);
  });

  test("each of its files is replaced only with --force", async () => {
    const { convert, valueIn } = await withModel(1);
    const out = emptyFolder();
    writeFileSync(join(out, "model.weights.bin"), "somebody's");
    const before = bytesIn(out);
    const { code, complained } = await convert(0, join(out, "model.json"));
    expect(code).toBe(1);
    expect(complained).toMatch(/model\.weights\.bin is there already.*--force/);
    expect(bytesIn(out)).toEqual(before);
    expect(await convert(0, join(out, "model.json"), "--force")).toMatchObject({ code: 0 });
    expect(await valueIn(join(out, "model.json"))).toBe(1);
  });
});

describe("a page", () => {
  test("never takes the place of the file that it shows, or of weights beside it, by force either", async () => {
    const { folder } = await withModel();
    const plain = join(folder, "run");
    cpSync(`${files}/keras-plain.h5`, plain);
    const before = bytesIn(folder);
    for (const [input, page] of [
      [plain, plain],
      [plain, join(folder, "..", folder.split("/").at(-1)!, "run")],
      [join(folder, "architecture.json"), join(folder, "w.bin")],
    ] as const) {
      const { code, complained } = await adamax("inspect", input, "--html", page, "--force");
      expect(code).toBe(1);
      expect(complained).toContain("A page takes no model's place");
    }
    expect(bytesIn(folder)).toEqual(before);
  });
});

test.each(["bench", "demo"])("%s refuses a folder in which other files might be replaced", async (command) => {
  const out = emptyFolder();
  writeFileSync(join(out, "package.json"), "mine");
  const { code, complained } = await adamax(command, ...(command === "bench" ? ["memory"] : []), "--out", out, "--force");
  expect(code).toBe(1);
  expect(complained).toMatch(/holds other files.*package\.json/);
  expect(readdirSync(out)).toEqual(["package.json"]);
  const file = join(out, "package.json");
  expect(await adamax(command, ...(command === "bench" ? ["memory"] : []), "--out", file, "--force")).toMatchObject({
    code: 1,
    complained: expect.stringMatching(/package\.json is no folder that can be written to.*--out FOLDER/),
  });
});

describe("names stay", () => {
  test.each(["keras-plain.weights.h5", "keras-average.weights.h5", "tf_keras-plain.weights.h5", "keras-accumulate.keras"])(
    "%s to a checkpoint, and from there to .weights.h5: nothing differs",
    async (name) => {
      const folder = emptyFolder();
      const [run, back] = [join(folder, "run.safetensors"), join(folder, "back.weights.h5")];
      const options = { learning_rate: 0.01, use_ema: name.includes("average") };
      const given = name.endsWith(".keras") ? [] : ["--options", JSON.stringify(options)];
      expect(await adamax("convert", `${files}/${name}`, run, ...given)).toMatchObject({ code: 0 });
      expect(await adamax("convert", run, back)).toMatchObject({ code: 0 });
      for (const other of [run, back])
        expect(await adamax("diff", `${files}/${name}`, other)).toEqual({ code: 0, printed: "", complained: "" });
    },
  );

  test.each(["tf_keras-plain.keras", "keras-plain.keras"])("%s to .weights.h5, at once", async (name) => {
    const to = join(emptyFolder(), "x.weights.h5");
    await adamax("convert", `${files}/${name}`, to);
    expect(await adamax("diff", `${files}/${name}`, to)).toEqual({ code: 0, printed: "", complained: "" });
  });

  test("what differs still shows, also in state that one of the files only numbers", async () => {
    const folder = emptyFolder();
    const [run, other] = [join(folder, "run.safetensors"), join(folder, "other.safetensors")];
    const average = ["--options", '{"learning_rate": 0.01, "use_ema": true}'];
    await adamax("convert", `${files}/keras-average.weights.h5`, run, ...average);
    const bytes = readFileSync(run);
    const { tensors } = JSON.parse(`{"tensors":${bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE())).toString()}}`) as {
      tensors: Record<string, { data_offsets: [number, number] }>;
    };
    expect(Object.keys(tensors)).toContain("optimizer/norm/dense/kernel");
    await adamax("convert", `${files}/tf_keras-plain.keras`, other);
    const { code, printed } = await adamax("diff", `${files}/keras-average.weights.h5`, other);
    expect(code).toBe(1);
    expect(printed).toMatch(/^first\/kernel: \d+ of 12 elements differ/m);
  });
});

describe("what the library asks for in a call, the command asks for in its own words", () => {
  test("options of a file that holds none", async () => {
    const to = join(emptyFolder(), "x.safetensors");
    const { complained } = await adamax("convert", `${files}/keras-plain.weights.h5`, to);
    expect(complained).toContain(`does not hold the options of an optimizer. Received: no --options. Give them: --options '{`);
    expect(complained).not.toContain("new Adamax");
  });

  test("options that do not fit the state", async () => {
    const to = join(emptyFolder(), "x.safetensors");
    const options = ["--options", '{"learning_rate": 0.01}'];
    const { complained } = await adamax("convert", `${files}/keras-average.weights.h5`, to, ...options);
    expect(complained).toMatch(/does not fit the variables of the model.*This command takes options as --options '\{/);
  });

  test("the rate of a checkpoint that was a function", async () => {
    const folder = emptyFolder();
    using optimizer = new Adamax({ learningRate: () => 0.1 });
    optimizer.build([new Variable(Float32Array.of(1), { name: "w" })]);
    await saveCheckpoint(join(folder, "a.safetensors"), { optimizer });
    const convert = (...more: string[]) =>
      adamax("convert", join(folder, "a.safetensors"), join(folder, "b.weights.h5"), ...more);
    expect((await convert()).complained).toMatch(/was a function.*no learning_rate in --options/);
    expect(await convert("--options", '{"learning_rate": 0.5}')).toMatchObject({ code: 0 });
  });

  test("--into of another format", async () => {
    const to = join(emptyFolder(), "x.h5");
    const { complained } = await adamax("convert", `${files}/keras-plain.h5`, to, "--into", `${files}/keras-plain.keras`);
    expect(complained).toMatch(/cannot take its architecture from a file of another format.*of the format keras/);
    expect(existsSync(to)).toBe(false);
  });
});

test("--version is that of the package", async () => {
  const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
  expect(await adamax("--version")).toEqual({ code: 0, printed: `${version}\n`, complained: "" });
});

test("the folder of OUT is made", async () => {
  const to = join(emptyFolder(), "new", "run.safetensors");
  mkdirSync(join(to, "..", ".."), { recursive: true });
  expect(await adamax("convert", `${files}/keras-plain.keras`, to)).toMatchObject({ code: 0 });
});
