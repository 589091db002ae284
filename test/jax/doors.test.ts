/** What is given to a transformation is compared by keys, and refused with its path; a call that is refused has taken nothing. */

import { type JsTree, jit, numpy as np, tree } from "@jax-js/jax";
import { Adamax, Optimizer, OptionError, ShapeError, schedules } from "adamax";
import { type AdamaxOptions, adamax, applyUpdates, type State, transformation } from "adamax/jax";
import { beforeAll, describe, expect, test } from "vitest";
import { expectError, type Parts, thrown, warnings } from "../semantics/helpers.js";
import { elements, NAMES, type Params, start, treeOf } from "./models.js";

beforeAll(start);

const schedule = new schedules.CosineDecay({ initialLearningRate: 0.1, decaySteps: 5 });
/** The same tree, its keys the other way round. */
const reversed = ({ bias, kernel }: Params): Params => ({ kernel, bias });
const valuesIn = (params: Params) => NAMES.map((name) => elements(params[name]));

describe("instead of options", () => {
  test.each<[unknown, string, string]>([
    [1e-3, "0.001", "Write { learningRate: 0.001 }"],
    [schedule, "an object (CosineDecay)", "Write { learningRate: ... }"],
    [() => np.array(1), "a function", "Write { learningRate: ... }"],
    [null, "null", "Write {} for the defaults"],
    ["fast", '"fast"', "Write {} for the defaults"],
    [[0.1], "[0.1]", "Write {} for the defaults"],
    [new Map([["learningRate", 0.1]]), "an object (Map)", "Write {} for the defaults"],
  ])("%s is refused, with what to write", (given, arrived, advice) => {
    expectError(() => adamax(given as never), OptionError, ["Adamax takes one object of options", arrived, advice]);
  });

  test("options and more are refused", () => {
    const untyped = adamax as (...given: unknown[]) => unknown;
    for (const given of [
      [{}, {}],
      [undefined, 0.9],
    ])
      expect(thrown(() => untyped(...given)).message).toMatch(/Adamax takes one object of options/);
  });

  test("a scalar array is refused, with what to write", () => {
    const parts: Parts = ["Adamax takes one object of options", "float32[]", "Write { learningRate: ... }"];
    expectError(() => adamax(np.array(0.1) as never), OptionError, parts);
  });

  test("an option of ours that is misspelled is named", () => {
    const refusal = (options: object) => thrown(() => adamax(options)).message;
    expect(refusal({ maks: true })).toMatch("maks=true. Did you mean mask?");
    expect(refusal({ scheduleStep: 5 })).toMatch("scheduleStep=5. Did you mean scheduleSteps?");
    expect(refusal({ eps: 1 })).toMatch("Did you mean epsilon?");
    expect(refusal({ groups: [{ variables: [new Float32Array(1)] }] })).toMatch("Groups find parameters by their paths");
  });

  test.each([5, null, {}, Optimizer])("%s has no rule to make a transformation of", (core) => {
    expect(thrown(() => transformation(core as never)).message).toMatch(
      "transformation takes a class of optimizers that has a rule",
    );
  });

  test("options beside the class are refused, with what to write", () => {
    const untyped = transformation as (...given: unknown[]) => unknown;
    expectError(() => untyped(Adamax, { learningRate: 0.1 }), OptionError, [
      "a class alone",
      "an object (Object)",
      "transformation(Adamax)({ ... })",
    ]);
  });
});

/** One step, from fresh state unless it is given. */
const oneStep = (options: AdamaxOptions, change: { grads?: unknown; state?: (state: State) => unknown; rate?: unknown } = {}) => {
  const optimizer = adamax({ learningRate: 0.25, ...options });
  const params = treeOf(0);
  const fresh = optimizer.init(tree.ref(params));
  const [after] = optimizer.step(
    params,
    (change.grads ?? treeOf(1)) as Params,
    (change.state?.(fresh) ?? fresh) as State,
    change.rate as number | undefined,
  );
  return valuesIn(after);
};

test("patterns of groups that match no path are said once, with the paths that there are", () => {
  const said = warnings();
  const optimizer = adamax({ groups: [{ names: ["kernle", "^bias$"], weightDecay: 0 }] });
  for (let i = 0; i < 2; i++) {
    const params = treeOf(0);
    optimizer.step(params, treeOf(1), optimizer.init(tree.ref(params)));
  }
  expect(said).toEqual([expect.stringMatching(/no variable matches .*kernle.*\. There are "bias", "kernel"/)]);
});

test.each<[AdamaxOptions, string]>([
  [{ beta1: 0.99999999999 }, "beta1=0.99999999999, in float32 1"],
  [{ globalClipnorm: 1e39 }, "in float32 Infinity"],
  [{ clipvalue: 1e-50 }, "in float32 0"],
  [{ groups: [{ names: ["bias"], weightDecay: 1e39 }] }, "weightDecay=1e+39, in float32 Infinity"],
])("%o, which float32 cannot hold, is refused for a parameter of float32 alone", (options, received) => {
  const optimizer = adamax(options);
  const single = () => ({ kernel: np.ones([2]), bias: np.ones([2]) });
  const state = adamax().init(single());
  for (const call of [() => optimizer.init(single()), () => optimizer.update(single(), state, single())])
    expect(thrown(call).message).toContain(received);
  const double = () => ({ kernel: np.ones([2], { dtype: np.float64 }), bias: np.ones([2], { dtype: np.float64 }) });
  expect(elements(optimizer.init(double()).count)).toEqual([0]);
});

test("a rate that float32 cannot hold is refused", () => {
  expect(thrown(() => oneStep({}, { rate: 1e39 })).message).toMatch(/must be a finite number of 0 or more that float32 holds/);
});

describe("keys decide, whatever their order", () => {
  const decayed = { weightDecay: 0.5 };

  test("a mask", () => {
    const wanted = oneStep({ ...decayed, mask: { bias: false, kernel: true } });
    expect(wanted).not.toEqual(oneStep({ ...decayed, mask: { bias: true, kernel: false } }));
    expect(oneStep({ ...decayed, mask: { kernel: true, bias: false } })).toEqual(wanted);
    expect(oneStep({ ...decayed, mask: () => ({ kernel: true, bias: false }) })).toEqual(wanted);
  });

  test("gradients, state and updates, eagerly and under jit", () => {
    const optimizer = adamax({ learningRate: 0.25, useEma: true });
    const plain = (params: Params, grads: Params, state: State) => optimizer.step(params, grads, state);
    for (const step of [plain, jit(plain)]) {
      const runs = [(one: Params) => one, reversed].map((order) => {
        let [params, state] = [treeOf(0), optimizer.init(treeOf(0))];
        for (let i = 1; i < 4; i++) {
          const { momentum, norm, average } = state.arrays as Record<string, Params>;
          const arrays = { norm: order(norm!), average: order(average!), momentum: order(momentum!) };
          [params, state] = step(params, order(treeOf(i)), { arrays, count: state.count }) as [Params, State];
        }
        return [valuesIn(params), valuesIn(optimizer.averages<Params>(state))];
      });
      expect(runs[1]).toEqual(runs[0]);
    }
    expect(valuesIn(applyUpdates(treeOf(0), reversed(treeOf(1))))).toEqual(valuesIn(applyUpdates(treeOf(0), treeOf(1))));
  });
});

describe("what is not like the parameters is refused", () => {
  const bias = () => np.zeros([5]);
  const kernel = () => np.zeros([4, 5]);
  const TREE = "must be a tree like the parameters";

  test.each<[string, () => unknown, string, string]>([
    ["a mask of other keys", () => ({ x: true, y: false }), TREE, "nothing for bias, but x, which is no parameter"],
    ["a mask that lacks one", () => ({ bias: true }), TREE, "nothing for kernel"],
    ["a mask that is a list", () => [true, false], TREE, "[true, false] for { bias, kernel }"],
    ["a mask that is true", () => true, TREE, "true for { bias, kernel }"],
    ["a mask of numbers", () => ({ bias: 0, kernel: 1 }), "for bias must be true or false", "0"],
    ["a mask of null", () => ({ bias: true, kernel: null }), "for kernel must be true or false", "null"],
  ])("%s", (_, mask, wrong, arrived) => {
    for (const given of [mask(), mask]) {
      const { message } = thrown(() => oneStep({ weightDecay: 1, mask: given as never }));
      expect(message).toMatch(`The mask ${wrong}`);
      expect(message).toMatch(`Received: ${arrived}.`);
    }
  });

  test.each<[string, () => unknown, Parts]>([
    [
      "a key that is none",
      () => ({ bias: bias(), kernl: kernel() }),
      [TREE, "nothing for kernel, but kernl, which", "one leaf for each"],
    ],
    ["a key too many", () => ({ ...treeOf(1), more: null }), [TREE, "more, which is no parameter", "one leaf for each"]],
    ["a null leaf", () => ({ bias: null, kernel: kernel() }), ["for bias must be float32[5]", "null", "zeros where"]],
    [
      "an undefined leaf",
      () => ({ bias: bias(), kernel: undefined }),
      ["kernel must be float32[4,5]", "undefined", "zeros where"],
    ],
    [
      "typed arrays",
      () => ({ bias: new Float32Array(5), kernel: kernel() }),
      ["for bias", "Float32Array of length 5", "array of jax-js"],
    ],
    ["a tree for a leaf", () => ({ bias: { b: bias() }, kernel: kernel() }), [TREE, "{ b } for bias", "one leaf for each"]],
    ["no tree", () => null, [TREE, "null for { bias, kernel }", "one leaf for each"]],
  ])("gradients: %s", (_, grads, parts) => {
    const optimizer = adamax();
    const [params, state] = [treeOf(0), optimizer.init(treeOf(0))];
    expectError(() => optimizer.step(params, grads() as Params, state), ShapeError, parts);
    expectError(() => applyUpdates(params, grads() as Params), ShapeError, parts);
    const inGraph = jit((given: Params, own: State) => optimizer.step(given, grads() as Params, own));
    expectError(() => inGraph(params, state), ShapeError, parts);
    for (const array of tree.leaves([params, state] as JsTree<np.Array>)) expect(array.refCount).toBe(1);
  });

  const STATE = "The state must be { count: int32[], arrays: { momentum, norm } }";
  test.each<[string, (state: State) => unknown, Parts]>([
    ["null in its arrays", (s) => ({ ...s, arrays: null }), [STATE, "{ count: int32[], arrays: null }", "Pass what init"]],
    ["no arrays", ({ count }) => ({ count }), [STATE, "{ count: int32[], arrays: undefined }", "Pass what init"]],
    ["no count", ({ arrays }) => ({ arrays }), [STATE, "{ count: undefined, arrays: { momentum, norm } }", "Pass what init"]],
    ["a count that is a number", (s) => ({ ...s, count: 0 }), [STATE, "{ count: 0, arrays:", "Pass what init"]],
    ["a count of another dtype", (s) => ({ ...s, count: np.array(0) }), [STATE, "{ count: float32[], arrays:", "Pass what init"]],
    ["the parameters instead", () => treeOf(0), [STATE, "{ bias, kernel }", "Pass what init"]],
    ["nothing", () => [], [STATE, "[]", "Pass what init"]],
    [
      "a slot too few",
      (s) => ({ ...s, arrays: { norm: s.arrays.norm } }),
      [STATE, "{ count: int32[], arrays: { norm } }", "Pass"],
    ],
    [
      "a slot too many",
      (s) => ({ ...s, arrays: { ...s.arrays, x: treeOf(0) } }),
      [STATE, "{ count: int32[], arrays: { momentum, norm, x } }", "Pass"],
    ],
    [
      "a leaf too few",
      (s) => ({ ...s, arrays: { ...s.arrays, norm: { bias: bias() } } }),
      [TREE, "nothing for kernel", "one leaf"],
    ],
    ["null for a slot", (s) => ({ ...s, arrays: { ...s.arrays, norm: null } }), [TREE, "null for { bias, kernel }", "one leaf"]],
    [
      "null for a leaf",
      (s) => ({ ...s, arrays: { ...s.arrays, norm: { bias: null, kernel: kernel() } } }),
      ['State "norm" for bias must be float32[5]', "null", "zeros where"],
    ],
  ])("state: %s", (_, change, parts) => {
    expectError(() => oneStep({}, { state: change }), ShapeError, parts);
  });

  test.each<[string, unknown, string]>([
    ["null", null, "null"],
    ["the parameters", { bias: 1 }, "{ bias }"],
  ])("averages of %s", (_, state, arrived) => {
    const parts: Parts = ["The state must be { count: int32[], arrays: { average, momentum, norm } }", arrived, "Pass what init"];
    expectError(() => adamax({ useEma: true }).averages(state as State), ShapeError, parts);
  });

  test.each<[string, () => unknown, string]>([
    ["null", () => null, "Parameter params must be a float32 or float64 array of jax-js. Received: null."],
    ["a number", () => 5, "Parameter params must be a float32 or float64 array of jax-js. Received: 5."],
    [
      "a null leaf",
      () => ({ dense: [bias(), null] }),
      "Parameter dense/1 must be a float32 or float64 array of jax-js. Received: null.",
    ],
  ])("parameters that are %s", (_, params, message) => {
    expect(thrown(() => adamax().init(params() as never)).message).toMatch(message);
    expect(thrown(() => applyUpdates(params() as never, params() as never)).message).toMatch(message);
  });

  test("keys with a slash are not taken for paths", () => {
    const flat = { "a/b": np.ones([2]), a: { c: np.ones([2]) } };
    const nested = { a: { b: np.ones([2]), c: np.ones([2]) } };
    const optimizer = adamax();
    const message = thrown(() => optimizer.step(flat, nested as never, optimizer.init(tree.ref(flat)))).message;
    expect(message).toMatch("Gradients must be a tree like the parameters. Received: nothing for a/b.");
  });
});

describe("an array that was spent is refused, with its path, and nothing is taken", () => {
  const optimizer = adamax({ useEma: true });
  const pair = (value: number) => ({ a: np.array([value]), b: np.array([value]) });
  const made = () => {
    const params = pair(1);
    return { params, grads: pair(2), state: optimizer.init(tree.ref(params)) };
  };
  type Made = ReturnType<typeof made>;

  test.each<[string, (made: Made) => void, string, string]>([
    ["a gradient", ({ grads }) => grads.b.dispose(), "Gradients for b must be there", "an array that was spent"],
    ["the count", ({ state }) => state.count.dispose(), "The state for count must be there", "an array that was spent"],
    ["a slot", ({ state }) => tree.dispose(state.arrays.norm!), "The state for norm/a must be there", "an array that was spent"],
    [
      "a gradient given for two parameters",
      ({ grads }) => Object.assign(grads, { b: grads.a }),
      "Gradients for b must be there",
      "an array that is given 2 times, with 1 references",
    ],
  ])("%s", (_, spend, message, arrived) => {
    const { params, grads, state } = made();
    spend({ params, grads, state });
    const counts = () =>
      [params, grads, state.arrays].flatMap((one) => tree.leaves<np.Array>(one)).map(({ refCount }) => refCount);
    const before = counts();
    expectError(() => optimizer.step(params, grads, state), ShapeError, [message, arrived, "tree.ref"]);
    expectError(() => optimizer.update(grads, state, params), ShapeError, [message, arrived, "tree.ref"]);
    expect(counts()).toEqual(before);
  });

  test("a parameter, and an average", () => {
    const { params, grads, state } = made();
    tree.dispose([params, state.arrays.average!]); // the first averages are references to the parameters
    const [lost, advice] = ["an array that was spent", ".ref"];
    expectError(() => optimizer.init(params), ShapeError, ["Parameters for a must be there", lost, advice]);
    expectError(() => optimizer.step(params, grads, state), ShapeError, ["Parameters for a must be there", lost, advice]);
    expectError(() => optimizer.averages(state), ShapeError, ["Averages for a must be there", lost, advice]);
    expectError(() => applyUpdates(grads, params), ShapeError, ["Updates for a must be there", lost, advice]);
  });

  test("a rate", () => {
    const { params, grads, state } = made();
    const rate = np.array(0.1);
    rate.dispose();
    const parts: Parts = ["The learning rate of one step must be", "an array that was spent", "schedule.at(i)"];
    expectError(() => optimizer.step(params, grads, state, rate), OptionError, parts);
  });
});

describe("the rate of one step", () => {
  test.each<[unknown, string]>([
    ["x", '"x"'],
    [-1, "-1"],
    [Number.NaN, "NaN"],
    [[1], "[1]"],
    [schedule, "an object (CosineDecay)"],
    [() => 1, "a function"],
  ])("%s is refused", (rate, arrived) => {
    const parts: Parts = [
      "The learning rate of one step must be a finite number of 0 or more that float32 holds, or a scalar",
      arrived,
      "schedule.at(i)",
    ];
    expectError(() => oneStep({}, { rate }), OptionError, parts);
  });

  test("an array that is no scalar is refused, and not taken", () => {
    const rate = np.array([1, 2]);
    expect(thrown(() => oneStep({}, { rate })).message).toMatch("or a scalar array. Received: float32[2].");
    expect(rate.refCount).toBe(1);
  });

  test("null is the option's", () => {
    expect(oneStep({}, { rate: null })).toEqual(oneStep({}));
  });
});
