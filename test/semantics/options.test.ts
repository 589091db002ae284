/** Every option, changed alone, does what its documentation says. */

import { Adamax, type AdamaxOptions, InterpreterBackend, OptionError, schedules, Variable, WasmBackend } from "adamax";
import { beforeAll, describe, expect, test, vi } from "vitest";
import {
  expectSameBits,
  f32,
  fiveSteps,
  GRADIENTS,
  inTurn,
  isDevice,
  nearTest,
  read,
  replaceWebAssembly,
  state,
  step,
  thrown,
  variable,
  warnings,
  wideTest,
} from "./helpers.js";

test.each<[keyof AdamaxOptions, unknown, AdamaxOptions?]>([
  ["learningRate", 0.002],
  ["beta1", 0.8],
  ["beta2", 0.99],
  ["epsilon", 1e-3],
  ["weightDecay", 0.1],
  ["clipnorm", 1],
  ["clipvalue", 0.2],
  ["globalClipnorm", 1],
  ["emaMomentum", 0.5, { useEma: true, emaOverwriteFrequency: 2 }],
  ["emaOverwriteFrequency", 3, { useEma: true, emaMomentum: 0.5 }],
  ["emaStart", "firstStep", { useEma: true, emaOverwriteFrequency: 3 }],
  ["lossScaleFactor", 128],
  ["gradientAccumulationSteps", 2],
])("%s changes the trajectory", async (name, value, given = {}) => {
  expect(await fiveSteps({ ...given, [name]: value })).not.toEqual(await fiveSteps(given));
});

describe("learningRate", () => {
  test("twice the number makes the first step twice as long", async () => {
    const after = async (learningRate: number) =>
      (await step(new Adamax({ learningRate }), [f32(0.3, -7), variable([0, 0])]))[0]!;
    expect(await after(2 ** -9)).toEqual((await after(2 ** -10)).map((value) => 2 * value));
  });

  test("is 0.001 when it is not given", async () => {
    expect(await fiveSteps()).toEqual(await fiveSteps({ learningRate: 0.001 }));
  });

  test("0 leaves the variables as they are", async () => {
    expect((await fiveSteps({ learningRate: 0 })).at(-1)).toEqual([1, -1, 0.5, 2]);
  });

  test("as a typed array with one element is its number, read once", async () => {
    const learningRate = f32(0.25);
    using optimizer = new Adamax({ learningRate });
    learningRate[0] = 9;
    expect(optimizer.learningRate).toBe(0.25);
    expect(await fiveSteps({ learningRate: Float64Array.of(0.25) })).toEqual(await fiveSteps({ learningRate: 0.25 }));
  });

  test("as a schedule is its rate at the number of earlier calls", async () => {
    const schedule = new schedules.ExponentialDecay({ initialLearningRate: 0.1, decaySteps: 2, decayRate: 0.5 });
    using optimizer = new Adamax();
    const w = variable([1, -1, 0.5, 2]);
    const byHand = await inTurn(GRADIENTS, async (gradient, calls) => {
      optimizer.learningRate = schedule.at(calls);
      return (await step(optimizer, [gradient, w]))[0];
    });
    expect(await fiveSteps({ learningRate: schedule })).toEqual(byHand);
  });

  test("as a schedule of one's own is asked once per call", async () => {
    class Halving extends schedules.LearningRateSchedule {
      asked: number[] = [];
      at(step: number) {
        this.asked.push(step);
        return 2 ** -step;
      }
      getConfig() {
        return {};
      }
    }
    const schedule = new Halving();
    await fiveSteps({ learningRate: schedule });
    expect(schedule.asked).toEqual([0, 1, 2, 3, 4]);
  });

  test("as a function is called exactly once per call of applyGradients, and not by the constructor", () => {
    const learningRate = vi.fn(() => 0.25);
    using optimizer = new Adamax({ learningRate, gradientAccumulationSteps: 2 });
    const [v, w] = [variable([1]), variable([2])];
    expect(learningRate).toHaveBeenCalledTimes(0);
    for (let call = 1; call <= 4; call++) {
      optimizer.applyGradients([
        [f32(1), v],
        [f32(1), w],
      ]);
      expect(learningRate).toHaveBeenCalledTimes(call);
    }
  });

  test("as a function gives each call the rate that it returned", async () => {
    let rate = 1;
    const rates = [0.5, 0.25, 0.125, 0.0625, 0.03125];
    const schedule = new schedules.ExponentialDecay({ initialLearningRate: 0.5, decaySteps: 1, decayRate: 0.5 });
    expect(rates.map((_, k) => schedule.at(k))).toEqual(rates);
    expect(await fiveSteps({ learningRate: () => (rate /= 2) })).toEqual(await fiveSteps({ learningRate: schedule }));
  });
});

describe("the rule's numbers", () => {
  test("beta1 = 0 makes the first moment the last gradient", async () => {
    using optimizer = new Adamax({ beta1: 0 });
    const w = variable([1, 1]);
    await step(optimizer, [f32(3, 4), w]);
    await step(optimizer, [f32(-1, 0.5), w]);
    expect([...(await state(optimizer, "momentum"))]).toEqual([-1, 0.5]);
  });

  test("beta2 = 0 makes the norm the magnitude of the last gradient", async () => {
    using optimizer = new Adamax({ beta2: 0 });
    const w = variable([1, 1]);
    await step(optimizer, [f32(3, 4), w]);
    await step(optimizer, [f32(-1, 0.5), w]);
    expect([...(await state(optimizer, "norm"))]).toEqual([1, 0.5]);
  });

  test("beta2 is by how much the norm shrinks where gradients are smaller", async () => {
    using optimizer = new Adamax({ beta2: 0.5 });
    const w = variable([1, 1]);
    await step(optimizer, [f32(3, 4), w]);
    await step(optimizer, [f32(1, 3), w]);
    expect([...(await state(optimizer, "norm"))]).toEqual([1.5, 3]);
  });

  test("epsilon = 1 halves the first step of a gradient of 1", async () => {
    const after = async (epsilon: number) =>
      (await step(new Adamax({ epsilon, learningRate: 0.5 }), [f32(1), variable([0])]))[0]!;
    expect((await after(1))[0]).toBe((await after(0))[0]! / 2);
  });

  test.each(["beta1", "beta2", "epsilon"])("%s as a typed array with one element is its number", async (name) => {
    expect(await fiveSteps({ [name]: f32(0.25) })).toEqual(await fiveSteps({ [name]: 0.25 }));
    expect(await fiveSteps({ [name]: Float64Array.of(0.1) })).toEqual(await fiveSteps({ [name]: 0.1 }));
  });
});

test("weightDecay takes weightDecay * learningRate of each value away, also where the gradient is zero", async () => {
  using optimizer = new Adamax({ weightDecay: 0.5, learningRate: 0.25 });
  expect(await step(optimizer, [f32(0, 0), variable([1, -8])])).toEqual([[0.875, -7]]);
});

describe("clipping", () => {
  /** The clipped gradients of two variables, as beta1 = 0 leaves them in the first moment. */
  const clipped = async (options: AdamaxOptions, a: number[], b: number[]) => {
    using optimizer = new Adamax({ beta1: 0, ...options });
    await step(optimizer, [f32(...a), variable(a, "a")], [f32(...b), variable(b, "b")]);
    return [[...(await state(optimizer, "momentum", "a"))], [...(await state(optimizer, "momentum", "b"))]];
  };

  test("clipnorm brings the norm of each gradient down to it, and leaves shorter ones alone", async () => {
    expect(await clipped({ clipnorm: 2.5 }, [3, -4], [1, 0.5])).toEqual([
      [1.5, -2],
      [1, 0.5],
    ]);
  });

  test("clipvalue limits each element to [-clipvalue, clipvalue]", async () => {
    expect(await clipped({ clipvalue: 2 }, [3, -4], [1, -2])).toEqual([
      [2, -2],
      [1, -2],
    ]);
  });

  test("globalClipnorm scales all gradients by one factor, to a joint norm of it", async () => {
    expect(await clipped({ globalClipnorm: 2.5 }, [0, -4], [3, 0])).toEqual([
      [0, -2],
      [1.5, 0],
    ]);
    expect(await clipped({ globalClipnorm: 6 }, [0, -4], [3, 0])).toEqual([
      [0, -4],
      [3, 0],
    ]);
  });
});

describe("moving averages", () => {
  /** A variable at 8 that each step moves to the next of these values. */
  const following = (options: AdamaxOptions, ...values: number[]) => {
    const optimizer = new Adamax({ useEma: true, emaMomentum: 0.75, learningRate: 0, ...options });
    let moved = 0;
    const w = new Variable(f32(8), { name: "w", constraint: (value) => value.fill(values[moved++]!) });
    return { optimizer, step: () => step(optimizer, [f32(1), w]) };
  };

  test("useEma moves no variable; finalizeVariableValues then writes the averages into them", async () => {
    using optimizer = new Adamax({ useEma: true });
    const w = variable([1, -1, 0.5, 2]);
    const values = await inTurn(GRADIENTS, async (gradient) => (await step(optimizer, [gradient, w]))[0]);
    expect(values).toEqual(await fiveSteps());
    const average = [...(await state(optimizer, "average"))];
    optimizer.finalizeVariableValues();
    expect(await read(w)).toEqual(average);
    expect(average).not.toEqual(values.at(-1));
  });

  // A constraint comes after the average, so the average sees the value of the step before.
  nearTest("emaMomentum is how much of the average stays: average = emaMomentum * average + (1 - emaMomentum) * w", async () => {
    const { optimizer, step } = following({}, 4, 0);
    await step();
    expect([...(await state(optimizer, "average"))]).toEqual([8]);
    await step();
    expect([...(await state(optimizer, "average"))]).toEqual([0.75 * 8 + 0.25 * 4]);
  });

  test("emaOverwriteFrequency = 2 puts the average into the variable in every second update", async () => {
    using optimizer = new Adamax({ useEma: true, emaOverwriteFrequency: 2 });
    const w = variable([1]);
    const isAverage = await inTurn([1, 2, 3, 4], async () => {
      const [values] = await step(optimizer, [f32(1), w]);
      return values![0] === (await state(optimizer, "average"))[0];
    });
    expect(isAverage).toEqual([false, true, false, true]);
  });

  test('emaStart is the value at build ("variable"), or the value after the first step ("firstStep")', async () => {
    const average = async (emaStart: "variable" | "firstStep") => {
      using optimizer = new Adamax({ useEma: true, emaMomentum: 0.75, emaStart, learningRate: 0.25, epsilon: 0, beta1: 0.5 });
      const [[w]] = (await step(optimizer, [f32(1), variable([1])])) as [[number]];
      return { w, average: (await state(optimizer, "average"))[0] };
    };
    expect(await average("variable")).toEqual({ w: 0.75, average: 0.75 * 1 + 0.25 * 0.75 });
    expect(await average("firstStep")).toEqual({ w: 0.75, average: 0.75 });
  });
});

test("lossScaleFactor undoes the scale of a loss: 8 times the gradients give the same bits", async () => {
  const run = (scale: number, options: AdamaxOptions) => {
    using optimizer = new Adamax({ ...options, globalClipnorm: 1 });
    const w = variable([1, -1, 0.5, 2]);
    return Promise.all(GRADIENTS.map((gradient) => step(optimizer, [gradient.map((value) => value * scale), w])));
  };
  expect(await run(8, { lossScaleFactor: 8 })).toEqual(await run(1, {}));
});

test("gradientAccumulationSteps = 2 makes one update of two calls, with the mean of their gradients", async () => {
  using accumulating = new Adamax({ gradientAccumulationSteps: 2 });
  using plain = new Adamax();
  const [v, w] = [variable([1, 1]), variable([1, 1])];
  for (const [first, second] of [
    [f32(1, 4), f32(3, -2)],
    [f32(0, 1), f32(0.5, 0.5)],
  ] as const) {
    const before = await read(v);
    expect(await step(accumulating, [first, v])).toEqual([before]);
    expect(await step(accumulating, [second, v])).toEqual(
      await step(plain, [first.map((value, i) => (value + second[i]!) / 2), w]),
    );
  }
});

describe("what runs", () => {
  nearTest("jitCompile: false runs the interpreter, which says why it runs", () => {
    using optimizer = new Adamax({ jitCompile: false });
    expect(optimizer.backend.name).toBe("interpreter");
    expect(optimizer.backend.why).toMatch(/jitCompile is false/);
  });

  test("jitCompile: false gives the same bits", async () => {
    expect(await fiveSteps({ jitCompile: false })).toEqual(await fiveSteps());
  });

  test.each(["wasm", "interpreter"] as const)('backend: "%s" runs on it, with the same bits', async (backend) => {
    using optimizer = new Adamax({ backend });
    expect(optimizer.backend.name).toMatch(isDevice && backend === "wasm" ? /^webgpu$/ : new RegExp(`^(far )?${backend}$`));
    expect(optimizer.backend.why).not.toBe("");
    expect(await fiveSteps({ backend })).toEqual(await fiveSteps());
  });

  test.each([new WasmBackend(), new InterpreterBackend()])(
    "a backend of one's own is used, and serves two optimizers ($name)",
    async (backend) => {
      using optimizer = new Adamax({ backend });
      expect(optimizer.backend).toBe(backend);
      expect(await fiveSteps({ backend })).toEqual(await fiveSteps({ backend }));
    },
  );

  nearTest("where WebAssembly is refused, the interpreter runs and says why", () => {
    vi.stubGlobal("WebAssembly", undefined);
    try {
      using optimizer = new Adamax();
      expect(optimizer.backend.name).toBe("interpreter");
      expect(optimizer.backend.why).toMatch(/no WebAssembly/);
      expect(thrown(() => new Adamax({ backend: "wasm" })).message).toMatch(
        /wasm cannot run here\. Received: there is no WebAssembly here\. Leave it out/,
      );
    } finally {
      vi.unstubAllGlobals();
    }
  });

  nearTest("where compiling WebAssembly is forbidden, the interpreter runs and says why", () => {
    const allow = replaceWebAssembly("Module", () => {
      throw new WebAssembly.CompileError("blocked by the content security policy");
    });
    using optimizer = new Adamax();
    allow();
    expect(optimizer.backend.why).toMatch(/refused here \(.*blocked by the content security policy\)/);
  });
});

test("name begins the names of the optimizer's state, and changes nothing else", async () => {
  using optimizer = new Adamax({ name: "teacher" });
  optimizer.build([variable([1], "dense/kernel")]);
  expect(optimizer.variables.map(({ name }) => name)).toEqual([
    "teacher/iteration",
    "teacher/momentum/dense/kernel",
    "teacher/norm/dense/kernel",
  ]);
  expect(await fiveSteps({ name: "teacher" })).toEqual(await fiveSteps());
});

test.each([
  "learningRate",
  "weightDecay",
  "clipnorm",
  "clipvalue",
  "globalClipnorm",
  "useEma",
  "emaMomentum",
  "emaOverwriteFrequency",
  "emaStart",
  "lossScaleFactor",
  "gradientAccumulationSteps",
  "jitCompile",
  "name",
  "groups",
  "backend",
  "threads",
  "beta1",
  "beta2",
  "epsilon",
  "lr",
  "mesh",
])("%s: null counts as not given", (name) => {
  const [given, plain] = [new Adamax({ [name]: null }), new Adamax()];
  expect([given.settings, given.hyperparameters]).toEqual([plain.settings, plain.hyperparameters]);
});

describe("groups", () => {
  /** What two variables, a/kernel and b/bias, are after one step. */
  const after = async (options: (a: Variable, b: Variable) => AdamaxOptions) => {
    const [a, b] = [variable([1], "a/kernel"), variable([1], "b/bias")];
    using optimizer = new Adamax({ learningRate: 0.25, ...options(a, b) });
    return (await step(optimizer, [f32(1), a], [f32(1), b])).flat();
  };
  let [plain, halved, decayed] = [0, 0, 0];
  beforeAll(async () => {
    [plain, halved, decayed] = (await inTurn(
      [{}, { learningRate: 0.125 }, { weightDecay: 0.5 }],
      async (options) => (await after(() => options))[0]!,
    )) as [number, number, number];
  });

  test("a multiplier scales the rate of the variables that it names, and of no other", async () => {
    expect(await after((a) => ({ groups: [{ variables: [a], learningRateMultiplier: 0.5 }] }))).toEqual([halved, plain]);
  });

  test("a name pattern, as text or as a regular expression, names variables", async () => {
    expect(await after(() => ({ groups: [{ names: ["bias$"], learningRateMultiplier: 0.5 }] }))).toEqual([plain, halved]);
    expect(await after(() => ({ groups: [{ names: [/^B/i], learningRateMultiplier: 0.5 }] }))).toEqual([plain, halved]);
  });

  test("a weight decay stands in for the optimizer's; 0 is none, null is the optimizer's", async () => {
    expect(await after((_, b) => ({ groups: [{ variables: [b], weightDecay: 0.5 }] }))).toEqual([plain, decayed]);
    expect(await after((_, b) => ({ weightDecay: 0.5, groups: [{ variables: [b], weightDecay: 0 }] }))).toEqual([decayed, plain]);
    expect(await after((_, b) => ({ weightDecay: 0.5, groups: [{ variables: [b], weightDecay: null }] }))).toEqual([
      decayed,
      decayed,
    ]);
  });

  nearTest("a plain array stands for the variable that wraps it", () => {
    const [a, b] = [f32(1), f32(1)];
    const options = { learningRate: 0.25, weightDecay: 0.5, groups: [{ variables: [a], weightDecay: 0 }] };
    using optimizer = new Adamax(options);
    optimizer.applyGradients([
      [f32(1), a],
      [f32(1), new Variable(b)],
    ]);
    expect([...a]).toEqual([plain]);
    using excluding = new Adamax({ learningRate: 0.25, weightDecay: 0.5 });
    const [c, d, wrapped] = [f32(1), f32(1), new Variable(b)];
    excluding.excludeFromWeightDecay({ variables: [c, b] });
    excluding.applyGradients([
      [f32(1), c],
      [f32(1), d],
      [f32(1), wrapped],
    ]);
    expect([...c, ...d, ...wrapped.value]).toEqual([plain, decayed, plain]);
  });

  test("a group without a weight decay keeps the optimizer's", async () => {
    expect(await after((_, b) => ({ weightDecay: 0.5, groups: [{ variables: [b], learningRateMultiplier: 1 }] }))).toEqual([
      decayed,
      decayed,
    ]);
  });

  test("a variable takes the first group that names it", async () => {
    const groups = [
      { names: ["bias"], learningRateMultiplier: 0.5 },
      { names: [""], learningRateMultiplier: 0 },
    ];
    expect(await after(() => ({ groups }))).toEqual([1, halved]);
  });

  test("exclusion from weight decay wins over a group", async () => {
    const w = variable([1], "w");
    using optimizer = new Adamax({ learningRate: 0.25, groups: [{ variables: [w], weightDecay: 0.5 }] });
    optimizer.excludeFromWeightDecay({ variables: [w] });
    expect(await step(optimizer, [f32(1), w])).toEqual([[plain]]);
  });
});

describe("keyword arguments of older Keras", () => {
  test("lr is taken as learningRate, with a warning", async () => {
    const warned = warnings();
    expect(await fiveSteps({ lr: 0.125 } as AdamaxOptions)).toEqual(await fiveSteps({ learningRate: 0.125 }));
    expect(warned).toEqual([expect.stringMatching(/lr is the old name of learningRate/)]);
  });

  test("lr beside learningRate is an error", () => {
    expect(thrown(() => new Adamax({ lr: 1, learningRate: 1 } as AdamaxOptions))).toBeInstanceOf(OptionError);
  });

  test.each([
    ["decay", 0.1, /decay.*0\.1.*InverseTimeDecay/],
    ["gradientAggregator", () => [], /gradientAggregator.*function.*applyGradients/],
    ["gradientTransformers", [], /gradientTransformers.*applyGradients/],
    ["mesh", {}, /mesh of Adamax must be a mesh/],
  ])("%s is refused by name, with what to do instead", (name, value, message) => {
    const error = thrown(() => new Adamax({ [name]: value }));
    expect(error).toBeInstanceOf(OptionError);
    expect(error.message).toMatch(message);
  });
});

test("two optimizers share nothing: their steps interleaved are their steps alone", async () => {
  const alone = [await fiveSteps({ beta1: 0.5 }), await fiveSteps({ clipnorm: 1 })];
  using first = new Adamax({ beta1: 0.5 });
  using second = new Adamax({ clipnorm: 1 });
  const [v, w] = [variable([1, -1, 0.5, 2]), variable([1, -1, 0.5, 2])];
  const together = await inTurn(GRADIENTS, async (gradient) => [
    ...(await step(first, [gradient, v])),
    ...(await step(second, [gradient, w])),
  ]);
  expect([together.map(([a]) => a), together.map(([, b]) => b)]).toEqual(alone);
});

wideTest("a variable of zeros and one of float64 take the same options", async () => {
  using optimizer = new Adamax({ learningRate: 0.5, epsilon: 0, beta1: 0.5 });
  const [v, w] = [new Variable(new Float32Array(1)), new Variable(new Float64Array(1))];
  await step(optimizer, [f32(0.1), v], [Float64Array.of(0.1), w]);
  expectSameBits(await w.read(), Float64Array.of(-0.5));
  expectSameBits(await v.read(), f32(-0.5));
});
