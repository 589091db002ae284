/** Every method of an optimizer. */

import {
  Adamax,
  type GradientAndVariable,
  IndexedSlices,
  InterpreterBackend,
  type LossAndGradients,
  OptionError,
  type SavedState,
  schedules,
  Variable,
  WasmBackend,
} from "adamax";
import { afterEach, describe, expect, test, vi } from "vitest";
import { expectSameBits, f32, GRADIENTS, replaceWebAssembly, state, step, thrown, variable, warnings } from "./helpers.js";

const START = [1, -1, 0.5, 2];
afterEach(() => vi.restoreAllMocks());

/** Three variables with the same values, an optimizer for them, and its steps. */
const three = (options = {}) => {
  const optimizer = new Adamax(options);
  const variables = ["a", "b", "c"].map((name) => variable(START, name)) as [Variable, Variable, Variable];
  return { optimizer, variables, values: () => variables.map(({ value }) => [...value]) };
};

describe("applyGradients", () => {
  test("gives the same bits for any order of the pairs, also when a norm joins them", () => {
    const run = (order: number[]) => {
      const { optimizer, variables, values } = three({ globalClipnorm: 0.1 });
      optimizer.build(variables);
      for (const gradient of GRADIENTS)
        optimizer.applyGradients(order.map((i) => [gradient.map((value) => value * 3 ** i), variables[i]!]));
      return values();
    };
    expect(run([2, 0, 1])).toEqual(run([0, 1, 2]));
  });

  test("returns the number of updates made so far", () => {
    using optimizer = new Adamax();
    const w = variable([1]);
    expect([1, 2].map(() => optimizer.applyGradients([[f32(1), w]]))).toEqual([1, 2]);
  });

  test("takes any iterable of pairs", () => {
    using optimizer = new Adamax();
    const w = variable([1]);
    expect(optimizer.applyGradients(new Map([[f32(1), w]]))).toBe(1);
    expect(w.value[0]).toBeLessThan(1);
  });

  test("of a subset leaves all other variables and their state alone", () => {
    const {
      optimizer,
      variables: [a, b, c],
      values,
    } = three({ weightDecay: 0.1, useEma: true });
    optimizer.applyGradients([a, b, c].map((variable) => [GRADIENTS[0]!, variable]));
    const kept = () => ["momentum", "norm", "average"].map((slot) => [...state(optimizer, slot, "b")]);
    const before = [values()[1], kept()];
    optimizer.applyGradients([
      [GRADIENTS[1]!, c],
      [GRADIENTS[1]!, a],
    ]);
    expect([values()[1], kept()]).toEqual(before);
  });

  test("freezing and unfreezing a variable, it goes on from its own state", () => {
    const {
      optimizer,
      variables: [a, b],
    } = three();
    optimizer.applyGradients([
      [f32(8, 8, 8, 8), a],
      [f32(1, 1, 1, 1), b],
    ]);
    const momentum = [...state(optimizer, "momentum", "b")];
    optimizer.applyGradients([[f32(8, 8, 8, 8), a]]);
    optimizer.applyGradients([[f32(0, 0, 0, 0), b]]);
    const oneMinusBeta1 = Math.fround(1 - 0.9);
    expect([...state(optimizer, "momentum", "b")]).toEqual(momentum.map((m) => Math.fround(m + Math.fround(-m * oneMinusBeta1))));
  });

  test("of an empty list changes nothing, builds nothing and returns iterations", () => {
    using optimizer = new Adamax();
    expect(optimizer.applyGradients([])).toBe(0);
    expect(optimizer.trainableVariables).toEqual([]);
    step(optimizer, [f32(1), variable([1])]);
    expect(optimizer.applyGradients([])).toBe(1);
    expect(optimizer.iterations).toBe(1);
  });

  test("leaves out null gradients, with one warning for each variable that names it", () => {
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
    expect([values()[0], values()[2]]).toEqual([START, START]);
  });

  test("a variable without a gradient in the first call can get one later", () => {
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
    expect(a.value[0]).toBeLessThan(1);
  });

  test("updates arrays that stand as variables in place, with the bits of a Variable", () => {
    using optimizer = new Adamax();
    using other = new Adamax();
    const [w, array] = [variable(START), Float32Array.from(START)];
    for (const gradient of GRADIENTS) expect(step(optimizer, [gradient, array])).toEqual(step(other, [gradient, w]));
  });

  test("updates a variable with adopt: false in the array that it was made of", () => {
    const array = Float32Array.from(START);
    const w = new Variable(array, { adopt: false });
    step(new Adamax(), [GRADIENTS[0]!, w]);
    expect(w.value).toBe(array);
    expect([...array]).not.toEqual(START);
  });

  test("calls a constraint after every update, with the value; in place or by what it returns", () => {
    const inPlace = new Variable(f32(5, -5), { constraint: (value) => void value.fill(7) });
    const returned = new Variable(f32(5, -5), { constraint: (value) => value.map((x) => Math.max(x, 0)) });
    using optimizer = new Adamax({ learningRate: 1, gradientAccumulationSteps: 2 });
    expect(step(optimizer, [f32(1, 1), inPlace], [f32(1, 1), returned])).toEqual([
      [5, -5],
      [5, -5],
    ]);
    const [[a], [b, c]] = step(optimizer, [f32(1, 1), inPlace], [f32(1, 1), returned]) as [[number], [number, number]];
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

  test("an array is free for reuse when the call returns, also while micro-batches accumulate", () => {
    const run = (reuse: boolean) => {
      using optimizer = new Adamax({ gradientAccumulationSteps: 2 });
      const w = variable(START);
      const shared = new Float32Array(4);
      for (const gradient of GRADIENTS) {
        shared.set(gradient);
        optimizer.applyGradients([[reuse ? shared : gradient, w]]);
        shared.fill(Number.NaN);
      }
      return [...w.value];
    };
    expect(run(true)).toEqual(run(false));
  });

  test("one array serves two variables in a call", () => {
    using optimizer = new Adamax();
    const [a, b] = step(optimizer, [GRADIENTS[0]!, variable(START)], [GRADIENTS[0]!, variable(START)]);
    expect(a).toEqual(b);
  });

  test("what was written into variable.gradient before build is not lost", () => {
    const w = variable([1, 1]);
    w.gradient.set([2, 3]);
    using optimizer = new Adamax({ beta1: 0 });
    optimizer.build([w]);
    step(optimizer, [w.gradient, w]);
    expect([...state(optimizer, "momentum")]).toEqual([2, 3]);
  });
});

describe("minimize", () => {
  const w = () => variable([4]);
  const loss = (w: Variable): LossAndGradients => ({ loss: w.value[0]! ** 2, gradients: [[w.value.map((x) => 2 * x), w]] });

  test("applies the gradients that the loss function returns, and returns the loss before the step", () => {
    using optimizer = new Adamax({ learningRate: 0.5 });
    const x = w();
    expect(optimizer.minimize(() => loss(x))).toBe(16);
    expect(x.value[0]).toBeLessThan(4);
    expect(optimizer.iterations).toBe(1);
  });

  test("of an asynchronous loss resolves to the loss when the step is made", async () => {
    using optimizer = new Adamax({ learningRate: 0.5 });
    const x = w();
    await expect(optimizer.minimize(async () => loss(x))).resolves.toBe(16);
    expect(optimizer.iterations).toBe(1);
  });

  test("makes no step when the loss function fails", async () => {
    using optimizer = new Adamax();
    await expect(optimizer.minimize(() => Promise.reject(new Error("no loss")))).rejects.toThrow("no loss");
    expect(optimizer.iterations).toBe(0);
  });

  test("brings a quadratic loss down", () => {
    using optimizer = new Adamax({ learningRate: 0.1 });
    const x = w();
    for (let i = 0; i < 200; i++) optimizer.minimize(() => loss(x));
    expect(Math.abs(x.value[0]!)).toBeLessThan(0.01);
  });
});

describe("build and extend", () => {
  test("build takes the values in, and makes m and u of zeros", () => {
    using optimizer = new Adamax({ useEma: true });
    const w = variable(START);
    optimizer.build([w]);
    expect([...w.value]).toEqual(START);
    expect(w.owner).toBe("Adamax");
    expect(optimizer.trainableVariables).toEqual([w]);
    expect(["momentum", "norm", "average"].map((slot) => [...state(optimizer, slot)])).toEqual([
      [0, 0, 0, 0],
      [0, 0, 0, 0],
      START,
    ]);
  });

  test("a second build is an error that names extend", () => {
    using optimizer = new Adamax();
    optimizer.build([variable([1])]);
    expect(thrown(() => optimizer.build([variable([1])])).message).toMatch(
      /Received: one that is built for 1 variables\..*extend/,
    );
  });

  test.each(["wasm", "interpreter"] as const)("%s: onProgress is told how much of the state's memory is ready", (backend) => {
    const optimizer = new Adamax({ backend, useEma: true, threads: 1 });
    const told: { bytes: number; total: number }[] = [];
    optimizer.build([variable([1, 2]), new Variable(new Float64Array(3), { name: "b" })], {
      onProgress: (now) => told.push(now),
    });
    const total = 3 * (2 * 4 + 3 * 8); // average, momentum and norm
    expect(told.map((now) => now.total)).toEqual(told.map(() => total));
    expect(told.map(({ bytes }) => bytes)).toEqual([8, 16, 24, 48, 72, total]);
    optimizer.extend([variable([1], "late")], { onProgress: (now) => told.push(now) });
    expect(told.at(-1)).toEqual({ bytes: 12, total: 12 });
  });

  test("extend adds variables with a fresh state; the older ones and the step count go on", () => {
    using optimizer = new Adamax({ globalClipnorm: 100, weightDecay: 0.1 });
    using alone = new Adamax({ globalClipnorm: 100, weightDecay: 0.1 });
    const [a, again] = [variable(START, "a"), variable(START, "a")];
    const late = new Variable(Float64Array.of(1), { name: "late" });
    expect(step(optimizer, [GRADIENTS[0]!, a])).toEqual(step(alone, [GRADIENTS[0]!, again]));
    optimizer.extend([late]);
    expect(step(optimizer, [GRADIENTS[1]!, a], [Float64Array.of(1), late])[0]).toEqual(step(alone, [GRADIENTS[1]!, again])[0]);
    expect(optimizer.iterations).toBe(2);
    expect(state(optimizer, "norm", "late")[0]).toBe(1);
  });

  test("a second optimizer on an adopted variable is an error that names the first; after dispose it is none", () => {
    const w = variable([1]);
    const first = new Adamax({ name: "teacher" });
    first.build([w]);
    using second = new Adamax();
    expect(thrown(() => second.build([w])).message).toMatch(/"w" .* is trained by another optimizer \(teacher\)\. Dispose/s);
    expect(w.owner).toBe("teacher");
    first.dispose();
    second.build([w]);
    expect(w.owner).toBe("Adamax");
  });

  test("value and gradient are views: the same arrays in every step, in one memory", () => {
    using optimizer = new Adamax();
    const w = variable(START);
    optimizer.build([w]);
    const { value, gradient } = w;
    expect(gradient.buffer).toBe(value.buffer);
    gradient.fill(1);
    step(optimizer, [gradient, w]);
    expect([w.value, w.gradient]).toEqual([value, gradient]);
    expect(w.value).toBe(value);
    expect(value[0]).toBeLessThan(START[0]!);
  });

  test("a gradient written into variable.gradient gives the bits of an array passed in", () => {
    const [one, other] = [new Adamax(), new Adamax()];
    const [v, w] = [variable(START), variable(START)];
    one.build([v]);
    for (const gradient of GRADIENTS) {
      v.gradient.set(gradient);
      expect(step(one, [v.gradient, v])).toEqual(step(other, [gradient, w]));
    }
  });

  test.each([new WasmBackend(), new InterpreterBackend()])(
    "what others build on the same backend meanwhile changes nothing ($name)",
    (backend) => {
      const [alone, first] = [new Adamax({ backend: backend.name as "wasm" }), new Adamax({ backend })];
      const [again, w] = [variable(START), variable(START)];
      for (const gradient of GRADIENTS) {
        expect(step(first, [gradient, w])).toEqual(step(alone, [gradient, again]));
        const other = new Adamax({ backend });
        other.build([new Variable(new Float32Array(20_000))]);
        expect([...w.value]).toEqual([...again.value]);
        first.extend([new Variable(new Float32Array(5_000))]);
      }
      expect(first.variables.slice(1, 3).map(({ value }) => [...value])).toEqual(
        alone.variables.slice(1).map(({ value }) => [...value]),
      );
    },
  );

  test("a model of 5000 tensors is one dispatch", () => {
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
  test("is what the next step takes, and what getConfig writes", () => {
    using optimizer = new Adamax({ learningRate: 0.5 });
    optimizer.learningRate = 0.25;
    expect(optimizer.learningRate).toBe(0.25);
    expect(optimizer.getConfig().learning_rate).toBe(0.25);
    expect(step(optimizer, [f32(1), variable([0])])).toEqual(step(new Adamax({ learningRate: 0.25 }), [f32(1), variable([0])]));
    optimizer.learningRate = f32(0.125);
    expect(optimizer.learningRate).toBe(0.125);
    optimizer.learningRate = () => 2;
    expect(optimizer.learningRate).toBe(2);
  });

  test("that follows a schedule can be read and not set", () => {
    using optimizer = new Adamax({
      learningRate: new schedules.InverseTimeDecay({ initialLearningRate: 1, decaySteps: 1, decayRate: 1 }),
    });
    step(optimizer, [f32(1), variable([0])]);
    expect(optimizer.learningRate).toBe(0.5);
    expect(thrown(() => (optimizer.learningRate = 0.1)).message).toMatch(/follows a schedule cannot be set.* Received: 0.1/);
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
    const bias = new Variable(new Float64Array(1), { shape: [], name: "bias" });
    optimizer.build([kernel, bias]);
    expect(optimizer.variables.map(({ name, shape, dtype }) => [name, shape, dtype])).toEqual([
      ["Adamax/iteration", [], "int64"],
      ["Adamax/average/kernel", [2, 3], "float32"],
      ["Adamax/average/bias", [], "float64"],
      ["Adamax/accumulator/kernel", [2, 3], "float32"],
      ["Adamax/accumulator/bias", [], "float64"],
      ["Adamax/momentum/kernel", [2, 3], "float32"],
      ["Adamax/norm/kernel", [2, 3], "float32"],
      ["Adamax/momentum/bias", [], "float64"],
      ["Adamax/norm/bias", [], "float64"],
    ]);
  });

  test("addVariable and addVariableFromReference add arrays of zeros, which are saved and loaded with the rest", () => {
    const make = () => {
      const optimizer = new Adamax();
      const w = new Variable(Float64Array.of(1, 2), { shape: [2, 1], name: "w" });
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
      ["Adamax/like/w", [2, 1], "float64"],
    ]);
    expect([...one.count.value, ...one.like.value]).toEqual([0, 0, 0, 0]);
    one.count.value.set([5, 6]);
    one.like.value.set([7, 8]);
    other.optimizer.loadOwnVariables(one.optimizer.saveOwnVariables());
    expect([...other.count.value, ...other.like.value]).toEqual([5, 6, 7, 8]);
  });
});

describe("excludeFromWeightDecay", () => {
  const decayed = (exclude: (optimizer: Adamax, kernel: Variable) => void) => {
    using optimizer = new Adamax({ weightDecay: 0.5, learningRate: 0.5 });
    const [kernel, bias] = [variable([1], "dense/kernel"), variable([1], "dense/bias")];
    exclude(optimizer, kernel);
    return step(optimizer, [f32(0), kernel], [f32(0), bias]).flat();
  };

  test("by identity, by text and by regular expression spares those and no other", () => {
    expect(decayed(() => {})).toEqual([0.75, 0.75]);
    expect(decayed((optimizer, kernel) => optimizer.excludeFromWeightDecay({ variables: [kernel] }))).toEqual([1, 0.75]);
    expect(decayed((optimizer) => optimizer.excludeFromWeightDecay({ names: ["bias"] }))).toEqual([0.75, 1]);
    expect(decayed((optimizer) => optimizer.excludeFromWeightDecay({ names: [/^dense\/k/] }))).toEqual([1, 0.75]);
  });

  test("called twice excludes both", () => {
    const both = decayed((optimizer, kernel) => {
      optimizer.excludeFromWeightDecay({ variables: [kernel] });
      optimizer.excludeFromWeightDecay({ names: ["bias"] });
    });
    expect(both).toEqual([1, 1]);
  });

  test("after build is an error", () => {
    using optimizer = new Adamax({ weightDecay: 0.5 });
    optimizer.build([variable([1])]);
    expect(thrown(() => optimizer.excludeFromWeightDecay({ names: ["w"] })).message).toMatch(/before the optimizer is built/);
  });
});

describe("averages", () => {
  const averaging = () => {
    const optimizer = new Adamax({ useEma: true, learningRate: 0.5 });
    const w = variable([1]);
    step(optimizer, [f32(1), w]);
    return { optimizer, w, value: w.value[0]!, average: state(optimizer, "average")[0]! };
  };

  test("finalizeVariableValues writes them into the variables; without useEma it does nothing", () => {
    const { optimizer, w, average } = averaging();
    optimizer.finalizeVariableValues();
    expect(w.value[0]).toBe(average);

    using plain = new Adamax();
    const v = variable([1]);
    const [[value]] = step(plain, [f32(1), v]) as [[number]];
    plain.finalizeVariableValues();
    expect(v.value[0]).toBe(value);
  });

  test("swapAverages exchanges them with the variables, and called again exchanges them back", () => {
    const { optimizer, w, value, average } = averaging();
    optimizer.swapAverages();
    expect(w.value[0]).toBe(average);
    optimizer.swapAverages();
    expect([w.value[0], state(optimizer, "average")[0]]).toEqual([value, average]);
  });

  test("between two swaps no step can be made, and nothing be saved or loaded", () => {
    const { optimizer, w, average } = averaging();
    const saved = optimizer.saveOwnVariables();
    optimizer.swapAverages();
    expect(thrown(() => step(optimizer, [f32(1), w])).message).toMatch(/hold their averages.*swapAverages again/);
    expect(() => optimizer.saveOwnVariables()).toThrow(OptionError);
    expect(() => optimizer.loadOwnVariables(saved)).toThrow(OptionError);
    expect([w.value[0], optimizer.iterations]).toEqual([average, 1]);
    optimizer.swapAverages();
    expect(optimizer.applyGradients([[f32(1), w]])).toBe(2);
  });

  test("finalizeVariableValues after a swap leaves the averages in the variables", () => {
    const { optimizer, w, average } = averaging();
    optimizer.swapAverages();
    optimizer.finalizeVariableValues();
    expect([w.value[0], state(optimizer, "average")[0]]).toEqual([average, average]);
    expect(optimizer.applyGradients([[f32(1), w]])).toBe(2);
  });

  test("swapAverages without useEma is an error", () => {
    expect(thrown(() => new Adamax().swapAverages()).message).toMatch(/no averages.*useEma=false.*useEma: true/);
  });
});

describe("micro-batches", () => {
  test("iterations counts updates, schedules see calls, and t is updates + 1", () => {
    const at = vi.fn(() => 0.5);
    class Watched extends schedules.LearningRateSchedule {
      at = at;
      getConfig = () => ({});
    }
    using optimizer = new Adamax({ gradientAccumulationSteps: 3, learningRate: new Watched(), beta1: 0.5, epsilon: 0 });
    const w = variable([1]);
    expect([1, 2, 3, 4, 5, 6].map(() => optimizer.applyGradients([[f32(1), w]]))).toEqual([0, 0, 1, 1, 1, 2]);
    expect(at.mock.calls).toEqual([[0], [1], [2], [3], [4], [5]]);
    expect(w.value[0]).toBe(0); // with t counted right, each update of a constant gradient is one learning rate long
  });

  test("a null gradient in the last call of a window counts as zero; what was accumulated is applied", () => {
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
    expect([...state(optimizer, "momentum", "a")]).toEqual([2, 1, 0, -1]);
    expect([...state(optimizer, "accumulator", "a")]).toEqual([0, 0, 0, 0]);
  });

  test("a variable without any gradient in a window is left alone", () => {
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
    expect(values()[0]).toEqual(START);
  });

  test("averages move once in an update, not in every call", () => {
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
    const seen = [1, 2, 3, 4].map(() => [step(optimizer, [f32(1), w])[0]![0], state(optimizer, "average")[0]]);
    expect(seen).toEqual([
      [1, 1],
      [0.5, 0.75],
      [0.5, 0.75],
      [0.375, 0.375],
    ]);
  });

  test("decay, clipping and constraints wait for the update", () => {
    using optimizer = new Adamax({ gradientAccumulationSteps: 2, clipvalue: 1, weightDecay: 0.5, learningRate: 0.5, beta1: 0 });
    const w = variable([1]);
    expect(step(optimizer, [f32(3), w])).toEqual([[1]]);
    step(optimizer, [f32(-2), w]);
    expect(state(optimizer, "momentum")[0]).toBe(0.5); // clipped is the mean, not each gradient
  });

  test("resuming inside a window gives the same bits", () => {
    const make = () => ({ optimizer: new Adamax({ gradientAccumulationSteps: 3 }), w: variable(START) });
    const [one, other] = [make(), make()];
    for (const gradient of GRADIENTS.slice(0, 2)) step(one.optimizer, [gradient, one.w]);
    other.optimizer.build([other.w]);
    other.optimizer.loadOwnVariables(one.optimizer.saveOwnVariables());
    for (const gradient of GRADIENTS.slice(2))
      expect(step(other.optimizer, [gradient, other.w])).toEqual(step(one.optimizer, [gradient, one.w]));
  });
});

describe("state", () => {
  const OPTIONS = { useEma: true, emaOverwriteFrequency: 3, weightDecay: 0.1 };
  const trained = (steps: number, options: object = OPTIONS) => {
    const optimizer = new Adamax(options);
    const variables = [variable(START, "a"), variable([3, 2, 1, 0], "b")];
    optimizer.build(variables);
    const go = (gradients: Float32Array[]) =>
      gradients.map((gradient) => step(optimizer, [gradient, variables[0]!], [gradient, variables[1]!]));
    go(GRADIENTS.slice(0, steps));
    return { optimizer, variables, go };
  };

  test.each(["tf_keras", "keras"] as const)("saved in the order of %s and loaded resumes with the same bits", (order) => {
    const [one, other] = [trained(2), trained(0)];
    const saved = one.optimizer.saveOwnVariables({}, order);
    other.variables.forEach((variable, i) => void variable.value.set(one.variables[i]!.value));
    other.optimizer.loadOwnVariables(saved);
    expect(other.optimizer.iterations).toBe(2);
    expect(other.go(GRADIENTS.slice(2))).toEqual(one.go(GRADIENTS.slice(2)));
  });

  test("stands under numbers: iteration, (learning rate,) averages, then m and u of each variable", () => {
    const { optimizer } = trained(2);
    const average = (name: string) => [...state(optimizer, "average", name)];
    const slots = ["a", "b"].flatMap((name) => [[...state(optimizer, "momentum", name)], [...state(optimizer, "norm", name)]]);
    const list = (saved: SavedState) => Object.entries(saved).map(([key, values]) => [key, ...[...values].map(Number)]);
    const numbered = (arrays: number[][]) => arrays.map((values, i) => [`${i}`, ...values]);
    expect(list(optimizer.saveOwnVariables())).toEqual(numbered([[2], average("a"), average("b"), ...slots]));
    expect(list(optimizer.saveOwnVariables({}, "keras"))).toEqual(
      numbered([[2], [Math.fround(0.001)], average("a"), average("b"), ...slots]),
    );
  });

  test("in the order of Keras has a learning rate only if that is a number", () => {
    const { optimizer } = trained(1, {
      learningRate: new schedules.ExponentialDecay({ initialLearningRate: 1, decaySteps: 1, decayRate: 0.5 }),
    });
    expect(Object.keys(optimizer.saveOwnVariables({}, "keras"))).toHaveLength(5);
    expect(Object.keys(trained(1, {}).optimizer.saveOwnVariables({}, "keras"))).toHaveLength(6);
  });

  test("in the order of Keras carries a learning rate that was changed", () => {
    const [one, other] = [trained(1, {}), trained(0, {})];
    one.optimizer.learningRate = 0.25;
    other.optimizer.loadOwnVariables(one.optimizer.saveOwnVariables({}, "keras"));
    expect(other.optimizer.learningRate).toBe(0.25);
  });

  test("in the order of Keras leaves a learning rate that rounds to the saved float32 as it is", () => {
    const { optimizer } = trained(1, {});
    optimizer.loadOwnVariables(optimizer.saveOwnVariables({}, "keras"));
    expect(optimizer.learningRate).toBe(0.001);
  });

  test("of a variable that is called learning_rate is loaded like any other", () => {
    const make = () => {
      const [optimizer, rate] = [new Adamax(), variable([1], "learning_rate")];
      optimizer.build([rate]);
      return { optimizer, rate };
    };
    const [one, other] = [make(), make()];
    step(one.optimizer, [f32(1), one.rate]);
    other.optimizer.loadOwnVariables(one.optimizer.saveOwnVariables());
    expect([...state(other.optimizer, "norm", "learning_rate")]).toEqual([1]);
    expect(other.optimizer.learningRate).toBe(0.001);
  });

  test("saved is a copy", () => {
    const { optimizer, go } = trained(1);
    const saved = optimizer.saveOwnVariables();
    const before = Object.values(saved).map((values) => [...values]);
    go(GRADIENTS);
    expect(Object.values(saved).map((values) => [...values])).toEqual(before);
  });

  test("goes into a store that was given, beside what is there", () => {
    const store: SavedState = { mine: f32(1) };
    expect(trained(1).optimizer.saveOwnVariables(store)).toBe(store);
    expect(Object.keys(store)).toContain("mine");
  });

  test("setWeights takes the same arrays as a list", () => {
    const [one, other] = [trained(3), trained(0)];
    other.optimizer.setWeights(Object.values(one.optimizer.saveOwnVariables()));
    expect(other.optimizer.iterations).toBe(3);
    expect(other.optimizer.variables.map(({ value }) => [...value])).toEqual(
      one.optimizer.variables.map(({ value }) => [...value]),
    );
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
    const { jitCompile, ...settings } = Adamax.fromConfig({ ...EVERYTHING, jitCompile: false }).settings;
    expect(jitCompile).toBe(false);
    expect(settings).toEqual((({ jitCompile: _, ...rest }) => rest)(new Adamax(EVERYTHING).settings));
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
    expect(thrown(() => Adamax.fromConfig(config)).message).toMatch(/learning_rate is a function.*Pass it again/);
    expect(Adamax.fromConfig(config, { learningRate: () => 0.25 }).learningRate).toBe(0.25);
  });

  test("groups by variable are written as patterns that match exactly its name", () => {
    const [w, other] = [variable([1], "a.b/w+"), variable([1], "a.b/w+2")];
    const config = new Adamax({ groups: [{ variables: [w], learningRateMultiplier: 0 }] }).getConfig();
    using again = Adamax.fromConfig(JSON.parse(JSON.stringify(config)));
    const [same, moved] = step(again, [f32(1), w], [f32(1), other]);
    expect(same).toEqual([1]);
    expect(moved).not.toEqual([1]);
  });

  test("a pattern with flags keeps them, or getConfig refuses to write it", () => {
    const optimizer = new Adamax({ learningRate: 1, groups: [{ names: [/BIAS/i], learningRateMultiplier: 0 }] });
    const kept = () =>
      step(Adamax.fromConfig(JSON.parse(JSON.stringify(optimizer.getConfig()))), [f32(1), variable([1], "bias")]);
    try {
      expect(kept()).toEqual([[1]]);
    } catch (error) {
      expect((error as Error).message).toMatch(/flags/);
    }
  });
});

describe("dispose", () => {
  test("hands every value back in an ordinary array, and frees the variable for another optimizer", () => {
    const [w, foreign] = [variable(START), Float32Array.from(START)];
    const optimizer = new Adamax();
    const values = step(optimizer, [GRADIENTS[0]!, w], [GRADIENTS[0]!, foreign]);
    const inside = w.value;
    optimizer.dispose();
    expect([[...w.value], [...foreign]]).toEqual(values);
    expect(w.value.buffer).not.toBe(inside.buffer);
    expect(w.value.buffer.byteLength).toBe(16);
    expect(w.owner).toBeNull();
  });

  test("twice is harmless, and does not touch what another optimizer then owns", () => {
    const w = variable([1]);
    const first = new Adamax();
    first.build([w]);
    first.dispose();
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
