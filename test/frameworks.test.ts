/** Objects of ours in the state of a framework that makes proxies of what it holds. */

import { Adamax, type GradientAndVariable, IndexedSlices, schedules, Variable } from "adamax";
import { CheckpointManager } from "adamax/checkpoint";
import { Adamax as TensorAdamax } from "adamax/tfjs";
import { expect, test } from "vitest";
import { isReactive, reactive, ref } from "vue";

test("Vue makes no proxy of what has private members: it trains from ref and reactive", () => {
  const state = reactive({
    options: { learningRate: 0.1, groups: [{ names: ["^w$"], learningRateMultiplier: 2 }] },
    pairs: [] as unknown[],
    manager: new CheckpointManager("nowhere"),
    tensors: new TensorAdamax(),
  });
  const optimizer = ref(new Adamax(state.options));
  const w = ref(new Variable(Float32Array.of(1, 2), { name: "w" }));
  for (const held of [optimizer.value, w.value, state.manager, state.tensors]) expect(isReactive(held)).toBe(false);
  state.pairs.push([Float32Array.of(1, -1), w.value]);
  // Vue's types take a proxy for granted.
  expect(optimizer.value.applyGradients(state.pairs as GradientAndVariable[])).toBe(1);
  expect([...w.value.value].map((x) => x.toFixed(2))).toEqual(["0.80", "2.20"]);
});

test("and what it makes proxies of is taken: schedules, and sparse gradients", () => {
  const { learningRate, gradient } = reactive({
    learningRate: new schedules.ExponentialDecay({ initialLearningRate: 0.5, decaySteps: 10, decayRate: 0.9 }),
    gradient: new IndexedSlices(Float32Array.of(1), [2]),
  });
  const w = new Variable(new Float32Array(3));
  new Adamax({ learningRate }).applyGradients([[gradient, w]]);
  expect([...w.value].map((x) => x.toFixed(2))).toEqual(["0.00", "0.00", "-0.50"]);
});
