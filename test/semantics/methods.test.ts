/** Every method of an optimizer. */

import {
  Adamax,
  type GradientAndVariable,
  IndexedSlices,
  InterpreterBackend,
  type LossAndGradients,
  OptionError,
  type SavedState,
  ShapeError,
  schedules,
  type Values,
  Variable,
  WasmBackend,
} from "adamax";
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  expectSameBits,
  f32,
  fiveSteps,
  GRADIENTS,
  inTurn,
  isDevice,
  nearTest,
  read,
  rejected,
  replaceWebAssembly,
  save,
  state,
  stateOf,
  step,
  thrown,
  variable,
  WIDE,
  Wide,
  warnings,
} from "./helpers.js";

const START = [1, -1, 0.5, 2];
afterEach(() => vi.restoreAllMocks());

/** Three variables with the same values, an optimizer for them, and its steps. */
const three = (options = {}) => {
  const optimizer = new Adamax(options);
  const variables = ["a", "b", "c"].map((name) => variable(START, name)) as [Variable, Variable, Variable];
  return { optimizer, variables, values: () => Promise.all(variables.map(read)) };
};

describe("applyGradients", () => {
  test("gives the same bits for any order of the pairs, also when a norm joins them", async () => {
    const run = (order: number[]) => {
      const { optimizer, variables, values } = three({ globalClipnorm: 0.1 });
      optimizer.build(variables);
      for (const gradient of GRADIENTS)
        optimizer.applyGradients(order.map((i) => [gradient.map((value) => value * 3 ** i), variables[i]!]));
      return values();
    };
    expect(await run([2, 0, 1])).toEqual(await run([0, 1, 2]));
  });

  test("returns the number of updates made so far", () => {
    using optimizer = new Adamax();
    const w = variable([1]);
    expect([1, 2].map(() => optimizer.applyGradients([[f32(1), w]]))).toEqual([1, 2]);
  });

  test("takes any iterable of pairs", async () => {
    using optimizer = new Adamax();
    const w = variable([1]);
    expect(optimizer.applyGradients(new Map([[f32(1), w]]))).toBe(1);
    expect((await read(w))[0]).toBeLessThan(1);
  });

  test("of a subset leaves all other variables and their state alone", async () => {
    const {
      optimizer,
      variables: [a, b, c],
      values,
    } = three({ weightDecay: 0.1, useEma: true });
    optimizer.applyGradients([a, b, c].map((variable) => [GRADIENTS[0]!, variable]));
    const kept = () => inTurn(["momentum", "norm", "average"], async (slot) => [...(await state(optimizer, slot, "b"))]);
    const before = [(await values())[1], await kept()];
    optimizer.applyGradients([
      [GRADIENTS[1]!, c],
      [GRADIENTS[1]!, a],
    ]);
    expect([(await values())[1], await kept()]).toEqual(before);
  });

  test("freezing and unfreezing a variable, it goes on from its own state", async () => {
    const {
      optimizer,
      variables: [a, b],
    } = three();
    optimizer.applyGradients([
      [f32(8, 8, 8, 8), a],
      [f32(1, 1, 1, 1), b],
    ]);
    const momentum = [...(await state(optimizer, "momentum", "b"))];
    optimizer.applyGradients([[f32(8, 8, 8, 8), a]]);
    optimizer.applyGradients([[f32(0, 0, 0, 0), b]]);
    const oneMinusBeta1 = Math.fround(1 - 0.9);
    expect([...(await state(optimizer, "momentum", "b"))]).toEqual(
      momentum.map((m) => Math.fround(m + Math.fround(-m * oneMinusBeta1))),
    );
  });

  test("of an empty list changes nothing, builds nothing and returns iterations", async () => {
    using optimizer = new Adamax();
    expect(optimizer.applyGradients([])).toBe(0);
    expect(optimizer.trainableVariables).toEqual([]);
    await step(optimizer, [f32(1), variable([1])]);
    expect(optimizer.applyGradients([])).toBe(1);
    expect(optimizer.iterations).toBe(1);
  });

  test("leaves out null gradients, with one warning for each variable that names it", async () => {
    const warned = warnings();
    const {
      optimizer,
      variables: [a, b, c],
      values,
    } = three();
    for (let i = 0; i < 3; i++)
      optimizer.applyGradients([
        [null, a],
        [f32(1, 1, 1, 1), b],
        [undefined, c],
      ]);
    expect(warned).toEqual([expect.stringMatching(/no gradient for variable "a", variable "c"/)]);
    const [ofA, , ofC] = await values();
    expect([ofA, ofC]).toEqual([START, START]);
  });

  test("a variable without a gradient in the first call can get one later", async () => {
    warnings();
    const {
      optimizer,
      variables: [a, b],
    } = three();
    optimizer.applyGradients([
      [null, a],
      [f32(1, 1, 1, 1), b],
    ]);
    optimizer.applyGradients([[f32(1, 1, 1, 1), a]]);
    expect((await read(a))[0]).toBeLessThan(1);
  });

  nearTest("updates arrays that stand as variables in place, with the bits of a Variable", async () => {
    using optimizer = new Adamax();
    using other = new Adamax();
    const [w, array] = [variable(START), Float32Array.from(START)];
    for (const gradient of GRADIENTS) expect(await step(optimizer, [gradient, array])).toEqual(await step(other, [gradient, w]));
  });

  nearTest("updates a variable with adopt: false in the array that it was made of", async () => {
    const array = Float32Array.from(START);
    const w = new Variable(array, { adopt: false });
    await step(new Adamax(), [GRADIENTS[0]!, w]);
    expect(w.value).toBe(array);
    expect([...array]).not.toEqual(START);
  });

  nearTest("calls a constraint after every update, with the value; in place or by what it returns", async () => {
    const inPlace = new Variable(f32(5, -5), { constraint: (value) => void value.fill(7) });
    const returned = new Variable(f32(5, -5), { constraint: (value) => value.map((x) => Math.max(x, 0)) });
    using optimizer = new Adamax({ learningRate: 1, gradientAccumulationSteps: 2 });
    expect(await step(optimizer, [f32(1, 1), inPlace], [f32(1, 1), returned])).toEqual([
      [5, -5],
      [5, -5],
    ]);
    const [[a], [b, c]] = (await step(optimizer, [f32(1, 1), inPlace], [f32(1, 1), returned])) as [[number], [number, number]];
    expect([a, b < 5, c]).toEqual([7, true, 0]);
  });
});

describe("gradients belong to the caller", () => {
  const cases: [string, (w: Variable) => GradientAndVariable[0]][] = [
    ["a foreign array", () => f32(3, -2, 1e-40, 8)],
    [
      "variable.gradient",
      ({ gradient }) => {
        gradient.set([3, -2, 1e-40, 8]);
        return gradient;
      },
    ],
    ["IndexedSlices", () => new IndexedSlices(f32(3, -2, 1e-40, 8, 1), [3, 1, 0, 2, 3])],
  ];
  test.each(cases)("%s is not written, also where the step scales, clips and flushes it", (_, make) => {
    using optimizer = new Adamax({ lossScaleFactor: 2, globalClipnorm: 0.1, weightDecay: 0.1 });
    const w = variable(START);
    optimizer.build([w]);
    const gradient = make(w)!;
    const values = (gradient instanceof IndexedSlices ? gradient.values : gradient) as Float32Array;
    const before = values.slice();
    for (let i = 0; i < 3; i++) optimizer.applyGradients([[gradient, w]]);
    expectSameBits(values, before);
  });

  test("an array is free for reuse when the call returns, also while micro-batches accumulate", async () => {
    const run = async (reuse: boolean) => {
      using optimizer = new Adamax({ gradientAccumulationSteps: 2 });
      const w = variable(START);
      const shared = new Float32Array(4);
      for (const gradient of GRADIENTS) {
        shared.set(gradient);
        optimizer.applyGradients([[reuse ? shared : gradient, w]]);
        shared.fill(Number.NaN);
      }
      return await read(w);
    };
    expect(await run(true)).toEqual(await run(false));
  });

  test("one array serves two variables in a call", async () => {
    using optimizer = new Adamax();
    const [a, b] = await step(optimizer, [GRADIENTS[0]!, variable(START)], [GRADIENTS[0]!, variable(START)]);
    expect(a).toEqual(b);
  });

  test("what was written into variable.gradient before build is not lost", async () => {
    const w = variable([1, 1]);
    w.gradient.set([2, 3]);
    using optimizer = new Adamax({ beta1: 0 });
    optimizer.build([w]);
    await step(optimizer, [w.gradient, w]);
    expect([...(await state(optimizer, "momentum"))]).toEqual([2, 3]);
  });
});

describe("minimize", () => {
  const w = () => variable([4]);
  const lossOf = (value: Values, w: Variable): LossAndGradients => ({
    loss: value[0]! ** 2,
    gradients: [[value.map((x) => 2 * x), w]],
  });
  const loss = async (w: Variable) => lossOf(await w.read(), w);

  test("applies the gradients that the loss function returns, and returns the loss before the step", async () => {
    using optimizer = new Adamax({ learningRate: 0.5 });
    const x = w();
    const value = await x.read();
    expect(optimizer.minimize(() => lossOf(value, x))).toBe(16);
    expect((await read(x))[0]).toBeLessThan(4);
    expect(optimizer.iterations).toBe(1);
  });

  test("of an asynchronous loss resolves to the loss when the step is made", async () => {
    using optimizer = new Adamax({ learningRate: 0.5 });
    const x = w();
    await expect(optimizer.minimize(() => loss(x))).resolves.toBe(16);
    expect(optimizer.iterations).toBe(1);
  });

  test("makes no step when the loss function fails", async () => {
    using optimizer = new Adamax();
    await expect(optimizer.minimize(() => Promise.reject(new Error("no loss")))).rejects.toThrow("no loss");
    expect(optimizer.iterations).toBe(0);
  });

  test("brings a quadratic loss down", async () => {
    using optimizer = new Adamax({ learningRate: 0.1 });
    const x = w();
    for (let i = 0; i < 200; i++) await optimizer.minimize(() => loss(x));
    expect(Math.abs((await read(x))[0]!)).toBeLessThan(0.01);
  });
});

describe("build and extend", () => {
  test("build takes the values in, and makes m and u of zeros", async () => {
    using optimizer = new Adamax({ useEma: true });
    const w = variable(START);
    optimizer.build([w]);
    expect(await read(w)).toEqual(START);
    expect(w.owner).toBe("Adamax");
    expect(optimizer.trainableVariables).toEqual([w]);
    expect(await inTurn(["momentum", "norm", "average"], async (slot) => [...(await state(optimizer, slot))])).toEqual([
      [0, 0, 0, 0],
      [0, 0, 0, 0],
      START,
    ]);
  });

  test("a second build is an error that names extend", () => {
    using optimizer = new Adamax();
    optimizer.build([variable([1])]);
    expect(thrown(() => optimizer.build([variable([1])])).message).toMatch(
      /build must come before build\. Received: 1 variables\..*extend/,
    );
  });

  test.each(["wasm", "interpreter"] as const)(
    "%s: onProgress is told how much of the state's memory is ready",
    async (backend) => {
      const optimizer = new Adamax({ backend, useEma: true, threads: 1 });
      const told: { bytes: number; total: number }[] = [];
      const first = variable([1, 2]);
      optimizer.build([first, new Variable(new Wide(3), { name: "b" })], {
        onProgress: (now) => told.push(now),
      });
      await first.read(); // where memory is far, progress is told before what is read after
      if (isDevice && backend === "wasm") {
        expect(told).toEqual([{ bytes: 4 * 512, total: 4 * 512 }]); // with the values, at once; each array begins on 256 bytes
        return;
      }
      const wide = 3 * Wide.BYTES_PER_ELEMENT;
      const total = 3 * (2 * 4 + wide); // average, momentum and norm
      expect(told.map((now) => now.total)).toEqual(told.map(() => total));
      expect(told.map(({ bytes }) => bytes)).toEqual([8, 16, 24, 24 + wide, 24 + 2 * wide, total]);
      const late = variable([1], "late");
      optimizer.extend([late], { onProgress: (now) => told.push(now) });
      await late.read();
      expect(told.at(-1)).toEqual({ bytes: 12, total: 12 });
    },
  );

  test("extend adds variables with a fresh state; the older ones and the step count go on", async () => {
    using optimizer = new Adamax({ globalClipnorm: 100, weightDecay: 0.1 });
    using alone = new Adamax({ globalClipnorm: 100, weightDecay: 0.1 });
    const [a, again] = [variable(START, "a"), variable(START, "a")];
    const late = new Variable(Wide.of(1), { name: "late" });
    expect(await step(optimizer, [GRADIENTS[0]!, a])).toEqual(await step(alone, [GRADIENTS[0]!, again]));
    optimizer.extend([late]);
    const [ofA] = await step(optimizer, [GRADIENTS[1]!, a], [Wide.of(1), late]);
    expect([ofA]).toEqual(await step(alone, [GRADIENTS[1]!, again]));
    expect(optimizer.iterations).toBe(2);
    expect((await state(optimizer, "norm", "late"))[0]).toBe(1);
  });

  test("a second optimizer on an adopted variable is an error that names the first; after dispose it is none", async () => {
    const w = variable([1]);
    const first = new Adamax({ name: "teacher" });
    first.build([w]);
    using second = new Adamax();
    expect(thrown(() => second.build([w])).message).toMatch(
      /"w" .* is trained by another optimizer\. Received: teacher\. Dispose/,
    );
    expect(w.owner).toBe("teacher");
    first.dispose();
    await w.read(); // where memory is far, the value takes its time to come back
    second.build([w]);
    expect(w.owner).toBe("Adamax");
  });

  nearTest("value and gradient are views: the same arrays in every step, in one memory", async () => {
    using optimizer = new Adamax();
    const w = variable(START);
    optimizer.build([w]);
    const { value, gradient } = w;
    expect(gradient.buffer).toBe(value.buffer);
    gradient.fill(1);
    await step(optimizer, [gradient, w]);
    expect([w.value, w.gradient]).toEqual([value, gradient]);
    expect(w.value).toBe(value);
    expect(value[0]).toBeLessThan(START[0]!);
  });

  test("a gradient written into variable.gradient gives the bits of an array passed in", async () => {
    const [one, other] = [new Adamax(), new Adamax()];
    const [v, w] = [variable(START), variable(START)];
    one.build([v]);
    for (const gradient of GRADIENTS) {
      v.gradient.set(gradient);
      expect(await step(one, [v.gradient, v])).toEqual(await step(other, [gradient, w]));
    }
  });

  test.each([new WasmBackend(), new InterpreterBackend()])(
    "what others build on the same backend meanwhile changes nothing ($name)",
    async (backend) => {
      const [alone, first] = [new Adamax({ backend: backend.name as "wasm" }), new Adamax({ backend })];
      const [again, w] = [variable(START), variable(START)];
      for (const gradient of GRADIENTS) {
        expect(await step(first, [gradient, w])).toEqual(await step(alone, [gradient, again]));
        const other = new Adamax({ backend });
        other.build([new Variable(new Float32Array(20_000))]);
        expect(await read(w)).toEqual(await read(again));
        first.extend([new Variable(new Float32Array(5_000))]);
      }
      expect((await stateOf(first)).slice(1, 3)).toEqual((await stateOf(alone)).slice(1));
    },
  );

  nearTest("a model of 5000 tensors is one dispatch", () => {
    const { Instance } = WebAssembly;
    let dispatches = 0;
    replaceWebAssembly("Instance", (module: WebAssembly.Module, imports: WebAssembly.Imports) => {
      const run = new Instance(module, imports).exports.run as (...words: number[]) => void;
      const counted = (...words: number[]) => {
        dispatches++;
        run(...words);
      };
      return { exports: { run: counted } };
    });
    using optimizer = new Adamax({ backend: "wasm" });
    const variables = Array.from({ length: 5000 }, () => variable([1, 2, 3]));
    optimizer.build(variables);
    optimizer.applyGradients(variables.map((variable) => [variable.gradient, variable]));
    expect(dispatches).toBe(1);
  });
});

describe("learningRate", () => {
  test("is what the next step takes, and what getConfig writes", async () => {
    using optimizer = new Adamax({ learningRate: 0.5 });
    optimizer.learningRate = 0.25;
    expect(optimizer.learningRate).toBe(0.25);
    expect(optimizer.getConfig().learning_rate).toBe(0.25);
    expect(await step(optimizer, [f32(1), variable([0])])).toEqual(
      await step(new Adamax({ learningRate: 0.25 }), [f32(1), variable([0])]),
    );
    optimizer.learningRate = f32(0.125);
    expect(optimizer.learningRate).toBe(0.125);
    optimizer.learningRate = () => 2;
    expect(optimizer.learningRate).toBe(2);
  });

  test("that follows a schedule can be read and not set", async () => {
    using optimizer = new Adamax({
      learningRate: new schedules.InverseTimeDecay({ initialLearningRate: 1, decaySteps: 1, decayRate: 1 }),
    });
    await step(optimizer, [f32(1), variable([0])]);
    expect(optimizer.learningRate).toBe(0.5);
    expect(thrown(() => (optimizer.learningRate = 0.1)).message).toMatch(
      /learningRate of Adamax must be a schedule with at\(step\)\. Received: learningRate=0.1\. Give such a value/,
    );
    expect(optimizer.learningRate).toBe(0.5);
  });

  test.each([-1, Number.NaN, Number.POSITIVE_INFINITY, f32(1, 2), "0.1"])("cannot be set to %s", (value) => {
    using optimizer = new Adamax();
    expect(thrown(() => (optimizer.learningRate = value as number))).toBeInstanceOf(OptionError);
    expect(optimizer.learningRate).toBe(0.001);
  });
});

describe("variables", () => {
  test("are the iteration, then averages, accumulators, and m and u of each variable, with their shapes", () => {
    using optimizer = new Adamax({ useEma: true, gradientAccumulationSteps: 2 });
    const kernel = new Variable(new Float32Array(6), { shape: [2, 3], name: "kernel" });
    const bias = new Variable(new Wide(1), { shape: [], name: "bias" });
    optimizer.build([kernel, bias]);
    expect(optimizer.variables.map(({ name, shape, dtype }) => [name, shape, dtype])).toEqual([
      ["Adamax/iteration", [], "int64"],
      ["Adamax/average/kernel", [2, 3], "float32"],
      ["Adamax/average/bias", [], WIDE],
      ["Adamax/accumulator/kernel", [2, 3], "float32"],
      ["Adamax/accumulator/bias", [], WIDE],
      ["Adamax/momentum/kernel", [2, 3], "float32"],
      ["Adamax/norm/kernel", [2, 3], "float32"],
      ["Adamax/momentum/bias", [], WIDE],
      ["Adamax/norm/bias", [], WIDE],
    ]);
  });

  test("addVariable and addVariableFromReference add arrays of zeros, which are saved and loaded with the rest", async () => {
    const make = () => {
      const optimizer = new Adamax();
      const w = new Variable(Wide.of(1, 2), { shape: [2, 1], name: "w" });
      optimizer.build([w]);
      return {
        optimizer,
        count: optimizer.addVariable({ shape: [2], name: "count" }),
        like: optimizer.addVariableFromReference(w, "like"),
      };
    };
    const [one, other] = [make(), make()];
    expect(one.optimizer.variables.slice(-2).map(({ name, shape, dtype }) => [name, shape, dtype])).toEqual([
      ["Adamax/count", [2], "float32"],
      ["Adamax/like/w", [2, 1], WIDE],
    ]);
    expect([...(await read(one.count)), ...(await read(one.like))]).toEqual([0, 0, 0, 0]);
    await one.count.write([5, 6]);
    await one.like.write([7, 8]);
    other.optimizer.loadOwnVariables(await save(one.optimizer));
    expect([...(await read(other.count)), ...(await read(other.like))]).toEqual([5, 6, 7, 8]);
  });
});

describe("read and write", () => {
  test("take effect in the order of the calls, also where nobody awaits them", async () => {
    const {
      optimizer,
      variables: [w],
    } = three();
    optimizer.build([w]);
    const seen = [read(w)];
    optimizer.applyGradients([[GRADIENTS[0]!, w]]);
    seen.push(read(w));
    const written = w.write(Float64Array.of(4, 3, 2, 1));
    seen.push(read(w));
    optimizer.applyGradients([[GRADIENTS[1]!, w]]);
    seen.push(read(w));
    await written;
    const [first] = await fiveSteps();
    expect(await Promise.all(seen.slice(0, 3))).toEqual([START, first, [4, 3, 2, 1]]);
    expect(await seen[3]).not.toEqual([4, 3, 2, 1]);
    expect(optimizer.iterations).toBe(2);
  });

  test("give and take a copy", async () => {
    const w = variable(START);
    using optimizer = new Adamax();
    optimizer.build([w]);
    const given = f32(4, 3, 2, 1);
    const written = w.write(given);
    given.fill(0);
    (await w.read()).fill(0);
    await written;
    expect(await read(w)).toEqual([4, 3, 2, 1]);
  });

  test("work before build and after dispose too", async () => {
    const w = variable(START);
    await w.write([4, 3, 2, 1]);
    const optimizer = new Adamax();
    optimizer.build([w]);
    expect(await read(w)).toEqual([4, 3, 2, 1]);
    optimizer.dispose();
    const given = f32(...START);
    const written = w.write(given);
    given.fill(0);
    expect(await read(w)).toEqual(START);
    await written;
  });

  test("a value of another length is refused, and nothing is written", async () => {
    const w = variable(START);
    const error = await rejected(w.write([1, 2]));
    expect(error).toBeInstanceOf(ShapeError);
    expect(error.message).toMatch(/variable "w" .* takes 4 numbers. Received: \[1, 2\]. Write all/);
    expect(await read(w)).toEqual(START);
  });

  test("between two swaps nothing can be written: the value is on the other side", async () => {
    using optimizer = new Adamax({ useEma: true });
    const w = variable(START);
    optimizer.build([w]);
    optimizer.swapAverages();
    expect((await rejected(w.write([4, 3, 2, 1]))).message).toMatch(/hold their averages.*Call swapAverages first/);
    optimizer.swapAverages();
    expect(await read(w)).toEqual(START);
  });
});

describe("excludeFromWeightDecay", () => {
  const decayed = async (exclude: (optimizer: Adamax, kernel: Variable) => void) => {
    using optimizer = new Adamax({ weightDecay: 0.5, learningRate: 0.5 });
    const [kernel, bias] = [variable([1], "dense/kernel"), variable([1], "dense/bias")];
    exclude(optimizer, kernel);
    return (await step(optimizer, [f32(0), kernel], [f32(0), bias])).flat();
  };

  test("by identity, by text and by regular expression spares those and no other", async () => {
    expect(await decayed(() => {})).toEqual([0.75, 0.75]);
    expect(await decayed((optimizer, kernel) => optimizer.excludeFromWeightDecay({ variables: [kernel] }))).toEqual([1, 0.75]);
    expect(await decayed((optimizer) => optimizer.excludeFromWeightDecay({ names: ["bias"] }))).toEqual([0.75, 1]);
    expect(await decayed((optimizer) => optimizer.excludeFromWeightDecay({ names: [/^dense\/k/] }))).toEqual([1, 0.75]);
  });

  test("called twice excludes both", async () => {
    const both = await decayed((optimizer, kernel) => {
      optimizer.excludeFromWeightDecay({ variables: [kernel] });
      optimizer.excludeFromWeightDecay({ names: ["bias"] });
    });
    expect(both).toEqual([1, 1]);
  });

  test("after build is an error", () => {
    using optimizer = new Adamax({ weightDecay: 0.5 });
    optimizer.build([variable([1])]);
    expect(thrown(() => optimizer.excludeFromWeightDecay({ names: ["w"] })).message).toMatch(
      /excludeFromWeightDecay must come before build\. Received: 1 variables\. Move the call up/,
    );
  });
});

describe("averages", () => {
  const averaging = async () => {
    const optimizer = new Adamax({ useEma: true, learningRate: 0.5 });
    const w = variable([1]);
    await step(optimizer, [f32(1), w]);
    return { optimizer, w, value: (await read(w))[0]!, average: (await state(optimizer, "average"))[0]! };
  };

  test("finalizeVariableValues writes them into the variables; without useEma it does nothing", async () => {
    const { optimizer, w, average } = await averaging();
    optimizer.finalizeVariableValues();
    expect((await read(w))[0]).toBe(average);

    using plain = new Adamax();
    const v = variable([1]);
    const [[value]] = (await step(plain, [f32(1), v])) as [[number]];
    plain.finalizeVariableValues();
    expect((await read(v))[0]).toBe(value);
  });

  test("those of a variable that never had a gradient are exchanged and finalized with the others", async () => {
    using optimizer = new Adamax({ useEma: true, learningRate: 1 });
    const [v, w] = [variable([1, 2], "v"), variable([3, 4], "w")];
    optimizer.build([v, w]);
    optimizer.applyGradients([[f32(1, -1), v]]);
    optimizer.swapAverages();
    expect(await read(w)).toEqual([3, 4]);
    optimizer.swapAverages();
    optimizer.finalizeVariableValues();
    expect([await read(w), (await read(v)).map((x) => x.toFixed(2))]).toEqual([
      [3, 4],
      ["0.99", "2.01"],
    ]);
  });

  test("swapAverages exchanges them with the variables, and called again exchanges them back", async () => {
    const { optimizer, w, value, average } = await averaging();
    optimizer.swapAverages();
    expect((await read(w))[0]).toBe(average);
    optimizer.swapAverages();
    expect([(await read(w))[0], (await state(optimizer, "average"))[0]]).toEqual([value, average]);
  });

  test("between two swaps no step can be made, and nothing be saved or loaded", async () => {
    const { optimizer, w, average } = await averaging();
    const saved = await save(optimizer);
    optimizer.swapAverages();
    expect(thrown(() => step(optimizer, [f32(1), w])).message).toMatch(/hold their averages.*Call swapAverages first/);
    expect(() => optimizer.saveOwnVariables()).toThrow(OptionError);
    expect(() => optimizer.loadOwnVariables(saved)).toThrow(OptionError);
    expect([(await read(w))[0], optimizer.iterations]).toEqual([average, 1]);
    optimizer.swapAverages();
    expect(optimizer.applyGradients([[f32(1), w]])).toBe(2);
  });

  test("finalizeVariableValues after a swap leaves the averages in the variables", async () => {
    const { optimizer, w, average } = await averaging();
    optimizer.swapAverages();
    optimizer.finalizeVariableValues();
    expect([(await read(w))[0], (await state(optimizer, "average"))[0]]).toEqual([average, average]);
    expect(optimizer.applyGradients([[f32(1), w]])).toBe(2);
  });

  test("swapAverages without useEma is an error", () => {
    expect(thrown(() => new Adamax().swapAverages()).message).toMatch(
      /useEma of Adamax must be true\. Received: useEma=false\. Give/,
    );
  });
});

describe("micro-batches", () => {
  test("iterations counts updates, schedules see calls, and t is updates + 1", async () => {
    const at = vi.fn(() => 0.5);
    class Watched extends schedules.LearningRateSchedule {
      at = at;
      getConfig = () => ({});
    }
    using optimizer = new Adamax({ gradientAccumulationSteps: 3, learningRate: new Watched(), beta1: 0.5, epsilon: 0 });
    const w = variable([1]);
    expect([1, 2, 3, 4, 5, 6].map(() => optimizer.applyGradients([[f32(1), w]]))).toEqual([0, 0, 1, 1, 1, 2]);
    expect(at.mock.calls).toEqual([[0], [1], [2], [3], [4], [5]]);
    expect((await read(w))[0]).toBe(0); // with t counted right, each update of a constant gradient is one learning rate long
  });

  test("a null gradient in the last call of a window counts as zero; what was accumulated is applied", async () => {
    warnings();
    const {
      optimizer,
      variables: [a, b],
    } = three({ gradientAccumulationSteps: 2, beta1: 0 });
    optimizer.applyGradients([
      [f32(4, 2, 0, -2), a],
      [f32(1, 1, 1, 1), b],
    ]);
    optimizer.applyGradients([
      [null, a],
      [f32(1, 1, 1, 1), b],
    ]);
    expect([...(await state(optimizer, "momentum", "a"))]).toEqual([2, 1, 0, -1]);
    expect([...(await state(optimizer, "accumulator", "a"))]).toEqual([0, 0, 0, 0]);
  });

  test("a variable without any gradient in a window is left alone", async () => {
    warnings();
    const {
      optimizer,
      variables: [a, b],
      values,
    } = three({ gradientAccumulationSteps: 2, weightDecay: 0.5 });
    for (let i = 0; i < 2; i++)
      optimizer.applyGradients([
        [null, a],
        [f32(1, 1, 1, 1), b],
      ]);
    expect((await values())[0]).toEqual(START);
  });

  test("averages move once in an update, not in every call", async () => {
    using optimizer = new Adamax({
      gradientAccumulationSteps: 2,
      useEma: true,
      emaMomentum: 0.5,
      emaOverwriteFrequency: 2,
      learningRate: 0.5,
      beta1: 0.5,
      epsilon: 0,
    });
    const w = variable([1]);
    const seen = await inTurn([1, 2, 3, 4], async () => [
      (await step(optimizer, [f32(1), w]))[0]![0],
      (await state(optimizer, "average"))[0],
    ]);
    expect(seen).toEqual([
      [1, 1],
      [0.5, 0.75],
      [0.5, 0.75],
      [0.375, 0.375],
    ]);
  });

  test("decay, clipping and constraints wait for the update", async () => {
    using optimizer = new Adamax({ gradientAccumulationSteps: 2, clipvalue: 1, weightDecay: 0.5, learningRate: 0.5, beta1: 0 });
    const w = variable([1]);
    expect(await step(optimizer, [f32(3), w])).toEqual([[1]]);
    await step(optimizer, [f32(-2), w]);
    expect((await state(optimizer, "momentum"))[0]).toBe(0.5); // clipped is the mean, not each gradient
  });

  test("resuming inside a window gives the same bits", async () => {
    const make = () => ({ optimizer: new Adamax({ gradientAccumulationSteps: 3 }), w: variable(START) });
    const [one, other] = [make(), make()];
    for (const gradient of GRADIENTS.slice(0, 2)) await step(one.optimizer, [gradient, one.w]);
    other.optimizer.build([other.w]);
    other.optimizer.loadOwnVariables(await save(one.optimizer));
    for (const gradient of GRADIENTS.slice(2))
      expect(await step(other.optimizer, [gradient, other.w])).toEqual(await step(one.optimizer, [gradient, one.w]));
  });
});

describe("state", () => {
  const OPTIONS = { useEma: true, emaOverwriteFrequency: 3, weightDecay: 0.1 };
  const trained = (steps: number, options: object = OPTIONS) => {
    const optimizer = new Adamax(options);
    const variables = [variable(START, "a"), variable([3, 2, 1, 0], "b")];
    optimizer.build(variables);
    const go = (gradients: Float32Array[]) =>
      Promise.all(gradients.map((gradient) => step(optimizer, [gradient, variables[0]!], [gradient, variables[1]!])));
    void go(GRADIENTS.slice(0, steps));
    return { optimizer, variables, go };
  };

  test.each(["tf_keras", "keras"] as const)("saved in the order of %s and loaded resumes with the same bits", async (order) => {
    const [one, other] = [trained(2), trained(0)];
    const saved = await save(one.optimizer, order);
    for (const [i, variable] of other.variables.entries()) await variable.write(await one.variables[i]!.read());
    other.optimizer.loadOwnVariables(saved);
    expect(other.optimizer.iterations).toBe(2);
    expect(await other.go(GRADIENTS.slice(2))).toEqual(await one.go(GRADIENTS.slice(2)));
  });

  test("stands under numbers: iteration, (learning rate,) averages, then m and u of each variable", async () => {
    const { optimizer } = trained(2);
    const arrays = (...places: [slot: string, name: string][]) =>
      inTurn(places, async ([slot, name]) => [...(await state(optimizer, slot, name))]);
    const averages = await arrays(["average", "a"], ["average", "b"]);
    const slots = await arrays(["momentum", "a"], ["norm", "a"], ["momentum", "b"], ["norm", "b"]);
    const list = (saved: SavedState) => Object.entries(saved).map(([key, values]) => [key, ...[...values].map(Number)]);
    const numbered = (arrays: number[][]) => arrays.map((values, i) => [`${i}`, ...values]);
    expect(list(await save(optimizer))).toEqual(numbered([[2], ...averages, ...slots]));
    expect(list(await save(optimizer, "keras"))).toEqual(numbered([[2], [Math.fround(0.001)], ...averages, ...slots]));
  });

  test("in the order of Keras has a learning rate only if that is a number", async () => {
    const { optimizer } = trained(1, {
      learningRate: new schedules.ExponentialDecay({ initialLearningRate: 1, decaySteps: 1, decayRate: 0.5 }),
    });
    expect(Object.keys(await save(optimizer, "keras"))).toHaveLength(5);
    expect(Object.keys(await save(trained(1, {}).optimizer, "keras"))).toHaveLength(6);
  });

  test("in the order of Keras carries a learning rate that was changed", async () => {
    const [one, other] = [trained(1, {}), trained(0, {})];
    one.optimizer.learningRate = 0.25;
    other.optimizer.loadOwnVariables(await save(one.optimizer, "keras"));
    expect(other.optimizer.learningRate).toBe(0.25);
  });

  test("in the order of Keras leaves a learning rate that rounds to the saved float32 as it is", async () => {
    const { optimizer } = trained(1, {});
    optimizer.loadOwnVariables(await save(optimizer, "keras"));
    expect(optimizer.learningRate).toBe(0.001);
  });

  test("of a variable that is called learning_rate is loaded like any other", async () => {
    const make = () => {
      const [optimizer, rate] = [new Adamax(), variable([1], "learning_rate")];
      optimizer.build([rate]);
      return { optimizer, rate };
    };
    const [one, other] = [make(), make()];
    await step(one.optimizer, [f32(1), one.rate]);
    other.optimizer.loadOwnVariables(await save(one.optimizer));
    expect([...(await state(other.optimizer, "norm", "learning_rate"))]).toEqual([1]);
    expect(other.optimizer.learningRate).toBe(0.001);
  });

  test("saved is a copy", async () => {
    const { optimizer, go } = trained(1);
    const saved = await save(optimizer);
    const before = Object.values(saved).map((values) => [...values]);
    await go(GRADIENTS);
    expect(Object.values(saved).map((values) => [...values])).toEqual(before);
  });

  test("goes into a store that was given, beside what is there", async () => {
    const store: SavedState = { mine: f32(1) };
    expect(await save(trained(1).optimizer, "tf_keras", store)).toBe(store);
    expect(Object.keys(store)).toContain("mine");
  });

  test("setWeights takes the same arrays as a list", async () => {
    const [one, other] = [trained(3), trained(0)];
    other.optimizer.setWeights(Object.values(await save(one.optimizer)));
    expect(other.optimizer.iterations).toBe(3);
    expect(await stateOf(other.optimizer)).toEqual(await stateOf(one.optimizer));
  });
});

describe("getConfig and fromConfig", () => {
  const EVERYTHING = {
    learningRate: 0.01,
    beta1: 0.8,
    beta2: 0.99,
    epsilon: 1e-6,
    weightDecay: 0.004,
    globalClipnorm: 1.5,
    useEma: true,
    emaMomentum: 0.95,
    emaOverwriteFrequency: 100,
    emaStart: "firstStep",
    lossScaleFactor: 128,
    gradientAccumulationSteps: 4,
    jitCompile: true,
    name: "mine",
    groups: [{ names: ["bias"], learningRateMultiplier: 0.5, weightDecay: null }],
  } as const;
  const COMMON = [
    "name",
    "weight_decay",
    "clipnorm",
    "global_clipnorm",
    "clipvalue",
    "use_ema",
    "ema_momentum",
    "ema_overwrite_frequency",
    "learning_rate",
    "beta_1",
    "beta_2",
    "epsilon",
  ];

  test("the keys are those of tf_keras, or those of Keras 3, and no other", () => {
    const optimizer = new Adamax();
    expect(Object.keys(optimizer.getConfig()).sort()).toEqual([...COMMON, "jit_compile", "is_legacy_optimizer"].sort());
    expect(Object.keys(optimizer.getConfig("keras")).sort()).toEqual(
      [...COMMON, "loss_scale_factor", "gradient_accumulation_steps"].sort(),
    );
  });

  test.each(["tf_keras", "keras"] as const)("a round trip through JSON in the dialect of %s keeps every option", (dialect) => {
    const optimizer = new Adamax(EVERYTHING);
    const config = JSON.parse(JSON.stringify(optimizer.getConfig(dialect)));
    const again = Adamax.fromConfig(config);
    expect(again.settings).toEqual(optimizer.settings);
    expect(again.hyperparameters).toEqual(optimizer.hyperparameters);
    expect(again.getConfig(dialect)).toEqual(config);
  });

  test("camelCase is read too, our jitCompile included", () => {
    const { settings } = Adamax.fromConfig({ ...EVERYTHING, jitCompile: false });
    expect(settings.jitCompile).toBe(false);
    expect(settings).toEqual(new Adamax({ ...EVERYTHING, jitCompile: false }).settings);
  });

  test("a jit_compile that Python wrote is not taken over: what that machine had is not what this one has", () => {
    expect(Adamax.fromConfig({ jit_compile: false }).settings.jitCompile).toBe(true);
    expect(Adamax.fromConfig({ jit_compile: false }, { jitCompile: false }).settings.jitCompile).toBe(false);
  });

  test("overrides replace what the configuration says", () => {
    expect(Adamax.fromConfig({ learning_rate: 1, clipnorm: 2 }, { learningRate: 0.5 }).settings).toMatchObject({
      learningRate: 0.5,
      clipnorm: 2,
    });
  });

  test("a schedule comes back as itself; one of your own, from the classes that you pass", () => {
    class Mine extends schedules.LearningRateSchedule {
      constructor(readonly options: { scale: number }) {
        super();
      }
      at = (step: number) => this.options.scale / (1 + step);
      getConfig = () => ({ ...this.options });
    }
    const decay = new schedules.ExponentialDecay({ initialLearningRate: 1, decaySteps: 1, decayRate: 0.5 });
    const again = Adamax.fromConfig(new Adamax({ learningRate: decay }).getConfig());
    expect(again.settings.learningRate).toEqual(decay);
    const config = JSON.parse(JSON.stringify(new Adamax({ learningRate: new Mine({ scale: 3 }) }).getConfig()));
    expect(Adamax.fromConfig(config, {}, { Mine }).learningRate).toBe(3);
    expect(thrown(() => Adamax.fromConfig(config)).message).toMatch(/Mine/);
  });

  test("a function cannot be written down: reading it without giving it again is an error, with it none", () => {
    const config = JSON.parse(JSON.stringify(new Adamax({ learningRate: () => 0.5 }).getConfig()));
    expect(thrown(() => Adamax.fromConfig(config)).message).toMatch(/learning_rate is a function.*Pass learningRate again/);
    expect(Adamax.fromConfig(config, { learningRate: () => 0.25 }).learningRate).toBe(0.25);
  });

  test("groups by variable are written as patterns that match exactly its name", async () => {
    const [w, other] = [variable([1], "a.b/w+"), variable([1], "a.b/w+2")];
    const config = new Adamax({ groups: [{ variables: [w], learningRateMultiplier: 0 }] }).getConfig();
    using again = Adamax.fromConfig(JSON.parse(JSON.stringify(config)));
    const [same, moved] = await step(again, [f32(1), w], [f32(1), other]);
    expect(same).toEqual([1]);
    expect(moved).not.toEqual([1]);
  });

  test("a pattern with flags keeps them, or getConfig refuses to write it", async () => {
    const optimizer = new Adamax({ learningRate: 1, groups: [{ names: [/BIAS/i], learningRateMultiplier: 0 }] });
    const kept = () =>
      step(Adamax.fromConfig(JSON.parse(JSON.stringify(optimizer.getConfig()))), [f32(1), variable([1], "bias")]);
    try {
      expect(await kept()).toEqual([[1]]);
    } catch (error) {
      expect((error as Error).message).toMatch(/flags/);
    }
  });
});

describe("dispose", () => {
  test("hands every value back in an ordinary array, and frees the variable for another optimizer", async () => {
    const w = variable(START);
    const optimizer = new Adamax();
    const values = await step(optimizer, [GRADIENTS[0]!, w]);
    const inside = w.visible;
    optimizer.dispose();
    expect([await read(w)]).toEqual(values);
    expect(w.value.buffer).not.toBe(inside?.buffer);
    expect(w.value.buffer.byteLength).toBe(16);
    expect(w.owner).toBeNull();
  });

  nearTest("leaves an array that stood as a variable as the last step did", async () => {
    const array = Float32Array.from(START);
    const optimizer = new Adamax();
    const values = await step(optimizer, [GRADIENTS[0]!, array]);
    optimizer.dispose();
    expect([[...array]]).toEqual(values);
  });

  test("twice is harmless, and does not touch what another optimizer then owns", async () => {
    const w = variable([1]);
    const first = new Adamax();
    first.build([w]);
    first.dispose();
    await w.read();
    using second = new Adamax({ name: "second" });
    second.build([w]);
    first.dispose();
    expect(w.owner).toBe("second");
  });

  test("happens at the end of a `using` block", () => {
    const w = variable([1]);
    {
      using optimizer = new Adamax();
      optimizer.build([w]);
      expect(w.owner).toBe("Adamax");
    }
    expect(w.owner).toBeNull();
  });
});
