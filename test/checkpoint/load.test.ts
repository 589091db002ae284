/** What does not fit is refused, by name, before anything is touched. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Adamax, type AdamaxOptions, CheckpointError, defineRule, Optimizer, OptionError, schedules, Variable } from "adamax";
import { checkpointBlob, inspectCheckpoint, loadCheckpoint, saveCheckpoint } from "adamax/checkpoint";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { folder, rejection, trained } from "./helpers.js";
import { everything, makeVariables, SHAPES, type Shapes, train } from "./steps.js";

beforeEach(() => void vi.spyOn(console, "warn").mockImplementation(() => {}));
afterEach(() => vi.restoreAllMocks());

const saved = (options: AdamaxOptions = {}, steps = 3) => checkpointBlob({ optimizer: trained(options, steps).optimizer });

/** Loading `blob` into this must fail, and leave it as it is. Returns what the error says. */
const refusal = async (blob: Blob, options: AdamaxOptions, shapes: Shapes = SHAPES, more: object = {}): Promise<string> => {
  const { optimizer, variables } = trained(options, 2, shapes);
  const before = everything(optimizer, variables);
  const error = await rejection(loadCheckpoint(blob, { optimizer, ...more }));
  expect(error).toBeInstanceOf(CheckpointError);
  expect(everything(optimizer, variables)).toEqual(before);
  train(optimizer, variables, 2, 3); // still usable
  return error.message;
};

describe("a mismatch leaves the optimizer as it was, and lists what differs", () => {
  test("shape, dtype, a missing and an additional variable", async () => {
    const message = await refusal(
      await saved(),
      {},
      { "dense/kernel": { shape: [5, 3] }, "dense/bias": { shape: [5], dtype: "float64" }, other: { shape: [2] } },
    );
    expect(message).toContain("variables/dense/kernel: F32 [3,5] in the file, F32 [5,3] here");
    expect(message).toContain("optimizer/norm/dense/bias: F32 [5] in the file, F64 [5] here");
    expect(message).toContain("variables/other: F32 [2] here, missing in the file");
    expect(message).toContain("variables/scale: F64 [] in the file, missing here");
  });

  const base: AdamaxOptions = { useEma: true };
  test.each<[string, AdamaxOptions, string]>([
    ["beta1", { beta1: 0.8 }, "beta_1: 0.9 in the file, 0.8 here"],
    ["beta2", { beta2: 0.8 }, "beta_2: 0.999 in the file, 0.8 here"],
    ["epsilon", { epsilon: 1e-3 }, "epsilon: 1e-7 in the file, 0.001 here"],
    ["weightDecay", { weightDecay: 0.5 }, "weight_decay: null in the file, 0.5 here"],
    ["clipnorm", { clipnorm: 1 }, "clipnorm: null in the file, 1 here"],
    ["clipvalue", { clipvalue: 1 }, "clipvalue: null in the file, 1 here"],
    ["globalClipnorm", { globalClipnorm: 1 }, "global_clipnorm: null in the file, 1 here"],
    ["useEma", { useEma: false }, "optimizer/average/scale: F64 [] in the file, missing here"],
    ["emaMomentum", { emaMomentum: 0.5 }, "ema_momentum: 0.99 in the file, 0.5 here"],
    ["emaOverwriteFrequency", { emaOverwriteFrequency: 2 }, "ema_overwrite_frequency: null in the file, 2 here"],
    ["emaStart", { emaStart: "firstStep" }, 'ema_start: null in the file, "firstStep" here'],
    ["lossScaleFactor", { lossScaleFactor: 2 }, "loss_scale_factor: null in the file, 2 here"],
    ["gradientAccumulationSteps", { gradientAccumulationSteps: 2 }, "gradient_accumulation_steps: null in the file, 2 here"],
    [
      "groups",
      { groups: [{ names: ["bias"], learningRateMultiplier: 2 }] },
      "learning rate multiplier of dense/bias: 1 in the file, 2 here",
    ],
    ["a group's decay", { groups: [{ names: ["bias"], weightDecay: 2 }] }, "weight decay of dense/bias: 0 in the file, 2 here"],
    [
      "a schedule",
      { learningRate: new schedules.CosineDecay({ initialLearningRate: 1, decaySteps: 9 }) },
      "learning_rate: 0.001 in the file, CosineDecay",
    ],
    ["a function", { learningRate: () => 0.1 }, "learning_rate: 0.001 in the file, a function here"],
  ])("%s", async (_, options, expected) => {
    expect(await refusal(await saved(base), { ...base, ...options })).toContain(expected);
  });

  test("what is excluded from weight decay", async () => {
    const optimizer = new Adamax({ weightDecay: 0.1 });
    optimizer.excludeFromWeightDecay({ names: ["bias"] });
    optimizer.build(makeVariables());
    expect(await refusal(await checkpointBlob({ optimizer }), { weightDecay: 0.1 })).toContain(
      "weight decay of dense/bias: 0 in the file, 0.1 here",
    );
  });

  test("the order of variables, in which norms are summed", async () => {
    const { scale, ...others } = SHAPES;
    expect(await refusal(await saved(), {}, { scale: scale!, ...others })).toContain(
      "build order: dense/kernel in the file, scale here, at place 1",
    );
  });

  test("another class of optimizers", async () => {
    class Other extends Optimizer {
      static override readonly rule = defineRule({
        name: "Other",
        slots: ["momentum"],
        hyperparameters: {},
        update: ({ w, g, momentum }, { learningRate }) => ({ w: w.sub(g.mul(learningRate)), momentum }),
      });
    }
    const error = await rejection(loadCheckpoint(await saved(), { optimizer: Other }));
    expect(error.message).toContain("class: Adamax in the file, Other was asked for");
  });
});

describe("what a file cannot hold must be supplied again", () => {
  test("a learning rate that is a function", async () => {
    const blob = await saved({ learningRate: () => 0.1 });
    expect(await refusal(blob, {})).toContain("learning_rate: a function in the file, 0.001 here");
    const error = await rejection(loadCheckpoint(blob, { optimizer: Adamax }));
    expect(error.message).toContain("learning_rate: a function in the file");
    const { optimizer } = await loadCheckpoint(blob, { optimizer: Adamax, options: { learningRate: () => 0.25 } });
    expect([optimizer.learningRate, optimizer.iterations]).toEqual([0.25, 3]);
    optimizer.dispose();
  });

  test.each([() => 0.1, new schedules.CosineDecay({ initialLearningRate: 1, decaySteps: 9 })])(
    "a learning rate of another kind may be given in its place: a number for %s",
    async (learningRate) => {
      const blob = await saved({ learningRate });
      const { optimizer } = await loadCheckpoint(blob, { optimizer: Adamax, options: { learningRate: 0.25 } });
      expect([optimizer.learningRate, optimizer.iterations]).toEqual([0.25, 3]);
      optimizer.dispose();
    },
  );

  test("constraints, each by the name of its variable", async () => {
    const nonNegative = (value: Float32Array | Float64Array) => value.map((one) => Math.max(0, one));
    const make = (constraint?: typeof nonNegative) =>
      new Variable(Float32Array.of(1, 2), { name: "w", ...(constraint ? { constraint } : {}) });
    using optimizer = new Adamax();
    optimizer.build([make(nonNegative)]);
    const blob = await checkpointBlob({ optimizer });
    using other = new Adamax();
    const error = await rejection(loadCheckpoint(blob, { optimizer: other, variables: [make()] }));
    expect(error.message).toContain("constraint of w: one in the file");
    expect((await rejection(loadCheckpoint(blob, { optimizer: Adamax }))).message).toContain("constraint of w: one in the file");
    expect((await rejection(loadCheckpoint(blob, { optimizer: Adamax, constraints: { v: nonNegative } }))).message).toContain(
      "constraint of v: no such variable",
    );
    using loaded = (await loadCheckpoint(blob, { optimizer: Adamax, constraints: { w: nonNegative } })).optimizer;
    expect(loaded.trainableVariables[0]!.constraint).toBe(nonNegative);
  });
});

describe("a part is loaded when it is asked for by name", () => {
  const grown: Shapes = { ...SHAPES, "head/kernel": { shape: [4] } };
  const { scale: _, ...pruned } = SHAPES;

  test("a grown model: what is only here keeps its value and begins anew", async () => {
    const { optimizer, variables } = trained({ useEma: true }, 3);
    const blob = await checkpointBlob({ optimizer });
    const fresh = makeVariables(grown, 7);
    const head = fresh.at(-1)!.value.slice();
    using other = new Adamax({ useEma: true });
    await loadCheckpoint(blob, { optimizer: other, variables: fresh, onlyHere: ["head/kernel"] });
    expect([...fresh.at(-1)!.value]).toEqual([...head]);
    expect([...other.variables.find(({ name }) => name === "Adamax/average/head/kernel")!.value]).toEqual([...head]);
    expect([...fresh[0]!.value]).toEqual([...variables[0]!.value]);
    expect([other.iterations, other.trainableVariables.length]).toEqual([3, 4]);
  });

  test("a pruned model: what is only in the file is left out", async () => {
    const { optimizer, variables } = trained({}, 0, pruned);
    await loadCheckpoint(await saved(), { optimizer, onlyInFile: ["scale"] });
    expect(optimizer.iterations).toBe(3);
    expect([...variables[0]!.value]).toEqual([...trained({}, 3).variables[0]!.value]);
  });

  test("a layer of another size: named on both sides", async () => {
    const { optimizer, variables } = trained({}, 0, { ...SHAPES, "dense/bias": { shape: [9] } });
    const bias = variables[1]!.value.slice();
    await loadCheckpoint(await saved(), { optimizer, onlyHere: ["dense/bias"], onlyInFile: [/^dense\/bias$/] });
    expect([...variables[1]!.value]).toEqual([...bias]);
  });

  test("averages that are new begin with the values that are loaded", async () => {
    using optimizer = new Adamax({ useEma: true });
    const variables = makeVariables(SHAPES, 9);
    await loadCheckpoint(await saved(), { optimizer, variables, onlyHere: [/^optimizer\/average\//], settings: "mine" });
    const average = optimizer.variables.find(({ name }) => name === "Adamax/average/dense/kernel")!.value;
    expect([...average]).toEqual([...variables[0]!.value]);
  });

  test("what is only here begins anew also where steps were made before", async () => {
    const options = { useEma: true, gradientAccumulationSteps: 2 };
    const { optimizer, variables } = trained(options, 5, grown); // a window is open
    const head = variables.at(-1)!.value.slice();
    const more = { settings: "mine", onlyHere: ["head/kernel", /^optimizer\/(average|accumulator)\//] } as const;
    await loadCheckpoint(await saved({}, 2), { optimizer, ...more });
    const fresh = trained(options, 0, grown);
    await loadCheckpoint(await saved({}, 2), { optimizer: fresh.optimizer, ...more });
    fresh.variables.at(-1)!.value.set(head);
    fresh.optimizer.resetAverages();
    for (const one of [{ optimizer, variables }, fresh]) train(one.optimizer, one.variables, 6, 9);
    expect([...variables.at(-1)!.value]).not.toEqual([...head]);
    expect(everything(optimizer, variables)).toEqual(everything(fresh.optimizer, fresh.variables));
  });

  test("a name that names nothing is an error", async () => {
    expect(await refusal(await saved(), {}, SHAPES, { onlyHere: ["hed/kernel"] })).toContain(
      'onlyHere: nothing is called "hed/kernel"',
    );
    expect(await refusal(await saved(), {}, SHAPES, { onlyInFile: [/nothing/] })).toContain("onlyInFile: nothing is called");
  });

  test("settings that are mine stay, and the learning rate with them", async () => {
    const { optimizer } = trained({ beta1: 0.5, learningRate: 0.5 }, 0);
    await loadCheckpoint(await saved({ learningRate: 0.1 }), { optimizer, settings: "mine" });
    expect([optimizer.learningRate, optimizer.iterations]).toEqual([0.5, 3]);
  });

  test("another number of micro-batches keeps the updates, unless a window is open", async () => {
    const { optimizer } = trained({ gradientAccumulationSteps: 3 }, 0);
    await loadCheckpoint(await saved({}, 4), { optimizer, settings: "mine", onlyHere: [/^optimizer\/accumulator\//] });
    expect(optimizer.iterations).toBe(4);
    const message = await refusal(await saved({ gradientAccumulationSteps: 2 }, 3), { gradientAccumulationSteps: 3 }, SHAPES, {
      settings: "mine",
    });
    expect(message).toContain("gradient_accumulation_steps: 2 in the file, saved after 1 of them; 3 here");
  });
});

test("an option that is undefined is not given: the file's stays; either spelling wins over it", async () => {
  const w = new Variable(Float32Array.of(1), { name: "w" });
  const groups = [{ variables: [w], learningRateMultiplier: 0 }];
  const optimizer = new Adamax({ learningRate: 0.5, beta1: 0.5, groups });
  optimizer.applyGradients([[Float32Array.of(1), w]]);
  const blob = await checkpointBlob({ optimizer });
  const load = async (options: object) => (await loadCheckpoint(blob, { optimizer: Adamax, options })).optimizer;
  const same = await load({ learningRate: undefined, beta1: undefined, groups: undefined });
  expect([same.learningRate, same.hyperparameters.beta1]).toEqual([0.5, 0.5]);
  same.applyGradients([[Float32Array.of(1), same.trainableVariables[0]!]]);
  expect(same.trainableVariables[0]!.value[0]).toBe(1);
  expect((await load({ learningRate: 0.25 })).learningRate).toBe(0.25);
  expect((await load({ learning_rate: 0.25 })).learningRate).toBe(0.25);
  await expect(load({ learningRate: undefined, decay: 1 })).rejects.toThrow("Keras removed it");
});

test("a setting of -0 is saved as 0", async () => {
  const learningRate = new schedules.CosineDecay({ initialLearningRate: 0.1, decaySteps: 5, alpha: -0 });
  for (const options of [{ learningRate: -0, weightDecay: -0, epsilon: -0, beta1: -0 }, { learningRate }]) {
    const { optimizer, variables } = trained(options, 1);
    const blob = await checkpointBlob({ optimizer });
    const loaded = await loadCheckpoint(blob, { optimizer: Adamax });
    expect(everything(loaded.optimizer, [...loaded.variables.values()])).toEqual(everything(optimizer, variables));
    await loadCheckpoint(blob, { optimizer }); // nothing differs
  }
});

test.each([
  ["shrunk", (buffer: ArrayBuffer) => (buffer as unknown as { resize(to: number): void }).resize(4)],
  ["grown", (buffer: ArrayBuffer) => (buffer as unknown as { resize(to: number): void }).resize(16)],
  ["detached", (buffer: ArrayBuffer) => void structuredClone(0, { transfer: [buffer] })],
])("an array that was %s is neither saved nor loaded in part", async (_, change) => {
  const { optimizer } = trained({}, 1);
  const make = () => {
    const buffer = new (ArrayBuffer as unknown as new (bytes: number, options: object) => ArrayBuffer)(8, { maxByteLength: 16 });
    return { buffer, frozen: new Variable(new Float32Array(buffer).fill(7), { name: "frozen" }) };
  };
  const whole = make();
  const blob = await checkpointBlob({ optimizer, variables: [whole.frozen] });
  change(whole.buffer);
  for (const refused of [
    checkpointBlob({ optimizer, variables: [whole.frozen] }),
    loadCheckpoint(blob, { optimizer, variables: [whole.frozen] }),
  ])
    expect((await rejection(refused)).message).toMatch(/"frozen".* was resized or detached/);
  await loadCheckpoint(blob, { optimizer, variables: [make().frozen] });
});

test("a learning rate that was set by hand is restored", async () => {
  const { optimizer } = trained({ learningRate: 0.5 }, 1);
  optimizer.learningRate = 0.125;
  const { optimizer: other } = trained({ learningRate: 0.5 }, 0);
  await loadCheckpoint(await checkpointBlob({ optimizer }), { optimizer: other });
  expect(other.learningRate).toBe(0.125);
});

test("variables that are not trained, arrays, and variables of one name are saved and found again", async () => {
  const make = () =>
    [
      new Variable(Float32Array.of(1, 2)),
      new Variable(Float32Array.of(3)),
      Float32Array.of(4, 5),
      new Variable(Float32Array.of(6), { name: "statistics" }),
    ] as const;
  const [a, b, array, statistics] = make();
  using optimizer = new Adamax({ learningRate: 0.5 });
  optimizer.applyGradients([
    [Float32Array.of(1, 1), a],
    [Float32Array.of(1), b],
    [Float32Array.of(1, 1), array],
  ]);
  const blob = await checkpointBlob({ optimizer, variables: [statistics, array] });
  const fresh = [...make()];
  for (const one of fresh) (one instanceof Variable ? one.value : one).fill(0);
  using other = new Adamax({ learningRate: 0.5 });
  const { variables } = await loadCheckpoint(blob, { optimizer: other, variables: fresh });
  expect([...variables.keys()]).toEqual(["variable", "variable#2", "variable_2", "statistics"]);
  expect(fresh.map((one) => [...(one instanceof Variable ? one.value : one)])).toEqual(
    [a, b, array, statistics].map((one) => [...(one instanceof Variable ? one.value : one)]),
  );
  other.applyGradients([[Float32Array.of(1, 1), fresh[2]!]]); // the array itself is trained
});

test("state of one's own, of addVariable, is saved and must be there again", async () => {
  const { optimizer } = trained({}, 1);
  optimizer.addVariable({ shape: [2], name: "mine" }).value.set([1, 2]);
  const blob = await checkpointBlob({ optimizer });
  expect(await refusal(blob, {})).toContain("optimizer/added/Adamax/mine: F32 [2] in the file, missing here");
  const { optimizer: other } = trained({}, 0);
  const mine = other.addVariable({ shape: [2], name: "mine" });
  await loadCheckpoint(blob, { optimizer: other });
  expect([...mine.value]).toEqual([1, 2]);
});

describe("saving", () => {
  test("a user's JSON comes back; what JSON cannot hold is refused by its place", async () => {
    const { optimizer } = trained({}, 1);
    const user = { epoch: 3, random: [1, 2, { state: "a" }], done: false, nothing: null };
    expect((await loadCheckpoint(await checkpointBlob({ optimizer, user }), { optimizer })).user).toEqual(user);
    for (const [value, place] of [
      [{ a: [1, NaN] }, "user.a[1]"],
      [{ f: () => 0 }, "user.f"],
      [{ d: new Date() }, "user.d"],
      [{ u: undefined }, "user.u"],
      [JSON.parse('{"__proto__":1}'), "user"],
    ] as const)
      expect((await rejection(checkpointBlob({ optimizer, user: value }))).message).toContain(`${place} must be JSON`);
    const circle: unknown[] = [];
    circle.push(circle);
    expect(await rejection(checkpointBlob({ optimizer, user: circle }))).toBeInstanceOf(OptionError);
  });

  test("a step in the middle is an error, and the old checkpoint stays", async () => {
    const file = join(folder(), "model.safetensors");
    const { optimizer, variables } = trained({}, 1);
    await saveCheckpoint(file, { optimizer });
    const before = readFileSync(file);
    const saving = saveCheckpoint(file, { optimizer });
    train(optimizer, variables, 1, 2);
    expect((await rejection(saving)).message).toContain("Variables or state were changed while they were being saved");
    expect(readFileSync(file)).toEqual(before);
  });

  test("the state of a step that broke off, and averages in place of values, are not saved", async () => {
    const { optimizer } = trained({ useEma: true }, 1);
    optimizer.swapAverages();
    expect((await rejection(checkpointBlob({ optimizer }))).message).toContain("The variables hold their averages");
  });

  test("a signal breaks it off", async () => {
    const { optimizer } = trained({}, 1);
    expect((await rejection(checkpointBlob({ optimizer, signal: AbortSignal.abort() }))).name).toBe("AbortError");
  });

  test("progress goes from 0 to the size of the file; twice when loading", async () => {
    const { optimizer } = trained({}, 1, { w: { shape: [2 ** 20] } }); // 12 MiB with m and u
    const saving: number[] = [];
    const blob = await checkpointBlob({ optimizer, onProgress: ({ bytes, total }) => void saving.push(bytes / total) });
    const loading: number[] = [];
    await loadCheckpoint(blob, { optimizer, onProgress: ({ bytes, total }) => void loading.push(bytes / total) });
    expect([saving.length > 3, saving.at(-1), saving.toSorted((a, b) => a - b)]).toEqual([true, 1, saving]);
    expect(loading.filter((part) => part === 1)).toHaveLength(2);
  });

  test("a stream gets the bytes of the file", async () => {
    const { optimizer } = trained({}, 2);
    const parts: Uint8Array[] = [];
    await saveCheckpoint(new WritableStream({ write: (part) => void parts.push(part) }), { optimizer });
    expect(Buffer.concat(parts)).toEqual(Buffer.from(await (await checkpointBlob({ optimizer })).arrayBuffer()));
  });
});

describe("files", () => {
  test("a damaged tensor is named, and nothing is loaded", async () => {
    const bytes = new Uint8Array(await (await saved()).arrayBuffer());
    const { tensors } = await inspectCheckpoint(bytes);
    const norm = tensors.find(({ name }) => name === "optimizer/norm/dense/bias")!;
    bytes[norm.begin + 3]! ^= 0x10;
    expect(await refusal(new Blob([bytes]), {})).toContain(
      "is damaged. Received: other checksums for optimizer/norm/dense/bias. Use another copy",
    );
    expect((await rejection(inspectCheckpoint(bytes, { verify: true }))).message).toContain("is damaged");
  });

  test("another safetensors file, another file, no file", async () => {
    const { optimizer } = trained({}, 0);
    const header = Buffer.from('{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.padEnd(56));
    const plain = Buffer.concat([Buffer.from([header.length, 0, 0, 0, 0, 0, 0, 0]), header, Buffer.alloc(4)]);
    expect((await rejection(loadCheckpoint(plain, { optimizer }))).message).toContain("is not a checkpoint of this library");
    expect((await rejection(loadCheckpoint(Buffer.from("hello, world"), { optimizer }))).message).toContain(
      "is not a whole safetensors file",
    );
    expect((await rejection(loadCheckpoint("/nowhere/at.all", { optimizer }))).message).toContain(
      "/nowhere/at.all cannot be read",
    );
  });

  test("inspecting tells what is in it", async () => {
    const file = join(folder(), "model.safetensors");
    await saveCheckpoint(file, {
      optimizer: trained({ gradientAccumulationSteps: 2 }, 5).optimizer,
      user: "note",
      metrics: { valLoss: 0.5, loss: NaN },
    });
    const { optimizer, variables, tensors, user, metrics, bytes } = await inspectCheckpoint(file);
    expect([optimizer.className, optimizer.calls, optimizer.iterations, optimizer.config.beta_1]).toEqual(["Adamax", 5, 2, 0.9]);
    expect(variables.map(({ name }) => name)).toEqual(["dense/kernel", "dense/bias", "scale"]);
    expect([tensors.length, user, metrics, bytes]).toEqual([12, "note", { valLoss: 0.5, loss: NaN }, readFileSync(file).length]);
    writeFileSync(file, readFileSync(file).subarray(0, -1));
    expect((await rejection(inspectCheckpoint(file))).message).toContain("is not a whole safetensors file");
  });

  test("unknown options are refused", async () => {
    const { optimizer } = trained({}, 0);
    expect((await rejection(loadCheckpoint(await saved(), { optimizer, partial: true } as never))).message).toContain("partial");
    expect((await rejection(checkpointBlob({ optimizer, usr: 1 } as never))).message).toContain("Did you mean user?");
  });
});

test("names: a model that calls its variables otherwise saves and loads under the names of the file", async () => {
  const { optimizer, variables } = trained({ useEma: true });
  const renamed = variables.map(
    (one) =>
      new Variable(
        one.value.map(() => 0),
        { shape: one.shape, name: `new/${one.name}` },
      ),
  );
  const names = new Map(renamed.map((one, i) => [one, variables[i]!.name]));
  using again = new Adamax({ useEma: true });
  const loaded = await loadCheckpoint(await checkpointBlob({ optimizer }), { optimizer: again, variables: renamed, names });
  expect([...loaded.variables.keys()]).toEqual(variables.map(({ name }) => name));
  expect(renamed.map(({ value }) => value)).toEqual(variables.map(({ value }) => value));
  const { tensors } = await inspectCheckpoint(await checkpointBlob({ optimizer: again, names }));
  expect(tensors).toEqual((await inspectCheckpoint(await checkpointBlob({ optimizer }))).tensors);
});

test.each<[unknown, string]>([
  [{ verfy: true }, "Did you mean verify?"],
  [{ verify: 1 }, "verify of inspectCheckpoint must be true or false"],
  [null, "inspectCheckpoint takes one object of options. Received: null"],
])("inspectCheckpoint with %j is refused", async (options, message) => {
  const error = await rejection(inspectCheckpoint(await saved(), options as never));
  expect(error).toBeInstanceOf(OptionError);
  expect(error.message).toContain(message);
});
