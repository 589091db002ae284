/** The command `adamax`, as a process of its own, from the built package. */

import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Adamax, Variable } from "adamax";
import { saveCheckpoint } from "adamax/checkpoint";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { adamax } from "./adamax.js";

vi.setConfig({ testTimeout: 60_000 }); // several processes each

const files = "fixtures/keras-files";
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "adamax-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("inspect", () => {
  test("prints the class, the step count, the configuration and a line with figures for every array", async () => {
    const { code, printed, complained } = await adamax("inspect", `${files}/tf_keras-average.keras`);
    expect({ code, complained }).toEqual({ code: 0, complained: "" });
    expect(printed).toMatch(/^Adamax, 7 steps$/m);
    expect(printed).toMatch(/^ {2}weight_decay: 0.004$/m);
    expect(printed).toMatch(/^first\/kernel +\[3, 4\] +float32 +-0.623703 +0.517329 +0 +0$/m);
    expect(printed).toMatch(/^average\/dense\/kernel /m);
    expect(printed).toMatch(/^norm\/dense\/kernel /m);
  });

  test("--json is the same as JSON", async () => {
    const { printed } = await adamax("inspect", "--json", `${files}/keras-plain.h5`);
    expect(JSON.parse(printed)).toMatchObject({ className: "Adamax", steps: 7, format: "h5", config: { beta_1: 0.9 } });
    expect(JSON.parse(printed).arrays).toHaveLength(9 + 16);
  });

  test("counts what is not finite", async () => {
    const { printed } = await adamax("inspect", "--json", `${files}/keras-float16.weights.h5`);
    const { arrays } = JSON.parse(printed) as { arrays: { name: string; nonFinite: number }[] };
    expect(arrays.find(({ name }) => name === "first/kernel")!.nonFinite).toBe(2); // float16: 0 / 0
  });
});

describe("diff", () => {
  test("nothing between two formats of one training: 0", async () => {
    expect(await adamax("diff", `${files}/keras-plain.keras`, `${files}/keras-plain.h5`)).toEqual({
      code: 0,
      printed: "",
      complained: "",
    });
  });

  test("names settings and arrays, and counts ulps: 1", async () => {
    const { code, printed } = await adamax("diff", `${files}/keras-plain.keras`, `${files}/keras-average.keras`);
    expect(code).toBe(1);
    expect(printed).toContain("weight_decay: null and 0.01\n");
    expect(printed).toMatch(/^first\/kernel: 12 of 12 elements differ, by up to \d+ ulps$/m);
    expect(printed).toMatch(/^average\/first\/kernel: only in .*keras-average.keras$/m);
  });
});

describe("convert", () => {
  test("to a checkpoint, and from there into a given .keras file: nothing differs", async () => {
    const [checkpoint, back] = [join(folder, "run.safetensors"), join(folder, "back.keras")];
    expect(await adamax("convert", `${files}/keras-plain.keras`, checkpoint)).toMatchObject({ code: 0 });
    expect(await adamax("convert", checkpoint, back, "--into", `${files}/keras-plain.keras`)).toEqual({
      code: 0,
      printed: "",
      complained: "",
    });
    expect(await adamax("diff", back, `${files}/keras-plain.keras`)).toMatchObject({ code: 0, printed: "" });
  });

  test("takes options for a file that holds none", async () => {
    const to = join(folder, "weights.safetensors");
    expect(await adamax("convert", `${files}/keras-plain.weights.h5`, to)).toMatchObject({ code: 1 });
    expect(existsSync(to)).toBe(false);
    expect(await adamax("convert", `${files}/keras-plain.weights.h5`, to, "--options", '{"learning_rate": 0.01}')).toMatchObject({
      code: 0,
    });
    expect((await adamax("diff", to, `${files}/keras-plain.weights.h5`)).printed).toBe("");
  });

  test("says that a rate in the state of a file stays, where another one is given", async () => {
    const to = join(folder, "rate.safetensors");
    const options = ["--options", '{"learning_rate": 0.5}'];
    const { code, complained } = await adamax("convert", `${files}/keras-plain.weights.h5`, to, ...options);
    expect(code).toBe(0);
    expect(complained).toMatch(/has a learning rate of its own, which stays. Received: 0.0\d+, and 0.5 in --options/);
    // A file with a configuration takes what is given.
    const whole = await adamax("convert", `${files}/keras-plain.keras`, join(folder, "whole.safetensors"), ...options);
    expect(whole).toEqual({ code: 0, printed: "", complained: "" });
  });

  test("from a checkpoint to a checkpoint, also onto itself: where the training was stays in it, and its metrics", async () => {
    const path = join(folder, "training.safetensors");
    const w = new Variable(Float32Array.of(1), { name: "w" });
    const optimizer = new Adamax();
    optimizer.applyGradients([[Float32Array.of(1), w]]);
    await saveCheckpoint(path, { optimizer, user: { epoch: 3 }, metrics: { loss: 0.5, valLoss: Number.NaN } });
    const before = readFileSync(path);
    expect(await adamax("convert", path, path, "--force")).toMatchObject({ code: 0 });
    expect(readFileSync(path)).toEqual(before);
  });

  test("replaces a file only with --force", async () => {
    const to = join(folder, "there.weights.h5");
    cpSync(`${files}/tf_keras-plain.weights.h5`, to);
    const before = readFileSync(to);
    const refused = await adamax("convert", `${files}/keras-plain.keras`, to);
    expect(refused.code).toBe(1);
    expect(refused.complained).toContain("--force");
    expect(readFileSync(to)).toEqual(before);
    expect(await adamax("convert", `${files}/keras-plain.keras`, to, "--force")).toMatchObject({ code: 0 });
    expect(readFileSync(to)).not.toEqual(before);
  });
});

describe("models of several files", () => {
  const folders = "fixtures/keras-folders";

  test.each([
    [
      "a TensorFlow checkpoint",
      `${folders}/plain-weights/model.index`,
      "a TensorFlow checkpoint",
      /^Adamax, 7 steps; no configuration$/m,
    ],
    [
      "one by the name that Python calls it by",
      `${folders}/plain-weights/model`,
      "a TensorFlow checkpoint",
      /^norm\/dense\/kernel /m,
    ],
    ["a SavedModel", `${folders}/average-saved`, "a SavedModel", /^ {2}ema_overwrite_frequency: 6$/m],
    [
      "sharded weights",
      `${folders}/keras-shards/model.weights.json`,
      "a .weights.json file with its shards",
      /^momentum\/first\/kernel /m,
    ],
  ])("%s is inspected", async (_, path, format, more) => {
    const { code, printed, complained } = await adamax("inspect", path);
    expect({ code, complained }).toEqual({ code: 0, complained: "" });
    expect(printed).toContain(`${path}: ${format}\n`);
    expect(printed).toMatch(more);
  });

  test.each([
    [
      "a TensorFlow checkpoint, with the options that it does not hold",
      "plain-weights/model.index",
      ["--options", '{"learning_rate": 0.01}'],
    ],
    [
      "one of a legacy optimizer, with the one that it does not hold",
      "legacy-weights/model.index",
      ["--options", '{"epsilon": 1e-7}'],
    ],
    ["a SavedModel", "scaled-saved", []],
    ["a SavedModel of a legacy optimizer", "legacy-saved", []],
    ["sharded weights", "keras-shards/model.weights.json", ["--options", '{"learning_rate": 0.01}']],
  ])("%s is converted to a checkpoint: nothing differs", async (_, name, options) => {
    const to = join(folder, `${name.replace(/\W/g, "-")}.safetensors`);
    expect(await adamax("convert", `${folders}/${name}`, to, ...options)).toEqual({ code: 0, printed: "", complained: "" });
    expect(await adamax("diff", `${folders}/${name}`, to)).toEqual({ code: 0, printed: "", complained: "" });
  });

  test("sharded weights become one .weights.h5, and a SavedModel goes into a .keras file of its layers", async () => {
    const [whole, keras] = [join(folder, "whole.weights.h5"), join(folder, "into.keras")];
    const shards = `${folders}/keras-shards/model.weights.json`;
    expect(await adamax("convert", shards, whole)).toMatchObject({ code: 0 });
    expect(await adamax("diff", shards, whole)).toMatchObject({ code: 0, printed: "" });
    const saved = `${folders}/plain-saved`;
    expect(await adamax("convert", saved, keras, "--into", `${files}/tf_keras-plain.keras`)).toMatchObject({ code: 0 });
    expect(await adamax("diff", saved, keras)).toMatchObject({ code: 0, printed: "" });
  });

  test("a shard of what is read is not replaced, by force or not", async () => {
    const copy = join(folder, "shards");
    cpSync(`${folders}/keras-shards`, copy, { recursive: true });
    const from = join(copy, "model.weights.json");
    const { code, complained } = await adamax("convert", from, join(copy, "model_00000.weights.h5"), "--force");
    expect(code).toBe(1);
    expect(complained).toContain("model_00000.weights.h5 is a part of what is read");
  });

  test("weights whose layers do not have the names of their classes: it is said that Keras will not find them", async () => {
    const to = join(folder, "named.weights.h5");
    const { code, complained } = await adamax("convert", `${folders}/legacy-saved`, to);
    expect(code).toBe(0);
    expect(complained).toMatch(/Keras finds weights by the class of their layer.*will not find first, second\./);
  });

  test("of several optimizers in a checkpoint one is chosen with --optimizer", async () => {
    const path = `${folders}/pair/model.index`;
    const { code, complained } = await adamax("inspect", path);
    expect(code).toBe(1);
    expect(complained).toContain("discriminator_optimizer, generator_optimizer");
    expect((await adamax("inspect", path, "--optimizer", "discriminator_optimizer")).printed).toMatch(/^Adamax, 8 steps/m);
    const to = join(folder, "pair.safetensors");
    const options = ["--options", '{"learning_rate": 0.01}'];
    expect(await adamax("convert", path, to, "--optimizer", "generator_optimizer", ...options)).toMatchObject({ code: 0 });
    expect(JSON.parse((await adamax("inspect", to, "--json")).printed)).toMatchObject({ steps: 7 });
    expect(await adamax("diff", to, path, "--optimizer", "generator_optimizer")).toMatchObject({ code: 0, printed: "" });
    expect((await adamax("diff", path, to, "--optimizer", "discriminator_optimizer")).printed).toMatch(/^steps: 8 and 7$/m);
    const none = await adamax("diff", to, to, "--optimizer", "generator_optimizer");
    expect(none).toMatchObject({ code: 1, complained: expect.stringContaining("does not hold several optimizers") });
  });
});

describe("failures", () => {
  test.each([
    ["no such command", ["paint"]],
    ["a missing argument", ["diff", "a"]],
    ["an unknown option", ["inspect", "--colour", "a"]],
    ["a number of ulps that is none", ["diff", "a", "b", "--ulps", "many"]],
    ["no command", []],
    ["JSON and a page at once", ["inspect", `${files}/keras-plain.h5`, "--json", "--html", "x.html"]],
    ["a page without a name", ["inspect", `${files}/keras-plain.h5`, "--html", ""]],
    [
      "an architecture for a checkpoint",
      ["convert", `${files}/keras-plain.h5`, "x.safetensors", "--into", `${files}/keras-plain.h5`],
    ],
  ])("%s is wrong use: 2, on stderr", async (_, args) => {
    const { code, printed, complained } = await adamax(...args);
    expect({ code, printed }).toEqual({ code: 2, printed: "" });
    expect(complained).not.toBe("");
  });

  test("a file that cannot be read: 1, one line on stderr; with --debug where it came from", async () => {
    const { code, complained } = await adamax("inspect", "package.json");
    expect({ code, lines: complained.trimEnd().split("\n").length }).toEqual({ code: 1, lines: 1 });
    expect((await adamax("--debug", "inspect", "package.json")).complained).toMatch(/\n +at /);
  });

  test("a letter that is no option: the one that may have been meant", async () => {
    expect(await adamax("-v")).toMatchObject({ code: 2, complained: expect.stringMatching(/no option -v\. Did you mean -V\?/) });
  });

  test("a file of no known format: 1, which formats are known, without a stack trace", async () => {
    const text = join(folder, "text.safetensors");
    writeFileSync(text, "no safetensors file at all");
    const { code, printed, complained } = await adamax("diff", text, text);
    expect({ code, printed }).toEqual({ code: 1, printed: "" });
    expect(complained).toMatch(/^adamax: .*is of no format that is known here\. Received: .*Known are \.safetensors, .*\n$/);
  });

  test.each(["keras-files/keras-plain.keras", "adamax-exports/optax.npz"])(
    "a choice of optimizer where there is none, in %s: 1, for every command",
    async (name) => {
      for (const args of [["inspect"], ["convert", join(folder, "chosen.safetensors")]]) {
        const [command, ...more] = args as [string];
        const { code, complained } = await adamax(command, `fixtures/${name}`, ...more, "--optimizer", "generator");
        expect(code).toBe(1);
        expect(complained).toMatch(/does not hold several optimizers\. Received: optimizer: "generator"\. Leave it out/);
      }
      expect(existsSync(join(folder, "chosen.safetensors"))).toBe(false);
    },
  );

  test("options that are no JSON: 1, and what to write instead", async () => {
    const { code, complained } = await adamax(
      "convert",
      `${files}/keras-plain.keras`,
      join(folder, "o.safetensors"),
      "--options",
      "x",
    );
    expect(code).toBe(1);
    expect(complained).toContain(`Write it as '{"learning_rate": 0.01}'`);
  });

  test.each(["inspect", "convert", "diff", "bench", "demo"])(
    "the help of %s is no failure, and has examples of it",
    async (command) => {
      const { code, printed, complained } = await adamax(command, "--help");
      expect({ code, complained }).toEqual({ code: 0, complained: "" });
      expect(await adamax("--help", command)).toEqual({ code, printed, complained });
      expect(printed).toContain(`$ adamax ${command} `);
    },
  );

  test("the help lists all commands, and what exit codes mean", async () => {
    const { code, printed } = await adamax("--help");
    expect(code).toBe(0);
    for (const command of ["inspect", "convert", "diff", "bench", "demo"])
      expect(printed).toMatch(new RegExp(`^ {2}${command} `, "m"));
    expect(printed).toContain("Exit codes: 0; 1 for a difference or a failure; 2 for wrong use.");
  });
});
