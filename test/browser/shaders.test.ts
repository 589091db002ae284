/** The shaders of the webgl backend: shapes of every rank, every operation of rules, and what other operations find in what they write. */

import * as tf from "@tensorflow/tfjs";
import { abs, Adamax as CoreAdamax, constant, defineRule, ifPositive, max, min, Optimizer, Variable } from "adamax";
import { Adamax, tfOptimizer } from "adamax/tfjs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Adam } from "../../examples/rules/adam.js";
import { Lamb } from "../../examples/rules/lamb.js";
import { Lion } from "../../examples/rules/lion.js";
import { SGD } from "../../examples/rules/sgd-momentum.js";

const wave = (length: number, phase: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898 + phase) * 2);

beforeEach(async () => {
  expect(await tf.setBackend("webgl")).toBe(true);
});
afterEach(() => tf.disposeVariables());

/** Every operation once, where it changes the value. */
class Everything extends Optimizer<never> {
  static override readonly rule = defineRule({
    name: "Everything",
    slots: ["seen"],
    hyperparameters: {},
    update({ w, g, seen }, { learningRate }) {
      const bounded = abs(min(max(g, -1), 1))
        .sqrt()
        .mul(g.neg());
      seen = seen.mul(0.5).add(bounded);
      return { w: ifPositive(g, w.sub(seen.mul(learningRate)), w.add(constant(1).div(abs(g).add(2)))), seen };
    },
  });
}

const shapes = [[], [1], [2], [7], [3, 5], [5, 4], [4, 1], [3, 3, 2, 5], [2, 3, 3], [1, 2, 3, 5, 3], [1, 1, 2, 1, 3, 5]];

// Division and square root round once in Chromium's software GPU; norms are summed in float32 there and in float64 in the core.
test.each([
  ["SGD", SGD, 0],
  ["Adam", Adam, 0],
  ["Lion", Lion, 0],
  ["Lamb", Lamb, 4],
  ["a rule with every operation", Everything, 0],
] as const)("%s on variables of every rank: the core's steps", async (_, Core, ulps) => {
  const optimizer = new (tfOptimizer(Core as typeof SGD))({ learningRate: 0.1 });
  const core = new Core({ learningRate: 0.1 });
  const names = shapes.map((shape) => `[${shape}]`);
  const sizes = shapes.map((shape) => tf.util.sizeFromShape(shape));
  const tensors = shapes.map((shape, i) => tf.variable(tf.tensor(wave(sizes[i]!, i), shape), true, names[i]));
  const variables = shapes.map((shape, i) => new Variable(wave(sizes[i]!, i), { shape, name: names[i]! }));
  for (let step = 1; step < 4; step++) {
    const gradients = sizes.map((size, i) => wave(size, 10 * step + i));
    tf.tidy(() =>
      optimizer.applyGradients(gradients.map((gradient, i) => ({ name: names[i]!, tensor: tf.tensor(gradient, shapes[i]!) }))),
    );
    core.applyGradients(gradients.map((gradient, i) => [gradient, variables[i]!]));
    // In ulps of values between 2 and 4, which the largest are.
    for (const [i, { value }] of variables.entries())
      for (const [e, reached] of (await tensors[i]!.data()).entries())
        expect(Math.abs(reached - value[e]!) / 2 ** -22, `${names[i]} at ${e}`).toBeLessThanOrEqual(ulps);
  }
});

test("with an epsilon of 0, where no gradient is 0, nothing beyond the edge of a matrix gets into a product", async () => {
  const [columns, rows] = [tf.variable(tf.ones([4, 3]), true, "columns"), tf.variable(tf.ones([3, 4]), true, "rows")];
  const optimizer = new Adamax({ learningRate: 0.5, epsilon: 0 });
  tf.tidy(() => optimizer.applyGradients({ columns: tf.ones([4, 3]), rows: tf.ones([3, 4]) }));
  // There, 0 / 0 would be NaN. Each weight went from 1 to 0.5 and a rounding of the first moment.
  const products = await tf.matMul(columns as tf.Tensor as tf.Tensor2D, rows as tf.Tensor as tf.Tensor2D).data();
  for (const product of products) expect(product).toBeCloseTo(3 * 0.5 * 0.5, 5);
});

test("gradients as other operations leave them: transposed, reshaped, sliced, packed or not", async () => {
  const wanted = wave(12, 1);
  const forms: Record<string, () => tf.Tensor> = {
    transposed: () => tf.tensor(wanted, [3, 4]).transpose().transpose(),
    reshaped: () => tf.matMul(tf.tensor(wanted, [12, 1]), tf.ones([1, 1])).reshape([3, 4]),
    sliced: () => tf.tensor([9, 9, 9, 9, ...wanted], [4, 4]).slice([1, 0]),
    packed: () => tf.matMul(tf.tensor(wanted, [3, 4]), tf.eye(4)),
    unpacked: () => tf.conv2d(tf.tensor(wanted, [1, 3, 4, 1]) as tf.Tensor4D, tf.ones([1, 1, 1, 1]), 1, "same").reshape([3, 4]),
  };
  for (const [form, make] of Object.entries(forms)) {
    const w = tf.variable(tf.zeros([3, 4]), true, form);
    tf.tidy(() => new (tfOptimizer(SGD))({ learningRate: 1, momentum: 0 }).applyGradients({ [form]: make() }));
    expect([...(await w.data())], form).toEqual([...wanted].map((element) => -element));
  }
});

test("variables with rates of their own share one global norm, as in the core", async () => {
  const given = {
    learningRate: 0.1,
    globalClipnorm: 0.5,
    groups: [{ names: ["^b$"], learningRateMultiplier: 0.5, weightDecay: 0.1 }],
  };
  const [optimizer, core] = [new Adamax(given), new CoreAdamax(given)];
  const names = ["a", "b", "c"];
  const tensors = names.map((name, i) => tf.variable(tf.tensor(wave(12, i), [3, 4]), true, name));
  const variables = names.map((name, i) => new Variable(wave(12, i), { shape: [3, 4], name }));
  for (let step = 1; step < 4; step++) {
    const gradients = names.map((_, i) => wave(12, 10 * step + i));
    tf.tidy(() => optimizer.applyGradients(Object.fromEntries(names.map((name, i) => [name, tf.tensor(gradients[i]!, [3, 4])]))));
    core.applyGradients(gradients.map((gradient, i) => [gradient, variables[i]!]));
    // Norms are summed in float32 here and in float64 there; in ulps of values between 1 and 2.
    for (const [i, { value }] of variables.entries())
      for (const [e, reached] of (await tensors[i]!.data()).entries())
        expect(Math.abs(reached - value[e]!) / 2 ** -23, `${names[i]} at ${e}`).toBeLessThanOrEqual(4);
  }
});

test("a step goes on where it began, when TensorFlow.js is told to use another backend", async () => {
  const w = tf.variable(tf.tensor(wave(12, 0), [3, 4]), true, "w");
  const [optimizer, core] = [new Adamax({ learningRate: 0.1 }), new CoreAdamax({ learningRate: 0.1 })];
  const variable = new Variable(wave(12, 0), { shape: [3, 4] });
  for (const [step, backend] of ["webgl", "cpu", "webgl"].entries()) {
    await tf.setBackend(backend);
    tf.tidy(() => optimizer.applyGradients({ w: tf.tensor(wave(12, step + 1), [3, 4]) }));
    core.applyGradients([[wave(12, step + 1), variable]]);
    expect(await w.data()).toEqual(variable.value);
  }
});
