/** Files that real Keras wrote (fixtures/keras-files.py), read, trained on and written. HDF5 is read in a worker of the built package. */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { strFromU8, strToU8, unzipSync, zipSync } from "fflate";
import { describe, expect, test } from "vitest";
import { kerasWeights, readKeras, writeKeras } from "../../dist/checkpoint/index.js";
import { readHdf5 } from "../../dist/checkpoint/keras/hdf5.js";
import { Adamax, CheckpointError, Variable } from "../../dist/index.js";
import { calls, continued, decode, FOLDER, givenFor, optionsOf, train, trainings, ULPS, ulpsBetween } from "./keras-training.js";

const read = (file: string) => readKeras(`${FOLDER}/${file}`);

const RATES: Readonly<Record<string, number>> = { "keras-average": 0.1, "tf_keras-average": 0.1, "keras-accumulate": 0.05 };

describe.each(continued)("%s", (file, training) => {
  const within = ULPS[training.name] ?? 0;
  const rate = RATES[training.name] ?? 0.01;

  test(`trained ${calls} steps in Python, it goes on here: the next 40 steps agree within ${within} ulps`, async () => {
    const { optimizer } = (await read(file)).restore(givenFor(file, training));
    expect(optimizer.iterations).toBe(training.name === "keras-accumulate" ? Math.floor(calls / 3) : calls);
    let compared = 0;
    train(optimizer, 40, (step, variables) => {
      training.after![step]?.forEach((text, v) => {
        const ulps = ulpsBetween(variables[v]!.value, decode(text), rate);
        expect(ulps, `${variables[v]} after step ${step}`).toBeLessThanOrEqual(within);
        compared++;
      });
    });
    expect(compared).toBe(11 * 7);
  });

  test("written after 20 steps and read again, it goes on with the same bits", async () => {
    const model = await read(file);
    const { optimizer, variables } = model.restore(givenFor(file, training));
    train(optimizer, 20);
    const bytes = await writeKeras(model.with({ variables, optimizer }), model.format as "h5");
    if (process.env.KERAS_OUT) {
      // To be read by fixtures/keras-files.py --check.
      mkdirSync(process.env.KERAS_OUT, { recursive: true });
      writeFileSync(`${process.env.KERAS_OUT}/${file}`, bytes);
    }
    const again = (await readKeras(bytes)).restore(givenFor(file, training));
    train(optimizer, 20);
    train(again.optimizer, 20);
    expect(again.optimizer.iterations).toBe(optimizer.iterations);
    expect(again.optimizer.variables).toEqual(optimizer.variables);
    expect(again.variables.map(({ name, value }) => [name, value])).toEqual(variables.map(({ name, value }) => [name, value]));
  });
});

describe.each(trainings.flatMap((training) => training.files.map((file) => [file, training] as const)))(
  "%s",
  (file, training) => {
    test("every weight has its shape and value, and a name; the trained ones are known", async () => {
      const { variables } = await read(file);
      expect(variables).toHaveLength(training.variables.length);
      const hasNames = !(file.endsWith(".weights.h5") && file.startsWith("tf_keras")); // tf_keras does not write them there
      for (const [i, wanted] of training.variables.entries()) {
        const name = wanted.name.replace(/:0$/, "").replace(/^sequential(_\d+)?\/|^functional(_\d+)?\//, "");
        const found = hasNames
          ? variables.find((one) => one.name === name)
          : variables.find(({ value }) => `${value}` === `${decode(training.saved[i]!)}`);
        expect(found?.shape, name).toEqual(wanted.shape);
        expect(found?.value).toEqual(decode(training.saved[i]!));
        if (training.after && file !== "keras-average.weights.h5") expect(found?.trainable, name).toBe(wanted.trainable);
      }
    });
  },
);

test("float16 and bfloat16 weights are read as float32, and say what they were", async () => {
  for (const dtype of ["float16", "bfloat16"]) {
    const { variables, optimizer } = await read(`keras-${dtype}.weights.h5`);
    expect(variables.find(({ name }) => name === "first/kernel")).toMatchObject({ dtype, value: expect.any(Float32Array) });
    expect(optimizer!.state[2]).toMatchObject({ dtype, value: expect.any(Float32Array) });
  }
});

describe("what cannot be carried over is an error that names it", () => {
  const refused: [string, () => Promise<unknown>, string][] = [
    ["another optimizer", async () => (await read("keras-adam.keras")).restore(), "Adam, for Adamax"],
    [
      "a loss scale that moves",
      async () => (await read("keras-scaled.keras")).restore(),
      "dynamic of LossScaleOptimizer must be false",
    ],
    ["no configuration", async () => (await read("keras-plain.weights.h5")).restore(), "restore(new Adamax({ ... }))"],
    [
      "averages that the optimizer does not keep",
      async () => (await read("keras-average.weights.h5")).restore(new Adamax()),
      "useEma, gradientAccumulationSteps",
    ],
    ["a file of another kind", () => readKeras("package-lock.json"), "weightsManifest"],
    ["no file", () => read("absent.keras"), "no such file"],
    ["text", () => readKeras(new TextEncoder().encode("weights")), "7 bytes"],
    ["a new architecture", async () => writeKeras(await read("keras-plain.h5"), "keras"), "Received: keras"],
    [
      "groups",
      async () => {
        const model = await read("keras-plain.keras");
        const { optimizer } = model.restore({ groups: [{ names: ["bias"], learningRateMultiplier: 2 }] });
        model.with({ optimizer });
      },
      "groups",
    ],
    [
      "variables of another model",
      async () => (await read("keras-plain.keras")).with({ variables: [new Variable(new Float32Array(3), { name: "nobody" })] }),
      "nobody is not in it",
    ],
    [
      "a learning rate that is a function",
      async () => {
        const model = await read("keras-plain.keras");
        model.with({ optimizer: model.restore({ learningRate: () => 0.1 }).optimizer });
      },
      "a function",
    ],
  ];
  test.each(refused)("%s", async (_, act, message) => {
    await expect(act()).rejects.toThrow(CheckpointError);
    await expect(act()).rejects.toThrow(message);
  });
});

test("what is no model, no list, no options is refused in words", async () => {
  const model = await read("keras-plain.keras");
  // biome-ignore lint/suspicious/noExplicitAny: what JavaScript may pass
  const [any, make, write] = [model as any, kerasWeights as any, writeKeras as any];
  expect(() => any.restore(5)).toThrow(/restore takes an optimizer, or options\. Received: 5/);
  expect(() => any.with()).toThrow(/with takes one object of options/);
  expect(() => any.with({ variables: 5 })).toThrow(/variables of with must be a list/);
  expect(() => any.with({ optimiser: 5 })).toThrow(/Did you mean optimizer\?/);
  expect(() => make()).toThrow(/kerasWeights takes one object of options/);
  expect(() => make({ variables: [5] })).toThrow(/variables of kerasWeights must be variables/);
  expect(() => write(5, "keras")).toThrow(/writeKeras takes a model\. Received: 5/);
});

test("all of a .keras file but weights and optimizer is left as it was written", async () => {
  const { unzipSync, strFromU8 } = await import("fflate");
  const path = `${FOLDER}/keras-average.keras`;
  const model = await readKeras(path);
  const { optimizer, variables } = model.restore({ learningRate: 1 });
  const [before, after] = [readFileSync(path), await writeKeras(model.with({ optimizer, variables }), "keras")].map((bytes) =>
    unzipSync(bytes),
  );
  expect(Object.keys(after!)).toEqual(Object.keys(before!));
  expect(after!["metadata.json"]).toEqual(before!["metadata.json"]);
  const [old, changed] = [before, after].map((files) => strFromU8(files!["config.json"]!));
  const optimizerOf = /"optimizer": \{.*?\}(?=, "loss")/;
  expect(changed!.replace(optimizerOf, "")).toBe(old!.replace(optimizerOf, ""));
  expect(changed).toContain('"learning_rate": 1.0'); // Keras refuses to compute with an integer
});

test("state of a legacy optimizer, which lists one slot of every variable and then the other, is written back as it was read", async () => {
  const model = await read("tf_keras-legacy.h5");
  const names = model.optimizer!.state.map(({ name }) => name);
  expect(names.slice(0, 5)).toEqual(["iteration", ...slotsOf("first/kernel"), ...slotsOf("first/bias")]);
  const listed = async (bytes: Uint8Array) => {
    const contents = await readHdf5(bytes, "the file");
    const paths = [...contents.get("optimizer_weights")!.attributes.get("weight_names")!.value];
    return paths.map((path) => [path, contents.get(`optimizer_weights/${path}`)!.dataset!.value]);
  };
  const before = await listed(new Uint8Array(readFileSync(`${FOLDER}/tf_keras-legacy.h5`)));
  expect(before[1]![0]).toBe("Adamax/first/kernel/m:0");
  expect(before[2]![0]).toBe("Adamax/first/bias/m:0");
  expect(await listed(await writeKeras(model, "h5"))).toEqual(before);
});
const slotsOf = (variable: string): string[] => [`momentum/${variable}`, `norm/${variable}`];

test("tuples of Python, as a SavedModel marks them, are lists", async () => {
  const files = unzipSync(new Uint8Array(readFileSync(`${FOLDER}/keras-plain.keras`)));
  const json = JSON.parse(strFromU8(files["config.json"]!));
  const tuple = (...items: number[]) => ({ class_name: "__tuple__", items });
  const config = { boundaries: tuple(5, 9), values: tuple(0.5, 0.25, 0.125), name: null };
  json.compile_config.optimizer.config.learning_rate = { class_name: "PiecewiseConstantDecay", config };
  const edited = zipSync({ ...files, "config.json": strToU8(JSON.stringify(json)) }, { level: 0 });
  const { optimizer } = (await readKeras(edited)).restore(); // after 7 steps
  expect(optimizer.learningRate).toBe(0.25);
});

test("restore refuses what it would pass over, and an optimizer that has variables", async () => {
  const model = await read("keras-plain.keras");
  for (const given of [[], new Map([["learningRate", 0.1]]), 5])
    expect(() => model.restore(given as never)).toThrow("restore takes an optimizer, or options. Received: ");
  const { optimizer } = model.restore();
  expect(() => model.restore(optimizer)).toThrow(
    /without variables, since it makes them\. Received: one that trains 7\. Make a new/,
  );
});

test("a learning rate that is given wins over the one in the state", async () => {
  const model = await read("keras-plain.keras");
  const { optimizer } = model.restore({ learningRate: 0.5 });
  expect(optimizer.learningRate).toBe(0.5);
  expect(optimizer.iterations).toBe(calls);
  const { learningRate } = model.restore().optimizer;
  expect(model.restore({ learningRate: undefined } as never).optimizer.learningRate).toBe(learningRate);
  expect(model.restore({ learning_rate: 0.25 } as never).optimizer.learningRate).toBe(0.25);
});

test("a model that was never in a file is written as .weights.h5", async () => {
  const make = () => [
    new Variable(Float32Array.of(1, 2, 3, 4), { name: "dense/kernel", shape: [2, 2] }),
    new Variable(Float32Array.of(0, 0), { name: "dense/bias", shape: [2] }),
  ];
  const variables = make();
  const optimizer = new Adamax({ learningRate: 0.25, useEma: true });
  optimizer.build(variables);
  train(optimizer, 3);
  const bytes = await writeKeras(kerasWeights({ variables, optimizer }), "weights.h5");
  const again = (await readKeras(bytes)).restore(new Adamax({ learningRate: 0.25, useEma: true }));
  train(optimizer, 3);
  train(again.optimizer, 3);
  expect(again.variables.map(({ name, value }) => [name, value])).toEqual(variables.map(({ name, value }) => [name, value]));
  expect(again.optimizer.variables).toEqual(optimizer.variables);
});

test("state that has names is taken at its word: averages are never read as the momentum of another variable", () => {
  const [a, b, c] = ["a", "b", "c"].map((name) => new Variable(Float32Array.of(1, 2), { name }));
  const optimizer = new Adamax({ learningRate: 0.01, useEma: true });
  optimizer.applyGradients([
    [Float32Array.of(1, 1), a!],
    [Float32Array.of(1, 1), b!],
  ]);
  const model = kerasWeights({ variables: [a!, b!, c!], optimizer }); // two averages and four slots: as many as the slots of three
  expect(() => model.restore(new Adamax({ learningRate: 0.01 }))).toThrow("useEma");
  const again = model.restore(new Adamax({ learningRate: 0.01, useEma: true }));
  expect(again.optimizer.saveOwnVariables()).toEqual(optimizer.saveOwnVariables());
});

test("the weights of a .keras file can be taken out as .weights.h5", async () => {
  const model = await read("keras-average.keras");
  const taken = await readKeras(await writeKeras(model, "weights.h5"));
  const { optimizer } = taken.restore(new Adamax(optionsOf("keras-average")));
  expect(optimizer.saveOwnVariables()).toEqual(model.restore().optimizer.saveOwnVariables());
});

test("time counts that a reader has had a processor, and not what it waited for one", async () => {
  const waiting = readKeras(`${FOLDER}/keras-plain.h5`, {
    timeLimit: 300,
    workerUrl: new URL("./late-worker.mjs", import.meta.url),
  });
  await expect(waiting).rejects.toThrow("cannot be read as HDF5. Received: late");
});

test("a reader that hangs is stopped at its time limit", async () => {
  const began = performance.now();
  const hanging = readKeras(`${FOLDER}/keras-plain.h5`, {
    timeLimit: 300,
    workerUrl: new URL("./hanging-worker.mjs", import.meta.url),
  });
  await expect(hanging).rejects.toThrow("takes too long");
  expect(performance.now() - began).toBeLessThan(20_000); // most of it, where cores are busy, until its worker has begun
});
