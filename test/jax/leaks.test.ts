/** No array of jax-js is lost, and none is spent that was not given. jax-js has no other check of its own than `refCount`, and the error for
 *  an array that is used after its last reference; so here the buffers that its backend holds are counted, too. */

import { type JsTree, jit, numpy as np, tree, valueAndGrad } from "@jax-js/jax";
import { schedules } from "adamax";
import { type AdamaxOptions, adamax, applyUpdates, type State, transformation } from "adamax/jax";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { Lamb } from "../../examples/rules/lamb.js";
import { thrown } from "../semantics/helpers.js";
import { type Params, start, treeOf } from "./models.js";

/** The maps that are made while jax-js is imported and started: one of them has its buffers. */
const watched = vi.hoisted(() => {
  const made: Map<unknown, unknown>[] = [];
  const plain = globalThis.Map;
  globalThis.Map = class<K, V> extends plain<K, V> {
    constructor(entries?: Iterable<readonly [K, V]> | null) {
      super(entries);
      made.push(this);
    }
  };
  const end = () => {
    globalThis.Map = plain;
  };
  return { made, end };
});

interface Buffer {
  ptr: number;
  size: number;
  ref: number;
}
let buffers: Map<unknown, Buffer>;

beforeAll(async () => {
  await start();
  watched.end();
  const probe = np.array([1, 2, 3]);
  const isBuffer = (value: unknown) => ["ptr", "size", "ref"].every((key) => Object.hasOwn(Object(value), key));
  const found = watched.made.filter((map) => map.size > 0 && [...map.values()].every(isBuffer));
  probe.dispose();
  expect(found).toHaveLength(1);
  buffers = found[0] as Map<unknown, Buffer>;
});

/** Buffers, and references to them. */
const held = () => ({ buffers: buffers.size, references: [...buffers.values()].reduce((sum, { ref }) => sum + ref, 0) });
/** What a jitted function keeps. */
const forget = (step: object) => {
  if ("dispose" in step) (step as { dispose(): void }).dispose();
};
const disposeAll = (...trees: unknown[]) => tree.dispose(trees as JsTree<np.Array>);

test("the count sees one array that is lost", () => {
  const before = held();
  const lost = np.array([1, 2, 3]);
  expect(held()).toEqual({ buffers: before.buffers + 1, references: before.references + 1 });
  lost.dispose();
  expect(held()).toEqual(before);
});

const schedule = new schedules.CosineDecay({ initialLearningRate: 0.1, decaySteps: 50 });
const configurations: Record<string, AdamaxOptions> = {
  defaults: {},
  "a mask": { weightDecay: 0.1, mask: { bias: false, kernel: true } },
  clipnorm: { clipnorm: 0.1 },
  clipvalue: { clipvalue: 0.1 },
  "a rate in the graph": { learningRate: (count) => np.divide(np.array(0.5), count.add(1).astype(np.float32)) },
  everything: {
    learningRate: schedule,
    scheduleSteps: 50,
    weightDecay: 0.1,
    globalClipnorm: 1,
    useEma: true,
    emaStart: "firstStep",
    emaOverwriteFrequency: 4,
    lossScaleFactor: 2,
    gradientAccumulationSteps: 2,
  },
};
const optimizers = {
  ...Object.fromEntries(Object.entries(configurations).map(([name, options]) => [`Adamax, ${name}`, () => adamax(options)])),
  Lamb: () => transformation<typeof Lamb>(Lamb)({ learningRate: 0.05 }),
};

describe.each([
  ["eagerly", false],
  ["under jit", true],
])("%s", (_, compiled) => {
  test.each(Object.entries(optimizers))("%s: 12 steps hold what one holds, and nothing is left in the end", (__, make) => {
    const optimizer = make();
    const plain = (params: Params, grads: Params, state: State) => optimizer.step(params, grads, state);
    const step = compiled ? jit(plain) : plain;
    const before = held();
    let params = treeOf(0);
    let state = optimizer.init(tree.ref(params));
    const counts: unknown[] = [];
    for (let i = 0; i < 12; i++) {
      [params, state] = step(params, treeOf(i + 1), state) as [Params, State];
      for (const array of tree.leaves([params, state] as JsTree<np.Array>)) {
        array.ref.dataSync(); // computed now: what waits holds references
        expect(array.refCount).toBe(1);
      }
      counts.push(held());
    }
    expect(counts).toEqual(counts.map(() => counts[0]));
    disposeAll(params, state);
    forget(step);
    expect(held()).toEqual(before);
  });

  test("a training step with its gradients, update and applyUpdates leaves nothing", () => {
    const optimizer = adamax(configurations.everything);
    const loss = (w: np.Array) => np.sum(np.square(w.sub(np.array([1, 2, 3]))));
    const plain = (w: np.Array, state: State) => {
      const [value, gradient] = valueAndGrad(loss)(w.ref);
      const [updates, next] = optimizer.update(gradient, state, w.ref);
      return [applyUpdates(w, updates), next, value] as [np.Array, State, np.Array];
    };
    const step = compiled ? jit(plain) : plain;
    const before = held();
    let w = np.zeros([3]);
    let state = optimizer.init(w.ref);
    for (let i = 0; i < 5; i++) {
      let value: np.Array;
      [w, state, value] = step(w, state) as [np.Array, State, np.Array];
      value.item();
    }
    const averages = optimizer.averages<np.Array>(state);
    disposeAll(w, state, averages);
    forget(step);
    expect(held()).toEqual(before);
  });
});

test("a call that is refused has taken nothing, and leaves nothing", () => {
  const optimizer = adamax();
  const before = held();
  const [params, grads, right] = [treeOf(0), { bias: np.zeros([5]), kernel: np.array([[1, 2]]) }, treeOf(1)];
  const state = optimizer.init(tree.ref(params));
  const between = held();
  thrown(() => optimizer.step(params, grads, state));
  thrown(() => optimizer.update(right, state));
  thrown(() => optimizer.averages(state));
  disposeAll(params, grads, right, state);
  expect(between.buffers).toBeGreaterThan(before.buffers);
  expect(held()).toEqual(before);
});

test("an array that was spent is an error of jax-js, and not another array's numbers", () => {
  const optimizer = adamax();
  const params = treeOf(0);
  const [after, state] = optimizer.step(params, treeOf(1), optimizer.init(tree.ref(params)));
  expect(() => params.kernel.dataSync()).toThrow(ReferenceError);
  disposeAll(after, state);
});
