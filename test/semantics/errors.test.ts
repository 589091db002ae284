/** Bad input is an error that says what was wrong, what arrived and what to do; and nothing has changed after it. */

import {
  Adamax,
  BackendError,
  CheckpointError,
  defineRule,
  type GradientAndVariable,
  IndexedSlices,
  Optimizer,
  OptionError,
  type SavedState,
  ShapeError,
  Variable,
} from "adamax";
import { describe, expect, test } from "vitest";
import {
  expectError,
  f32,
  nearTest,
  type Parts,
  read,
  rejected,
  replaceWebAssembly,
  save,
  stateOf,
  step,
  thrown,
  variable,
  WIDE,
  Wide,
} from "./helpers.js";

const NAN = Number.NaN;
const INFINITE = Number.POSITIVE_INFINITY;
const range = (name: string, wanted: string, value: unknown, arrived = String(value)) =>
  [name, value, [`${name} of Adamax must be ${wanted}`, `${name}=${arrived}`, "Give such a value"] as Parts] as const;

describe("options", () => {
  test.each([
    ...[-0.1, NAN, INFINITE].map((value) => range("learningRate", "a finite number of 0 or more", value)),
    ...[-0.1, 1, NAN].map((value) => range("beta1", "a finite number in [0, 1)", value)),
    ...[-0.1, 1.1, NAN].map((value) => range("beta2", "a finite number in [0, 1]", value)),
    ...[-1, NAN, INFINITE].map((value) => range("epsilon", "a finite number of 0 or more", value)),
    ...[-1, NAN, INFINITE].map((value) => range("weightDecay", "a finite number of 0 or more", value)),
    ...["clipnorm", "clipvalue", "globalClipnorm", "lossScaleFactor"].flatMap((name) =>
      [0, -1, NAN, INFINITE].map((value) => range(name, "a finite number above 0", value)),
    ),
    ...[-0.1, 1.1, NAN].map((value) => range("emaMomentum", "a finite number in [0, 1]", value)),
    ...[0, 1.5, NAN].map((value) => range("emaOverwriteFrequency", "an integer of 1 or more", value)),
    ...[0, 1.5, 257, NAN].map((value) => range("threads", '"auto" or an integer from 1 to 256', value)),
    ["gradientAccumulationSteps", 1, ["an integer of 2 or more", "gradientAccumulationSteps=1", "leave it out"]],
  ] as [string, unknown, Parts][])("%s = %s is out of range", (name, value, parts) => {
    expectError(() => new Adamax({ [name]: value }), OptionError, parts);
  });

  test.each([
    ...["learningRate", "beta1", "beta2", "epsilon", "weightDecay", "clipnorm", "emaMomentum", "lossScaleFactor"].map((name) =>
      range(name, "a finite number", "0.5", '"0.5"'),
    ),
    range("emaOverwriteFrequency", "an integer", "3", '"3"'),
    range(
      "learningRate",
      "a finite number of 0 or more that float32 holds or a schedule with at(step) or a function",
      f32(1, 2),
      "Float32Array of length 2",
    ),
    range("beta1", "a finite number in [0, 1)", new Float64Array(0), "Float64Array of length 0"),
    range("useEma", "true or false", 1),
    range("jitCompile", "true or false", "no", '"no"'),
    range("name", "a string", 7),
    range("name", "a string that is not empty", "", '""'),
    range("emaStart", '"variable" or "firstStep"', "first", '"first"'),
    range("backend", 'a backend or "wasm" or "interpreter"', "webgl", '"webgl"'),
    range("groups", "an array, each element an object", {}, "an object"),
    [
      "groups",
      [{ learningRateMultiplier: 1 }],
      ["names of groups[0] must be given, or variables", "names=undefined", "Give such a value"],
    ],
    [
      "groups",
      [{ names: ["w"], learningRateMultiplier: -1 }],
      ["learningRateMultiplier of groups[0] must be", "learningRateMultiplier=-1", "Give such a value"],
    ],
    ["groups", [{ names: "bias" }], ["names of groups[0] must be an array", 'names="bias"', "Give such a value"]],
    [
      "groups",
      [{ names: [5] }],
      ["names of groups[0] must be an array, each element a regular expression or its text", "names=[5]", "Give such a value"],
    ],
    [
      "groups",
      [{ names: ["("] }],
      ["names of groups[0] must be an array, each element a regular expression or its text", 'names=["("]', "Give such a value"],
    ],
    [
      "groups",
      [{ variables: f32(1) }],
      ["variables of groups[0] must be an array, each element a variable", "variables=Float32Array", "Give such a value"],
    ],
    [
      "groups",
      [{ names: ["w"], weightDecay: NAN }],
      ["weightDecay of groups[0] must be", "weightDecay=NaN", "Give such a value"],
    ],
  ] as [string, unknown, Parts][])("%s = %j is of the wrong type", (name, value, parts) => {
    expectError(() => new Adamax({ [name]: value }), OptionError, parts);
  });

  test.each<[object, string, string, string?]>([
    [{ learningrate: 1 }, "learningrate=1", "learningRate"],
    [{ beta_1: 0.5 }, "beta_1=0.5", "beta1"],
    [{ clipNorm: 1 }, "clipNorm=1", "clipnorm"],
    [{ globalClipNrom: 1 }, "globalClipNrom=1", "globalClipnorm"],
    [{ groups: [{ names: [""], learningRateMultiplyer: 1 }] }, "learningRateMultiplyer=1", "learningRateMultiplier", "groups[0]"],
  ])("an unknown option names the nearest known one: %j", (options, arrived, near, owner = "Adamax") => {
    expectError(() => new Adamax(options), OptionError, [`${owner} has no such option`, arrived, `Did you mean ${near}?`]);
  });

  test("an option of build that is not a function, or not known", () => {
    const build = (options: object) => () => new Adamax().build([variable([1])], options);
    expectError(build({ onProgress: 1 }), OptionError, [
      "onProgress of build must be a function",
      "onProgress=1",
      "leave it out",
    ]);
    expectError(build({ progress: 1 }), OptionError, ["build has no such option", "progress=1", "Did you mean onProgress?"]);
  });

  test("an unknown option that is like no other lists what there is", () => {
    expectError(() => new Adamax({ zigzag: 1 } as object), OptionError, [
      "Adamax has no such option",
      "zigzag=1",
      "It takes name, learningRate",
    ]);
  });

  test.each([
    [{ clipnorm: 1, clipvalue: 2 }, "clipnorm=1, clipvalue=2"],
    [{ clipnorm: 1, globalClipnorm: 2 }, "clipnorm=1, globalClipnorm=2"],
    [{ clipvalue: 1, globalClipnorm: 2 }, "globalClipnorm=2, clipvalue=1"],
  ])("two clip options exclude each other: %j", (options, arrived) => {
    expectError(() => new Adamax(options), OptionError, [
      "Only one of clipnorm, globalClipnorm, clipvalue can be set",
      arrived,
      "Keep one",
    ]);
  });

  test.each([0.002, null, "adamax"])("given as %s, not as an object, are an error: no default stands in silently", (options) => {
    const arrived = typeof options === "string" ? '"adamax"' : String(options);
    expectError(() => new Adamax(options as unknown as object), OptionError, [
      "takes one object of options",
      arrived,
      "It takes name, learningRate, ",
    ]);
  });

  test.each<[string, unknown[], string]>([
    ["numbers in the order of another library", [{}, 0.9], "2 arguments"],
    ["a second object of options", [{ learningRate: 1 }, { beta1: 0.5 }, 1e-7], "3 arguments"],
  ])("and %s are not taken in silence", (_, given, arrived) => {
    class Own extends Adamax {}
    for (const Class of [Adamax, Own])
      expectError(() => new (Class as unknown as new (...given: unknown[]) => Adamax)(...given), OptionError, [
        "Adamax takes one object of options",
        `"${arrived}"`,
        "It takes name, learningRate, ",
      ]);
  });

  test.each<[unknown, Parts]>([
    [{ name: ["bias"] }, ["excludeFromWeightDecay has no such option", "name=", "Did you mean names?"]],
    [{ names: "bias" }, ["names of excludeFromWeightDecay must be an array", 'names="bias"', "Give such a value"]],
    [["bias"], ["excludeFromWeightDecay takes one object of options", '["bias"]', "It takes variables, names"]],
  ])("excludeFromWeightDecay(%j) excludes nothing in silence: it is an error", (selection, parts) => {
    expectError(() => new Adamax().excludeFromWeightDecay(selection as object), OptionError, parts);
  });

  test("a wasm backend that shall compile nothing is a contradiction", () => {
    expectError(() => new Adamax({ backend: "wasm", jitCompile: false }), OptionError, [
      "wasm runs compiled steps only",
      'backend="wasm", jitCompile=false',
      "Remove one",
    ]);
  });

  test.each<[string, (optimizer: Adamax) => unknown, Parts]>([
    [
      "getConfig",
      (optimizer) => optimizer.getConfig("typo" as "keras"),
      ['dialect of getConfig must be "tf_keras" or "keras"', 'dialect="typo"', "Give such a value"],
    ],
    [
      "saveOwnVariables",
      (optimizer) => optimizer.saveOwnVariables({}, "typo" as "keras"),
      ['order of saveOwnVariables must be "tf_keras" or "keras"', 'order="typo"', "Give such a value"],
    ],
  ])("%s knows two dialects and no other", (_, act, parts) => expectError(() => act(new Adamax()), OptionError, parts));

  test.each([undefined, 1, { loss: 1 }, { loss: "1", gradients: [] }])(
    "minimize refuses a loss that returns %j",
    async (result) => {
      const optimizer = new Adamax();
      const parts: Parts = [
        "of minimize's loss must be a",
        typeof Object(result).loss === "number" ? "gradients=undefined" : "loss=",
        "Give such a value",
      ];
      expectError(() => optimizer.minimize(() => result as never), OptionError, parts);
      await expect(optimizer.minimize((async () => result) as never)).rejects.toThrow(OptionError);
      expect(optimizer.iterations).toBe(0);
    },
  );

  test("a group of plain arrays has no names to write into a configuration", () => {
    const optimizer = new Adamax({ groups: [{ variables: [f32(1)], learningRateMultiplier: 2 }] });
    expectError(() => optimizer.getConfig(), OptionError, [
      "A configuration needs names that differ",
      "Float32Array of length 1",
      "Give each a name of its own",
    ]);
  });

  test.each([INFINITE, "5"])("a rule's own range need not test for finite numbers: %s is refused", (value) => {
    class Own extends Optimizer<"heat"> {
      static override rule = defineRule({
        name: "Own",
        slots: [],
        hyperparameters: { heat: { byDefault: 1, wanted: "a finite number above 0", holds: (heat) => (heat as number) > 0 } },
        update: ({ w }) => ({ w }),
      });
    }
    expectError(() => new Own({ heat: value as number }), OptionError, [
      "heat of Own must be a finite number above 0",
      "heat=",
      "Give such a value",
    ]);
  });

  test("the base class has no rule to run", () => {
    expectError(() => new Optimizer(), OptionError, [
      "rule of a subclass of Optimizer must be what defineRule returned",
      "rule=undefined",
      "Give such a value",
    ]);
  });
});

/** An optimizer after one step on two variables, a (2 x 2) and b (float64, if there is such a thing); and what must not change. */
const trained = async (options = {}) => {
  const a = new Variable(f32(1, 2, 3, 4), { shape: [2, 2], name: "a" });
  const b = new Variable(Wide.of(5), { name: "b" });
  const optimizer = new Adamax(options);
  await step(optimizer, [f32(1, 1, 1, 1), a], [Wide.of(1), b]);
  const snapshot = async () => [optimizer.iterations, ...(await stateOf(optimizer)), await read(a), await read(b)];
  return { optimizer, a, b, snapshot };
};
const ONE = Wide.of(1);

describe("gradients", () => {
  const A = 'The gradient of variable "a" (shape [2,2], float32) must be a Float32Array of length 4';
  const SPARSE = 'The sparse gradient of variable "a" (shape [2,2], float32)';
  const slices = (values: Float32Array | Float64Array, ...indices: number[]) => new IndexedSlices(values, indices);

  test.each<[string, unknown, Parts]>([
    ["of another length", f32(1, 2), [A, "Float32Array of length 2", "Convert it"]],
    ["of another dtype", Float64Array.of(1, 2, 3, 4), [A, "Float64Array of length 4", "Convert it"]],
    ["of an ordinary array", [1, 2, 3, 4], [A, "[1, 2, 3, 4]", "Convert it"]],
    ["of integers", new Int32Array(4), [A, "Int32Array of length 4", "Convert it"]],
    ["a number", 3, [A, "3", "Convert it"]],
    [
      "rows of another dtype",
      slices(new Float64Array(2), 0),
      [
        `${SPARSE} must have a row of values per index`,
        "Float64Array of length 2 for 1 indices",
        "Give a Float32Array of length 2",
      ],
    ],
    [
      "rows of another size",
      slices(f32(1, 2, 3), 0),
      [
        `${SPARSE} must have a row of values per index`,
        "Float32Array of length 3 for 1 indices",
        "Give a Float32Array of length 2",
      ],
    ],
    [
      "a row beyond the end",
      slices(f32(1, 2, 3, 4), 0, 2),
      [`${SPARSE} names a row that is not there`, "indices[1] = 2", "It has 2 rows"],
    ],
    [
      "a row before the start",
      slices(f32(1, 2), -1),
      [`${SPARSE} names a row that is not there`, "indices[0] = -1", "It has 2 rows"],
    ],
    ["half a row", slices(f32(1, 2), 0.5), [`${SPARSE} names a row that is not there`, "indices[0] = 0.5", "It has 2 rows"]],
  ])("%s: an error, and no variable has moved", async (_, gradient, parts) => {
    const { optimizer, a, b, snapshot } = await trained();
    const before = await snapshot();
    expectError(
      () =>
        optimizer.applyGradients([
          [ONE, b],
          [gradient as Float32Array, a],
        ]),
      ShapeError,
      parts,
    );
    expect(await snapshot()).toEqual(before);
    expect(optimizer.applyGradients([[f32(1, 1, 1, 1), a]])).toBe(2);
  });

  test("wrong in the first call: an error, and nothing has been built", async () => {
    const w = variable([1, 2]);
    const optimizer = new Adamax();
    expectError(() => step(optimizer, [f32(1), w]), ShapeError, [
      "must be a Float32Array of length 2",
      "Float32Array of length 1",
      "Convert it",
    ]);
    expect([optimizer.trainableVariables, w.owner, await read(w)]).toEqual([[], null, [1, 2]]);
  });

  test("sparse for a scalar", () => {
    const scalar = new Variable(f32(1), { shape: [] });
    expectError(() => step(new Adamax(), [slices(f32(1), 0), scalar]), ShapeError, [
      "names a row that is not there",
      "indices[0] = 0",
      "It has 0 rows",
    ]);
  });

  test("of no variable at all: an error, and no step was counted", async () => {
    const { optimizer, a, b, snapshot } = await trained();
    const before = await snapshot();
    expectError(() => step(optimizer, [null, a], [null, b]), OptionError, [
      "No gradients provided for any variable",
      "only null",
      "Check that the loss",
    ]);
    expect(await snapshot()).toEqual(before);
  });

  test.each([
    ["values", () => new IndexedSlices([1] as unknown as Float32Array, [0]), "[1] and [0]", "a Float32Array or a Float64Array"],
    [
      "indices",
      () => new IndexedSlices(f32(1), "0" as unknown as number[]),
      'Float32Array of length 1 and "0"',
      "an array of indices",
    ],
  ])("IndexedSlices with %s of another type", (_, make, arrived, wanted) => {
    const error = thrown(make);
    expect(error).toBeInstanceOf(ShapeError);
    expect(error.message).toContain(wanted);
    expect(error.message).toContain(`Received: ${arrived}`);
  });
});

describe("variables", () => {
  test("unknown after build: an error that names extend, and no variable has moved", async () => {
    const { optimizer, b, snapshot } = await trained();
    const before = await snapshot();
    const late = variable([1], "late");
    expectError(() => step(optimizer, [ONE, b], [f32(1), late]), ShapeError, [
      "built for 2 other variables",
      'variable "late" (shape [1], float32)',
      "Call extend first",
    ]);
    expect([await snapshot(), late.owner]).toEqual([before, null]);
  });

  test("twice in one call: an error, and no variable has moved", async () => {
    const { optimizer, b, snapshot } = await trained();
    const before = await snapshot();
    expectError(() => step(optimizer, [ONE, b], [ONE, b]), ShapeError, [
      "A variable can be given only once",
      `variable "b" (shape [1], ${WIDE}) twice`,
      "Add its gradients up",
    ]);
    expect(await snapshot()).toEqual(before);
  });

  test("twice in the first call, in build or in extend: an error, and nothing has been built", () => {
    const optimizer = new Adamax();
    const w = variable([1]);
    for (const act of [
      () => step(optimizer, [f32(1), w], [f32(1), w]),
      () => optimizer.build([w, w]),
      () => optimizer.extend([w, w]),
    ])
      expectError(act, ShapeError, [
        "A variable can be given only once",
        'variable "w" (shape [1], float32) twice',
        "Remove one",
      ]);
    expect([optimizer.trainableVariables, w.owner]).toEqual([[], null]);
  });

  test.each<[unknown, string]>([
    [{ value: f32(1) }, "an object (Object)"],
    [[1], "[1]"],
    [undefined, "undefined"],
  ])("that are none: %j", (given, arrived) => {
    const pair = [f32(1), given] as unknown as GradientAndVariable;
    expectError(() => new Adamax().applyGradients([pair]), ShapeError, [
      "A variable is made of a Float32Array or a Float64Array",
      `${arrived}.`,
      "In a pair, the gradient comes first",
    ]);
  });

  test("owned by another optimizer: an error, and none of the list has been taken", async () => {
    const { b } = await trained();
    const [optimizer, w] = [new Adamax(), variable([1])];
    const error = thrown(() => optimizer.build([w, b]));
    expect(error).toBeInstanceOf(BackendError);
    expect(error.message).toMatch(/"b" .* is trained by another optimizer\. Received: Adamax\. Dispose that one first/);
    expect([w.owner, optimizer.trainableVariables]).toEqual([null, []]);
  });

  test.each<[string, () => unknown, Parts]>([
    [
      "a value that is no typed array",
      () => new Variable([1] as unknown as Float32Array),
      ["A variable is made of a Float32Array", "[1]", "Convert it"],
    ],
    [
      "a shape of another size",
      () => new Variable(f32(1, 2, 3), { shape: [2, 2] }),
      ["must fill its shape", "shape [2,2] for 3 elements", "Correct"],
    ],
  ])("made with %s", (_, make, parts) => expectError(make, ShapeError, parts));

  test("made with a shape that is none", () =>
    expectError(() => new Variable(f32(1, 2), { shape: [-1, -2] }), OptionError, [
      "shape of Variable must be an array, each element an integer of 0 or more",
      "shape=[-1, -2]",
      "Give such a value",
    ]));
});

describe("learning rates", () => {
  test.each([NAN, INFINITE, "0.1", undefined])("a function that returns %s: an error, and no step was made", async (rate) => {
    let given: unknown = 0.1;
    const { optimizer, b, snapshot } = await trained({ learningRate: () => given });
    const before = await snapshot();
    given = rate;
    const arrived = typeof rate === "string" ? '"0.1"' : String(rate);
    expectError(() => step(optimizer, [ONE, b]), OptionError, [
      "must be a finite number",
      `${arrived} from a function (learningRate)`,
      "Give such a value",
    ]);
    expect(await snapshot()).toEqual(before);
  });
});

describe("saved state", () => {
  const load = async (change: (saved: SavedState) => void) => {
    const { optimizer, snapshot } = await trained();
    const saved = await save(optimizer);
    const before = await snapshot();
    change(saved);
    return { act: () => optimizer.loadOwnVariables(saved), unchanged: async () => expect(await snapshot()).toEqual(before) };
  };

  test.each<[string, (saved: SavedState) => void, Parts]>([
    [
      "with arrays missing",
      (saved) => delete saved[4],
      ["must have 5 arrays, with a learning_rate one more", "4, without Adamax/norm/b", "Build with the variables and options"],
    ],
    [
      "with too many arrays",
      (saved) => Object.assign(saved, { 5: f32(1), 6: f32(2) }),
      ["must have 5 arrays", "7", "Build with"],
    ],
    [
      "of another length",
      (saved) => Object.assign(saved, { 2: f32(1, 2) }),
      ["Adamax/norm/a must be of 4 elements", "2", "Build with"],
    ],
    [
      "with a step count that is none",
      (saved) => Object.assign(saved, { 0: [0.5] }),
      ["Adamax/iteration must be an integer of 0 or more", "0.5", "Build with"],
    ],
    [
      "with a negative step count",
      (saved) => Object.assign(saved, { 0: [-1] }),
      ["Adamax/iteration must be an integer of 0 or more", "-1", "Build with"],
    ],
    [
      "in another order",
      (saved) => Object.assign(saved, { 0: saved[1], 1: saved[0] }),
      ["Adamax/iteration must be of 1 elements", "4", "Build with"],
    ],
  ])("%s: an error, and nothing has been loaded", async (_, change, parts) => {
    const { act, unchanged } = await load(change);
    expectError(act, CheckpointError, parts);
    await unchanged();
  });

  test("with arrays missing names them", async () => {
    expect(thrown((await load((saved) => delete saved[4])).act).message).toContain("4, without Adamax/norm/b.");
  });

  test("in another order, where the lengths are the same: an error, and nothing has been loaded", async () => {
    const [optimizer, w] = [new Adamax(), variable([1])];
    await step(optimizer, [f32(1), w]);
    const [iteration, momentum, norm] = Object.values(await save(optimizer));
    const before = await stateOf(optimizer);
    expectError(() => optimizer.setWeights([[3], momentum!, iteration!]), CheckpointError, [
      "Adamax/norm/w must be float32 numbers",
      "BigInt64Array",
      "Build with",
    ]);
    expect([norm, await stateOf(optimizer)]).toEqual([f32(1), before]);
  });

  test("with Keras 3's learning rate being none: an error, and nothing has been loaded", async () => {
    const { optimizer, snapshot } = await trained();
    const saved = { ...(await save(optimizer, "keras")), 1: [NAN] };
    const before = await snapshot();
    expectError(() => optimizer.loadOwnVariables(saved), CheckpointError, [
      "Adamax/learning_rate must be a finite number of 0 or more",
      "NaN",
      "Build with",
    ]);
    expect(await snapshot()).toEqual(before);
  });

  test("loaded before build", () => {
    expectError(() => new Adamax().loadOwnVariables({ 0: [1], 1: [2], 2: [3] }), CheckpointError, [
      "The state must have 1 arrays",
      "3",
      "Build with the variables",
    ]);
  });
});

describe("after dispose", () => {
  const uses: [string, (optimizer: Adamax, w: Variable) => unknown][] = [
    ["applyGradients", (optimizer, w) => optimizer.applyGradients([[f32(1), w]])],
    ["minimize", (optimizer, w) => optimizer.minimize(() => ({ loss: 1, gradients: [[f32(1), w]] }))],
    ["build", (optimizer, w) => optimizer.build([w])],
    ["extend", (optimizer, w) => optimizer.extend([w])],
    ["swapAverages", (optimizer) => optimizer.swapAverages()],
    ["finalizeVariableValues", (optimizer) => optimizer.finalizeVariableValues()],
    ["saveOwnVariables", (optimizer) => optimizer.saveOwnVariables()],
    ["loadOwnVariables", (optimizer) => optimizer.loadOwnVariables({ 0: [0] })],
    ["setWeights", (optimizer) => optimizer.setWeights([[0]])],
  ];
  test.each(uses)("%s is an error that says so, and the variables keep their values", async (_, use) => {
    const w = variable([1]);
    const optimizer = new Adamax({ useEma: true });
    const [values] = await step(optimizer, [f32(1), w]);
    optimizer.dispose();
    const error = thrown(() => use(optimizer, w));
    expect(error).toBeInstanceOf(BackendError);
    expect(error.message).toMatch(/This optimizer was disposed. Received: a call after dispose\(\). Make a new one/);
    expect([await read(w), w.owner]).toEqual([values, null]);
  });
});

describe("memory", () => {
  nearTest("that the machine does not have: an error that says how much was asked for, and nothing has been built", async () => {
    const allow = replaceWebAssembly("Memory", () => {
      throw new RangeError("could not allocate memory");
    });
    const [optimizer, w] = [new Adamax({ backend: "wasm" }), variable([1])];
    const error = thrown(() => optimizer.build([w]));
    allow();
    expect(error).toBeInstanceOf(BackendError);
    expect(error.message).toMatch(/not enough memory. Received: a request for \d+ bytes. Train fewer variables/);
    expect([w.owner, await read(w), optimizer.trainableVariables]).toEqual([null, [1], []]);
    optimizer.build([w]);
    expect(w.owner).toBe("Adamax");
  });

  test.each(["wasm", "interpreter"] as const)(
    "%s: a variable larger than any memory is an error that names it",
    async (backend) => {
      const [small, large] = [variable([1]), variable([1], "large")];
      Object.defineProperty(large, "length", { value: 2 ** 31, writable: true });
      const optimizer = new Adamax({ backend });
      const build = () => optimizer.build([small, large]);
      const isLate = optimizer.backend.near !== true;
      if (isLate) build();
      if (/llvmpipe/.test(optimizer.backend.why)) {
        expect(await read(small)).toEqual([1]); // it takes memory when that is written, and reserves more than there is
        return;
      }
      const error = isLate ? await rejected(small.read()) : thrown(build);
      expect(error).toBeInstanceOf(BackendError);
      const isOnDevice = optimizer.backend.name === "webgpu";
      expect(error.message).toMatch(
        isOnDevice
          ? /no memory for the variables.* Received: a request for \d+ bytes.*Train fewer variables/
          : /A variable with its state must fit \d+ bytes. Received: \d+ for "large"\. Split it/,
      );
      if (isLate) {
        expect(thrown(() => step(optimizer, [f32(1), small])).message).toBe(error.message); // and so says the next call
        Object.defineProperty(large, "length", { value: 1 });
        optimizer.dispose();
      }
      expect([small.owner, await read(small), optimizer.trainableVariables]).toEqual([null, [1], []]);
    },
  );
});
