import { BackendError, defineRule, nonNegative, Optimizer, OptionError, ShapeError, sign, Variable } from "adamax";
import { Adamax, TensorOptimizer, tfOptimizer } from "adamax/tfjs";
import { Adamax as CoreOnlyAdamax } from "adamax/tfjs/core";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { backends, tf, use, usual } from "./backends.js";

const valuesOf = (tensor: tf.Tensor): number[] => [...tensor.dataSync()];

describe.each(backends)("on %s", (backend) => {
  beforeEach(() => use(backend));
  afterEach(() => tf.disposeVariables());

  const quadratic = (w: tf.Tensor) => () => w.sub(3).square().sum().asScalar();

  test("minimize brings a loss down, and returns it only when asked", () => {
    const w = tf.variable(tf.tensor1d([1, 10]));
    const adamax = new Adamax({ learningRate: 0.5 });
    const first = adamax.minimize(quadratic(w), true)!.dataSync()[0]!;
    expect(first).toBe(53);
    for (let i = 0; i < 200; i++) expect(adamax.minimize(quadratic(w))).toBeNull();
    expect(adamax.minimize(quadratic(w), true)!.dataSync()[0]).toBeLessThan(1e-2);
    expect(adamax.iterations).toBe(202);
  });

  test("minimize with a list trains those and no others", () => {
    const [w, v] = [tf.variable(tf.scalar(1)), tf.variable(tf.scalar(1))];
    const adamax = new Adamax({ learningRate: 0.5 });
    adamax.minimize(() => w.mul(v).square().asScalar(), false, [w]);
    expect(valuesOf(w)).not.toEqual([1]);
    expect(valuesOf(v)).toEqual([1]);
  });

  test("variables that the loss does not use, or that are not trainable, stay", () => {
    vi.spyOn(console, "warn").mockImplementation(() => {});
    const [used, unused, fixed] = [tf.variable(tf.scalar(1)), tf.variable(tf.scalar(1)), tf.variable(tf.scalar(1), false)];
    const adamax = new Adamax({ learningRate: 0.5 });
    adamax.minimize(() => used.mul(fixed).square().asScalar());
    adamax.minimize(() => used.mul(fixed).square().asScalar(), false, [used, unused]);
    expect(valuesOf(used)).not.toEqual([1]);
    expect([...valuesOf(unused), ...valuesOf(fixed)]).toEqual([1, 1]);
  });

  test("a map, an array, and any order of either make the same steps", () => {
    const run = (order: (gradients: tf.NamedTensorMap) => Parameters<Adamax["applyGradients"]>[0]) => {
      const [a, b] = [tf.variable(tf.tensor1d([1, 2]), true, "a"), tf.variable(tf.scalar(3), true, "b")];
      const adamax = new Adamax({ learningRate: 0.1 });
      for (let i = 1; i < 4; i++) adamax.applyGradients(order({ a: tf.tensor1d([i, -1]), b: tf.scalar(1 / i) }));
      const values = [valuesOf(a), valuesOf(b)];
      tf.disposeVariables();
      return values;
    };
    const list = (gradients: tf.NamedTensorMap) => Object.entries(gradients).map(([name, tensor]) => ({ name, tensor }));
    const byName = run((gradients) => gradients);
    expect(run(list)).toEqual(byName);
    expect(run((gradients) => list(gradients).reverse())).toEqual(byName);
    let step = 0;
    expect(run((gradients) => (step++ % 2 ? list(gradients) : list(gradients).reverse()))).toEqual(byName);
  });

  test("steps over parts of the variables keep each one's own state", () => {
    const [a, b] = [tf.variable(tf.tensor1d([1, 2]), true, "a"), tf.variable(tf.tensor1d([5]), true, "b")];
    const core = { a: new Variable(Float32Array.of(1, 2)), b: new Variable(Float32Array.of(5)) };
    class Rate extends Optimizer {
      static override readonly rule = defineRule({
        name: "Heavy",
        slots: ["velocity"],
        hyperparameters: {},
        update: ({ w, g, velocity }, { learningRate }) => ({
          w: w.sub(velocity.add(g).mul(learningRate)),
          velocity: velocity.add(g),
        }),
      });
    }
    const [ours, reference] = [new (tfOptimizer(Rate))({ learningRate: 0.1 }), new Rate({ learningRate: 0.1 })];
    reference.build([core.b, core.a]);
    for (const names of [["b"], ["a"], ["b", "a"], ["a"]] as ("a" | "b")[][]) {
      ours.applyGradients(names.map((name) => ({ name, tensor: tf.ones(name === "a" ? [2] : [1]) })));
      reference.applyGradients(names.map((name) => [new Float32Array(core[name].length).fill(1), core[name]]));
    }
    expect([valuesOf(a), valuesOf(b)]).toEqual([[...core.a.value], [...core.b.value]]);
  });

  test("minimize leaves one tensor, the loss, and dispose frees the state; both optimizers of a variable go on", () => {
    const w = tf.variable(tf.tensor1d([1, 2]));
    const { numTensors } = tf.memory();
    const [first, second] = [new Adamax(), new Adamax()];
    first.minimize(quadratic(w))!;
    second.minimize(quadratic(w), true)!.dispose();
    first.minimize(quadratic(w));
    first.dispose();
    first.dispose();
    expect(() => first.minimize(quadratic(w))).toThrow(BackendError);
    second.minimize(quadratic(w));
    expect(valuesOf(w).every(Number.isFinite)).toBe(true);
    second.dispose();
    expect(tf.memory().numTensors).toBeLessThanOrEqual(numTensors + 3); // what the refused minimize had computed
  });

  test.each(["learningRate", "beta1", "beta2", "epsilon", "weightDecay", "clipnorm", "emaMomentum"] as const)(
    "%s may be a scalar or a variable",
    (name) => {
      const steps = (value: number | tf.Tensor) => {
        const w = tf.variable(tf.tensor1d([1, 2]));
        const adamax = new Adamax({ learningRate: 0.5, useEma: true, [name]: value });
        for (let i = 0; i < 3; i++) adamax.applyGradients([{ name: w.name, tensor: tf.tensor1d([10 ** -i, -1]) }]);
        const last = valuesOf(w);
        adamax.finalizeVariableValues();
        return [last, valuesOf(w)];
      };
      const wanted = steps(0.125);
      expect(steps(tf.scalar(0.125))).toEqual(wanted);
      expect(steps(tf.variable(tf.scalar(0.125)))).toEqual(wanted);
      expect(steps(0.25)).not.toEqual(wanted);
    },
  );

  test("a learning rate that is a variable steers, and is steered by the property", () => {
    const rate = tf.variable(tf.scalar(0.5), false);
    const adamax = new Adamax({ learningRate: rate });
    expect(adamax.learningRate).toBe(0.5);
    rate.assign(tf.scalar(0.25));
    expect(adamax.learningRate).toBe(0.25);
    adamax.learningRate = 0.125;
    expect(valuesOf(rate)).toEqual([0.125]);
    expect(adamax.getConfig().learning_rate).toBe(0.125);
  });

  test("a learning rate that is a function may compute with TensorFlow.js, even if that moves its heap", () => {
    const w = tf.variable(tf.tensor1d([1, 2]));
    const big: tf.Tensor[] = [];
    const adamax = new Adamax({
      learningRate: () => {
        big.push(tf.zeros([8e6]));
        return 0.5;
      },
    });
    for (let i = 0; i < 3; i++) adamax.applyGradients([{ name: w.name, tensor: tf.tensor1d([1, -1]) }]);
    expect(valuesOf(w)).toEqual([-0.5, 3.5].map(Math.fround).map((value) => expect.closeTo(value, 5)));
    tf.dispose(big);
  });
});

describe("anywhere", () => {
  beforeEach(() => use(usual));
  afterEach(() => tf.disposeVariables());

  test("a rule of your own becomes a tf.Optimizer by one call", () => {
    class Lion extends Optimizer<"beta"> {
      static override readonly rule = defineRule({
        name: "Lion",
        slots: ["momentum"],
        hyperparameters: { beta: nonNegative(0.5) },
        update({ w, g, momentum }, { learningRate }, { beta }) {
          const blend = momentum.mul(beta).add(g.mul(1 - beta));
          return { w: w.sub(sign(blend).mul(learningRate)), momentum: blend };
        },
      });
    }
    const TfLion = tfOptimizer(Lion);
    const lion = new TfLion({ learningRate: 0.25, beta: 0.75, weightDecay: null });
    const w = tf.variable(tf.tensor1d([1, 2]));
    lion.applyGradients([{ name: w.name, tensor: tf.tensor1d([5, -7]) }]);
    expect(valuesOf(w)).toEqual([0.75, 2.25]);
    expect(TfLion.className).toBe("Lion");
    expect(TfLion.fromConfig(TfLion as never, lion.getConfig())).toBeInstanceOf(TfLion);
    expect(lion).toBeInstanceOf(tf.Optimizer);
  });

  test("fromConfig makes the same optimizer, called by you or by TensorFlow.js", () => {
    const adamax = new Adamax({
      learningRate: 0.5,
      clipnorm: 2,
      useEma: true,
      groups: [{ names: ["kernel"], learningRateMultiplier: 2 }],
    });
    expect(Adamax.fromConfig(Adamax, adamax.getConfig()).getConfig()).toEqual(adamax.getConfig());
    expect(Adamax.fromConfig(adamax.getConfig()).getConfig()).toEqual(adamax.getConfig());
  });

  test("TensorFlow.js' optimizers are none of ours", () => {
    expect(tf.train.sgd(1) instanceof TensorOptimizer).toBe(false);
    expect(new Adamax() instanceof TensorOptimizer).toBe(true);
    expect(new CoreOnlyAdamax() instanceof Adamax).toBe(false);
  });

  test("no weight decay for variables that are excluded, by themselves or by name", () => {
    const [a, b, c] = ["a", "b", "bias"].map((name) => tf.variable(tf.scalar(1), true, name)) as tf.Variable[];
    const adamax = new Adamax({ learningRate: 0.5, weightDecay: 0.5 });
    adamax.excludeFromWeightDecay({ variables: [a!], names: ["bias"] });
    adamax.applyGradients({ a: tf.scalar(0), b: tf.scalar(0), bias: tf.scalar(0) });
    expect([a!, b!, c!].map((tensor) => valuesOf(tensor)[0])).toEqual([1, 0.75, 1]);
  });

  test("a group names its variables by themselves", () => {
    const [a, b] = ["a", "b"].map((name) => tf.variable(tf.scalar(1), true, name)) as tf.Variable[];
    const adamax = new Adamax({ learningRate: 0.5, groups: [{ variables: [b!], learningRateMultiplier: 0 }] });
    adamax.applyGradients({ a: tf.scalar(1), b: tf.scalar(1) });
    expect([a!, b!].map((tensor) => valuesOf(tensor)[0])).toEqual([expect.closeTo(0.5, 5), 1]);
  });

  test("a new variable under the name of a disposed one begins anew", () => {
    const adamax = new Adamax({ learningRate: 0.5 });
    const step = () => {
      const w = tf.variable(tf.scalar(1), true, "w");
      adamax.applyGradients({ w: tf.scalar(-1) });
      const value = valuesOf(w);
      w.dispose();
      return value;
    };
    step();
    expect(step()).not.toEqual([1]);
  });

  test("what does not fit is an error that says so", () => {
    const w = tf.variable(tf.tensor2d([[1, 2, 3]]), true, "w");
    const adamax = new Adamax();
    expect(() => adamax.applyGradients({ nobody: tf.scalar(1) })).toThrow(ShapeError);
    expect(() => adamax.applyGradients({ nobody: tf.scalar(1) })).toThrow(/no variable of this name. Received: "nobody"/);
    expect(() => adamax.applyGradients({ w: tf.ones([3, 1]) })).toThrow(
      /must have its shape, \[1,3\]. Received: a tensor of shape \[3,1\]/,
    );
    expect(() => adamax.applyGradients({ w: tf.ones([1, 3], "int32") })).toThrow(ShapeError);
    expect(() => adamax.applyGradients({ w: null })).toThrow("No gradients provided");
    expect(() => new Adamax({ learningRat: 1 } as never)).toThrow(OptionError);
    expect(valuesOf(w)).toEqual([1, 2, 3]);
  });
});
