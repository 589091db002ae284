/** What surrounds the step in jax-js: graphs, references, trees, rates. */

import { type JsTree, jit, makeJaxpr, numpy as np, tree, valueAndGrad } from "@jax-js/jax";
import { defineRule, Optimizer, schedules } from "adamax";
import { adamax, applyUpdates, type State, transformation } from "adamax/jax";
import { beforeAll, describe, expect, test } from "vitest";
import { thrown } from "../semantics/helpers.js";
import { elements, NAMES, type Params, start, treeOf } from "./models.js";

beforeAll(start);

const valuesIn = (params: Params) => NAMES.map((name) => elements(params[name]));

/** The parameters after some steps, jitted once; and how often the step was traced. */
const train = (options: Parameters<typeof adamax>[0], steps: number, rate?: (step: number) => number) => {
  const optimizer = adamax(options);
  let traced = 0;
  const step = jit((params: Params, grads: Params, state: State, ...rates: np.Array[]) => {
    traced++;
    return optimizer.step(params, grads, state, ...rates);
  });
  let params = treeOf(0);
  let state = optimizer.init(tree.ref(params));
  for (let i = 0; i < steps; i++)
    [params, state] = step(params, treeOf(i + 1), state, ...(rate ? [np.array(rate(i))] : [])) as [Params, State];
  const values = valuesIn(params);
  tree.dispose([params, state]);
  step.dispose();
  return { values, traced };
};

describe("under jit", () => {
  test("ten steps are traced once", () => {
    expect(train({ learningRate: 0.1, useEma: true, emaOverwriteFrequency: 3 }, 10).traced).toBe(1);
  });

  test("a step brings no arrays of its own into the graph: its arguments are those that it is given", () => {
    const optimizer = adamax({ weightDecay: 0.1, clipnorm: 1, useEma: true, gradientAccumulationSteps: 2 });
    const step = (params: Params, grads: Params, state: State) => optimizer.step(params, grads, state);
    const given = [treeOf(0), treeOf(1), optimizer.init(treeOf(0))] as [Params, Params, State];
    const { jaxpr } = makeJaxpr(step)(...given);
    expect(jaxpr.consts).toEqual([]);
    expect(jaxpr.jaxpr.inBinders).toHaveLength(tree.leaves(given as JsTree<np.Array>).length);
    tree.dispose(given as JsTree<np.Array>);
  });

  test("a whole training step compiles: gradients, update, and parameters", () => {
    const optimizer = adamax({ learningRate: 0.1 });
    const loss = (w: np.Array) => np.sum(np.square(w.sub(np.array([1, 2, 3]))));
    const step = jit((w: np.Array, state: State) => {
      const [value, gradient] = valueAndGrad(loss)(w.ref);
      const [updates, next] = optimizer.update(gradient, state, w.ref);
      return [applyUpdates(w, updates), next, value] as [np.Array, State, np.Array];
    });
    let w = np.zeros([3]);
    let state = optimizer.init(w.ref);
    let value = np.array(0);
    for (let i = 0; i < 200; i++) {
      value.dispose();
      [w, state, value] = step(w, state) as [np.Array, State, np.Array];
    }
    expect(value.item()).toBeLessThan(1e-4);
    expect(w.refCount).toBe(1);
    tree.dispose([w, state]);
  });

  test("a schedule has the rates that it has outside, and keeps its last one", () => {
    const learningRate = new schedules.ExponentialDecay({ initialLearningRate: 0.1, decaySteps: 2, decayRate: 0.5 });
    const inGraph = train({ learningRate, scheduleSteps: 4 }, 8).values;
    const given = train({}, 8, (step) => learningRate.at(Math.min(step, 3))).values;
    expect(inGraph).toEqual(given);
  });

  test("a rate that is an argument changes from step to step without another trace", () => {
    const changing = train({}, 6, (step) => 0.1 / (1 + step));
    expect(changing.traced).toBe(1);
    expect(changing.values).not.toEqual(train({}, 6, () => 0.1).values);
  });

  test("a rate computed in the graph is the same rate", () => {
    const learningRate = (count: np.Array) => np.divide(np.array(0.5), count.add(1).astype(np.float32));
    expect(train({ learningRate }, 4).values).toEqual(
      train({}, 4, (step) => Math.fround(0.5 * Math.fround(1 / (step + 1)))).values,
    );
  });
});

describe("references", () => {
  test("init, step and averages take what they are given, and nothing more", () => {
    const optimizer = adamax({ useEma: true });
    const [params, grads] = [treeOf(0), treeOf(1)];
    const state = optimizer.init(tree.ref(params));
    const [after, next] = optimizer.step(tree.ref(params), tree.ref(grads), tree.ref(state));
    tree.dispose(state);
    const averages = optimizer.averages<Params>(next);
    tree.dispose(averages);
    const held = [
      ...Object.values(params),
      ...Object.values(grads),
      ...Object.values(after),
      ...tree.leaves(next as JsTree<np.Array>),
    ];
    expect(held.map(({ refCount }) => refCount)).toEqual(held.map(() => 1));
    tree.dispose([params, grads, after, next] as JsTree<np.Array>);
    expect(held.map(({ refCount }) => refCount)).toEqual(held.map(() => 0));
    expect(Object.values(state.arrays.momentum as Params).map(({ refCount }) => refCount)).toEqual([0, 0]);
  });

  test("a step that is refused has taken nothing", () => {
    const optimizer = adamax();
    const [params, grads] = [treeOf(0), { bias: np.zeros([5]), kernel: np.zeros([5, 4]) }];
    const state = optimizer.init(tree.ref(params));
    expect(thrown(() => optimizer.step(params, grads, state)).message).toMatch(
      "Gradients for kernel must be float32[4,5]. Received: float32[5,4].",
    );
    for (const array of tree.leaves([params, grads, state] as JsTree<np.Array>)) expect(array.refCount).toBe(1);
    tree.dispose([params, grads, state] as JsTree<np.Array>);
  });
});

describe("options", () => {
  const oneStep = (options: Parameters<typeof adamax>[0], grads = treeOf(1)): number[][] => {
    const optimizer = adamax(options);
    const params = treeOf(0);
    const [after] = optimizer.step(params, grads, optimizer.init(tree.ref(params)));
    return valuesIn(after);
  };
  const decayed = { learningRate: 0.1, weightDecay: 0.1 };

  test("a mask keeps weight decay from a parameter, as a tree and as a function", () => {
    const [bias, kernel] = oneStep({ ...decayed, mask: { bias: false, kernel: true } });
    expect(bias).toEqual(oneStep({ learningRate: 0.1 })[0]);
    expect(kernel).toEqual(oneStep(decayed)[1]);
    const matrices = (params: JsTree<np.Array>) => tree.map((leaf: np.Array) => leaf.shape.length > 1, params) as JsTree<boolean>;
    expect(oneStep({ ...decayed, mask: matrices })).toEqual([bias, kernel]);
  });

  test("update gives what step adds, to one ulp of the parameter", () => {
    const optimizer = adamax({ learningRate: 0.1 });
    const [params, grads] = [treeOf(0), treeOf(1)];
    const [updates, state] = optimizer.update(grads, optimizer.init(tree.ref(params)), tree.ref(params));
    const reached = valuesIn(applyUpdates(params, updates)).flat();
    const wanted = oneStep({ learningRate: 0.1 }).flat();
    for (const [i, value] of reached.entries()) expect(Math.abs(value - wanted[i]!)).toBeLessThanOrEqual(2 ** -22); // parameters are below 4
    tree.dispose(state as JsTree<np.Array>);
  });

  test("a NaN gradient poisons its own element and no other", () => {
    const kernel = np.array([[Number.NaN, ...Array(4).fill(1)], ...Array(3).fill(Array(5).fill(1))]);
    const values = oneStep({ clipvalue: 0.5 }, { bias: np.ones([5]), kernel });
    expect(values.flat().map(Number.isNaN).indexOf(true)).toBe(5);
    expect(values.flat().filter(Number.isNaN)).toHaveLength(1);
  });

  test("a norm beyond float32 is clipped, and an infinite one gives NaN", () => {
    const huge = (value: number): Params => ({ bias: np.full([5], value), kernel: np.ones([4, 5]) });
    expect(oneStep({ globalClipnorm: 1, learningRate: 0.5 }, huge(1e30)).flat().every(Number.isFinite)).toBe(true);
    expect(oneStep({ clipnorm: 1 }, huge(Infinity))[0]!.every(Number.isNaN)).toBe(true);
    expect(oneStep({ clipnorm: 1 }, huge(Infinity))[1]!.some(Number.isNaN)).toBe(false);
  });

  test("averages lag behind the parameters by their momentum", () => {
    const optimizer = adamax({ learningRate: 0.1, useEma: true, emaMomentum: 0.75 });
    const params = treeOf(0);
    const [before] = valuesIn(params);
    const [after, state] = optimizer.step(params, treeOf(1), optimizer.init(tree.ref(params)));
    const [average] = valuesIn(optimizer.averages<Params>(state));
    const wanted = elements(after.bias).map((value, i) => 0.75 * before![i]! + 0.25 * value);
    for (const [i, value] of average!.entries()) expect(value).toBeCloseTo(wanted[i]!, 6);
  });

  test("trees may nest, and one array is a tree", () => {
    const optimizer = adamax({ learningRate: 0.5, weightDecay: 1, groups: [{ names: ["^layers/1/b$"], weightDecay: 0 }] });
    const params = { layers: [{ b: np.ones([2]) }, { b: np.ones([2]) }], scale: np.array(1) };
    const zeros = { layers: [{ b: np.zeros([2]) }, { b: np.zeros([2]) }], scale: np.array(0) };
    const [after] = optimizer.step(params, zeros, optimizer.init(tree.ref(params)));
    expect(tree.map((leaf: np.Array) => leaf.js(), after)).toEqual({ layers: [{ b: [0.5, 0.5] }, { b: [1, 1] }], scale: 0.5 });
    const [one] = optimizer.step(np.ones([2]), np.zeros([2]), optimizer.init(np.ones([2])));
    expect(one.js()).toEqual([0.5, 0.5]);
  });

  test("a rule of one's own needs no word for jax-js", () => {
    class Descent extends Optimizer {
      static override readonly rule = defineRule({
        name: "Descent",
        slots: [],
        hyperparameters: {},
        update: ({ w, g }, { learningRate }) => ({ w: w.sub(g.mul(learningRate)) }),
      });
    }
    const descent = transformation(Descent)({ learningRate: 0.25 });
    const [after] = descent.step(np.ones([2]), np.ones([2]), descent.init(np.ones([2])));
    expect(after.js()).toEqual([0.75, 0.75]);
  });
});

describe("what is refused", () => {
  const refusal = (options: object) => thrown(() => adamax(options as never)).message;
  const jitted = (options: Parameters<typeof adamax>[0]) => () => {
    const optimizer = adamax(options);
    jit((params: Params, grads: Params, state: State) => optimizer.step(params, grads, state))(
      treeOf(0),
      treeOf(1),
      optimizer.init(treeOf(0)),
    );
  };

  test("options of the core that jax-js decides, unknown ones, and illegal values", () => {
    expect(refusal({ backend: "wasm" })).toMatch("Adamax for jax-js does not take backend");
    expect(refusal({ jitCompile: false })).toMatch("compile with its jit");
    expect(refusal({ weightdecay: 1 })).toMatch("Did you mean weightDecay?");
    expect(refusal({ clipnorm: 1, clipvalue: 1 })).toMatch("Only one of");
    expect(refusal({ scheduleSteps: 0 })).toMatch("an integer of 1 or more");
    expect(refusal({ mask: "bias" })).toMatch("a tree of true and false");
  });

  test("under jit, a schedule of unknown length and a function that returns a number", () => {
    const learningRate = new schedules.CosineDecay({ initialLearningRate: 0.1, decaySteps: 5 });
    expect(thrown(jitted({ learningRate })).message).toMatch("Give scheduleSteps");
    expect(thrown(jitted({ learningRate: (() => 0.1) as never })).message).toMatch("must return a scalar array");
  });

  test("parameters that are missing or whole numbers, and averages that are not kept", () => {
    const optimizer = adamax();
    const state = optimizer.init(treeOf(0));
    expect(thrown(() => optimizer.update(treeOf(1), state)).message).toMatch("Call update(grads, state, params)");
    expect(thrown(() => adamax().init(np.array([1, 2], { dtype: np.int32 }))).message).toMatch(
      "Parameter params must be a float32 or float64 array of jax-js. Received: int32[2].",
    );
    expect(thrown(() => adamax().averages(state)).message).toMatch("useEma: true");
  });
});
