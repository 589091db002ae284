/** What would change weights or state without a word is refused, or said. */

import { Adamax, CheckpointError, OptionError, type SavedState, ShapeError, schedules, Variable } from "adamax";
import { describe, expect, test } from "vitest";
import { DTYPES, f32, nearTest, read, save, step, thrown, variable, warnings } from "./helpers.js";

// biome-ignore lint/suspicious/noExplicitAny: what JavaScript may pass
type Any = any;

describe("a number that float32 cannot hold", () => {
  test.each([
    [{ clipnorm: 1e39 }, "clipnorm of Adamax must be a finite number above 0", "clipnorm=1e+39, in float32 Infinity"],
    [{ globalClipnorm: Number.MAX_VALUE }, "globalClipnorm of Adamax", "in float32 Infinity"],
    [{ clipvalue: 1e-50 }, "clipvalue of Adamax must be a finite number above 0", "in float32 0"],
    [{ weightDecay: 1e39 }, "weightDecay of Adamax", "in float32 Infinity"],
    [{ lossScaleFactor: 1e-46 }, "lossScaleFactor of Adamax", "in float32 0"],
    [{ beta1: 0.99999999999 }, "beta1 of Adamax must be a finite number in [0, 1)", "in float32 1"],
    [{ epsilon: 1e300 }, "epsilon of Adamax", "in float32 Infinity"],
    [{ groups: [{ names: ["w"], weightDecay: 1e39 }] }, "weightDecay of Adamax", "in float32 Infinity"],
  ])("%o: refused for a float32 variable, taken for a float64 one", (options, wrong, received) => {
    using optimizer = new Adamax(options);
    const w = variable([1]);
    const error = thrown(() => optimizer.build([w]));
    expect(error).toBeInstanceOf(OptionError);
    expect(error.message).toContain(wrong);
    expect(error.message).toContain(received);
    expect([w.owner, optimizer.trainableVariables]).toEqual([null, []]);
    if (DTYPES.includes("float64")) optimizer.build([new Variable(Float64Array.of(1), { name: "w" })]);
  });

  test.each([1e39, -1, "0.1", undefined])("is no rate either, from a function: %s", async (rate) => {
    using optimizer = new Adamax({ learningRate: () => rate as number });
    const w = variable([1]);
    expect(() => optimizer.applyGradients([[f32(1), w]])).toThrow(
      /learningRate of Adamax must be a finite number of 0 or more that float32 holds\. Received: .* from a function \(learningRate\)\. Give such/,
    );
    expect(await read(w)).toEqual([1]);
  });
});

// TypeScript's library for ES2023 does not have it yet.
const Resizable = ArrayBuffer as unknown as new (
  bytes: number,
  options: { maxByteLength: number },
) => ArrayBuffer & { resize(bytes: number): void };
const makeResizable = () => {
  const buffer = new Resizable(16, { maxByteLength: 32 });
  return { buffer, w: new Variable(new Float32Array(buffer), { name: "w", adopt: false }) };
};

nearTest("an array of the caller's that changes its length before build is refused", () => {
  const { buffer, w } = makeResizable();
  buffer.resize(8);
  using optimizer = new Adamax();
  const error = thrown(() => optimizer.build([w]));
  expect(error).toBeInstanceOf(ShapeError);
  expect(error.message).toMatch(
    /The array of variable "w" .* was resized or detached\. Received: 2 elements\. Make a new variable/,
  );
});

nearTest.each([32, 8])(
  "an array of the caller's that changes its length to %d bytes between steps is refused, and no step is made",
  (bytes) => {
    const { buffer, w } = makeResizable();
    using optimizer = new Adamax();
    optimizer.applyGradients([[f32(1, 1, 1, 1), w]]);
    buffer.resize(bytes);
    expect(thrown(() => optimizer.applyGradients([[f32(1, 1, 1, 1), w]])).message).toMatch(/was resized or detached/);
    expect(optimizer.iterations).toBe(1);
  },
);

describe("a pattern that means nobody", () => {
  test("is said once, with the names that there are", () => {
    const warned = warnings();
    using optimizer = new Adamax({
      weightDecay: 0.1,
      groups: [{ names: ["kernle"], learningRateMultiplier: 2 }, { names: ["bias$"] }],
    });
    optimizer.excludeFromWeightDecay({ names: [/bais/] });
    const pairs = ["kernel", "bias"].map((name) => [f32(1), variable([1], name)] as const);
    for (let i = 0; i < 3; i++) optimizer.applyGradients(pairs);
    expect(warned).toEqual(['adamax: no variable matches kernle, /bais/. There are "kernel", "bias".']);
  });
});

test.each<[unknown, RegExp]>([
  ["w", /Variable takes one object of options\. Received: "w"/],
  [null, /Variable takes one object of options/],
  [{ nmae: "w" }, /Variable has no such option\. Received: nmae="w"\. Did you mean name\?/],
  [{ name: 5 }, /name of Variable must be a string\. Received: name=5/],
  [{ shape: 1 }, /shape of Variable must be an array, each element an integer of 0 or more\. Received: shape=1/],
  [{ adopt: "no" }, /adopt of Variable must be true or false/],
  [{ constraint: "nonNeg" }, /constraint of Variable must be a function, such as constraints\.nonNeg\(\)/],
  [{ layout: 5 }, /layout of Variable must be an object/],
])("a variable with %j is refused", (options, message) => {
  expect(() => new Variable(f32(1), options as object)).toThrow(message);
});

test.each<[string, () => unknown, string]>([
  ["Adamax", () => new Adamax([["learningRate", 0.1]] as never), '[["learningRate", 0.1]]'],
  ["Adamax", () => new Adamax(new Map([["learningRate", 0.1]]) as never), "an object (Map)"],
  ["Variable", () => new Variable(f32(1), [3] as never), "[3]"],
  ["CosineDecay", () => new schedules.CosineDecay([0.1, 10] as never), "[0.1, 10]"],
  ["excludeFromWeightDecay", () => (new Adamax().excludeFromWeightDecay as Any)([], ["bias"]), "[]"],
])("%s: options in a list or a Map, whose contents would be passed over, are refused", (owner, act, arrived) => {
  const error = thrown(act);
  expect(error).toBeInstanceOf(OptionError);
  expect(error.message).toContain(`${owner} takes one object of options. Received: ${arrived}`);
});

test.each([
  [{ var_list: [] }, "var_list=[]. Did you mean variables?"],
  [{ varNames: ["bias"] }, 'varNames=["bias"]. Did you mean names?'],
])("excludeFromWeightDecay by Keras' names: %j", (selection, hint) => {
  expect(() => new Adamax().excludeFromWeightDecay(selection as never)).toThrow(hint);
});

test("a schedule that says no rate is refused at the door", () => {
  // @ts-expect-error: what JavaScript may write
  class Warmup extends schedules.LearningRateSchedule {
    call = () => 0.1;
    getConfig = () => ({});
  }
  const wrong = /learningRate of Adamax must be .* or a schedule with at\(step\) or a function\. Received: .*Warmup/;
  const warmup = new Warmup();
  expect(() => new Adamax({ learningRate: warmup })).toThrow(wrong);
  expect(() => {
    new Adamax().learningRate = warmup;
  }).toThrow(wrong);
});

test("iterations are refused where the calls that they stand for are no safe integer", () => {
  using optimizer = new Adamax({ gradientAccumulationSteps: 4 });
  expect(() => {
    optimizer.iterations = 2 ** 52;
  }).toThrow(/iterations of Adamax must be an integer/);
  optimizer.iterations = 2 ** 50;
  expect(optimizer.iterations).toBe(2 ** 50);
});

describe("a list without names, of one variable of one element", () => {
  const make = (options = {}) => {
    const optimizer = new Adamax({ learningRate: 0.01, ...options });
    optimizer.applyGradients([[f32(5), variable([5])]]);
    return optimizer;
  };
  /** As it comes back from a file. */
  const plain = (saved: object) => JSON.parse(JSON.stringify(Object.values(saved).map((array) => Array.from(array, Number))));

  test("is not guessed: an average is not taken for a learning rate, nor the reverse", async () => {
    const [rate, average] = [make(), make({ useEma: true })];
    const ofRate = plain(await save(rate, "keras"));
    const ofAverage = plain(await save(average));
    for (const [optimizer, list] of [
      [rate, ofAverage],
      [average, ofRate],
      [average, ofAverage],
    ] as const) {
      const error = thrown(() => optimizer.setWeights(list));
      expect(error).toBeInstanceOf(CheckpointError);
      expect(error.message).toMatch(/may be a learning rate .* Received: 4 arrays\. Say which order/);
    }
    expect([rate.learningRate, average.learningRate]).toEqual([0.01, 0.01]);
  });

  test("in tf_keras' order has no learning rate", async () => {
    const [rate, average] = [make(), make({ useEma: true })];
    const list = plain(await save(average));
    expect(() => rate.setWeights(list, "tf_keras")).toThrow(/must have 3 arrays.* Received: 4\. Build/);
    expect(rate.learningRate).toBe(0.01);
  });

  test.each([
    [{ useEma: true }, {}, "momentum, norm. Received: average, momentum, norm"],
    [{}, { useEma: true }, "average, momentum, norm. Received: momentum, norm"],
    [{ gradientAccumulationSteps: 2 }, { useEma: true }, "average, momentum, norm. Received: accumulator, momentum, norm"],
    [{ useEma: true }, { gradientAccumulationSteps: 2 }, "accumulator, momentum, norm. Received: average, momentum, norm"],
  ])(
    "that was saved with %j does not fit %j, as long as it knows itself, in either order and of any size",
    async (from, into, message) => {
      const [saved, other] = [make(from), make(into)];
      for (const order of ["tf_keras", "keras"] as const)
        for (const said of [undefined, order]) {
          const list = await save(saved, order);
          expect(() => other.loadOwnVariables(list, said)).toThrow(`The state must be ${message}. Build with`);
        }
      expect(other.learningRate).toBe(0.01);
    },
  );

  test("is read in the order that is said, or that it still knows itself", async () => {
    const average = make({ useEma: true });
    average.setWeights(plain(await save(average)), "tf_keras");
    average.loadOwnVariables(await save(average));
    average.loadOwnVariables(await save(average, "keras"));
    expect(average.learningRate).toBe(0.01);
  });
});

test("state of numbers that float32 cannot hold is refused by name; infinities are what they are", () => {
  using optimizer = new Adamax();
  optimizer.build([variable([1, 2])]);
  const load = (momentum: SavedState[string]) => optimizer.loadOwnVariables({ 0: [1], 1: momentum, 2: [1, 1] }, "tf_keras");
  for (const momentum of [[1, 1e39], Float64Array.of(-1e300, 0)])
    expect(() => load(momentum)).toThrow(
      /^Adamax\/momentum\/\S+ must be float32 numbers\. Received: (\[1, 1e\+39\]|Float64Array of length 2)\./,
    );
  expect(optimizer.iterations).toBe(0);
  load([Infinity, 0.1]);
  expect(optimizer.iterations).toBe(1);
  if (!DTYPES.includes("float64")) return;
  using exact = new Adamax();
  exact.build([new Variable(new Float64Array(2))]);
  exact.loadOwnVariables({ 0: [1], 1: [1e300, 0], 2: [1, 1] }, "tf_keras");
});

test.each([null, undefined, 5])("write(%s) is refused in words", async (values) => {
  await expect(new Variable(new Float32Array(1), { name: "w" }).write(values as never)).rejects.toThrow(
    `takes 1 numbers. Received: ${values}. Write all.`,
  );
});

test.each([
  ["a text", "12"],
  ["texts", ["1", "2"]],
  ["what is like an array, and empty", { length: 2 }],
  ["big integers", [1n, 2n]],
  ["an array of big integers", BigInt64Array.of(1n, 2n)],
  ["a number beyond float32", [1e39, 0]],
  ["numbers beyond float32", Float64Array.of(-1e300, 0)],
  ["rows", [[1], [2]]],
])("write: %s is refused, and nothing is written", async (_, values) => {
  const w = variable([5, 6]);
  await expect(w.write(values as never)).rejects.toThrow(
    /\(shape \[2\], float32\) takes 2 numbers\. Received: .*\. Write all\.$/,
  );
  expect(await read(w)).toEqual([5, 6]);
  await w.write([Infinity, Number.NaN]);
  expect(await read(w)).toEqual([Infinity, Number.NaN]);
  await w.write(Int8Array.of(1, 2));
  expect(await read(w)).toEqual([1, 2]);
});

describe("iterations and schedules", () => {
  test("iterations can be set, so that a schedule starts at a step; a window of micro-batches stays as it is", () => {
    using optimizer = new Adamax({
      learningRate: new schedules.PiecewiseConstantDecay({ boundaries: [10], values: [1, 0.25] }),
      gradientAccumulationSteps: 2,
    });
    const w = variable([1]);
    optimizer.applyGradients([[f32(1), w]]);
    optimizer.iterations = 20;
    expect([optimizer.iterations, optimizer.learningRate]).toEqual([20, 0.25]);
    expect(optimizer.applyGradients([[f32(1), w]])).toBe(21);
  });

  test.each([-1, 1.5, Number.NaN, "3", 2 ** 53])("iterations = %s is refused", (value) => {
    using optimizer = new Adamax();
    expect(() => {
      optimizer.iterations = value as number;
    }).toThrow(/iterations of Adamax must be an integer of 0 or more/);
  });

  test("a schedule takes the place of a number and of a schedule, in configuration and steps from then on", async () => {
    using optimizer = new Adamax({ learningRate: 0.1 });
    optimizer.learningRate = new schedules.ExponentialDecay({ initialLearningRate: 0.5, decaySteps: 1, decayRate: 0.5 });
    optimizer.learningRate = new schedules.ExponentialDecay({ initialLearningRate: 0.25, decaySteps: 1, decayRate: 0.5 });
    const [[after]] = (await step(optimizer, [f32(1), variable([1])])) as [[number]];
    expect(after).toBeCloseTo(0.75, 5);
    using again = Adamax.fromConfig(optimizer.getConfig());
    again.iterations = 1;
    expect(again.learningRate).toBe(0.125);
  });
});

describe("averages", () => {
  test("begin anew from values that were set, where they are told to", async () => {
    using optimizer = new Adamax({ useEma: true, learningRate: 0 });
    const [a, b] = [variable([1], "a"), variable([1], "b")];
    optimizer.build([a, b]);
    await a.write([50]);
    await b.write([50]);
    optimizer.resetAverages([a]);
    optimizer.finalizeVariableValues();
    expect([await read(a), await read(b)]).toEqual([[50], [1]]);
  });

  test("become the values of the variables that are named, and of no other", async () => {
    using optimizer = new Adamax({ useEma: true });
    const [a, b] = [variable([1], "a"), variable([1], "b")];
    const [, raw] = await step(optimizer, [f32(1), a], [f32(1), b]);
    optimizer.finalizeVariableValues([a]);
    expect(await read(a)).not.toEqual(raw);
    expect(await read(b)).toEqual(raw);
    expect(() => optimizer.finalizeVariableValues([variable([1], "c")])).toThrow(/built for 2 other variables/);
  });
});

test.each<[string, (optimizer: Any) => unknown, RegExp]>([
  ["addVariable()", (optimizer) => optimizer.addVariable(), /addVariable takes one object of options/],
  ["addVariable of no shape", (optimizer) => optimizer.addVariable({ name: "x" }), /shape of addVariable must be an array/],
  ["addVariable of another shape", (optimizer) => optimizer.addVariable({ shape: 5, name: "x" }), /shape of addVariable/],
  [
    "addVariable of a dtype",
    (optimizer) => optimizer.addVariable({ shape: [1], name: "x", dtype: "int8" }),
    /"float32" or "float64"/,
  ],
  ["addVariable of no name", (optimizer) => optimizer.addVariable({ shape: [1] }), /name of addVariable must be a string/],
  ["a reference that is none", (optimizer) => optimizer.addVariableFromReference(null, "x"), /A variable is made of/],
  ["a store that is none", (optimizer) => optimizer.saveOwnVariables(null), /store of saveOwnVariables must be an object/],
  ["a loss that is none", (optimizer) => optimizer.minimize(5), /loss of minimize must be a function/],
  ["no list to finalize", (optimizer) => optimizer.finalizeVariableValues(5), /must be a list of variables/],
  ["no list to reset", (optimizer) => optimizer.resetAverages(5), /must be a list of variables/],
  ["a gradient and a variable", (optimizer) => optimizer.applyGradients(f32(1), variable([1])), /must be a list of pairs/],
])("%s is refused in words", (_, act, message) => {
  using optimizer = new Adamax({ useEma: true });
  expect(() => act(optimizer)).toThrow(message);
});
