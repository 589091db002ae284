/** What TensorFlow.js' own tests of its optimizers (tfjs-core/src/optimizers/*_test.ts, 4.22) claim, claimed of ours: same variables, same losses,
 *  same numbers of tensors. The tests are our own. */

import { schedules } from "adamax";
import { Adamax } from "adamax/tfjs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { backends, tf, use } from "./backends.js";

describe.each(backends)("on %s", (backend) => {
  beforeEach(() => use(backend));
  afterEach(() => tf.disposeVariables());

  /** A loss of `x` and `bias`; `stray` has no part in it. */
  const setting = ({ trainable = true } = {}) => {
    const [x, bias, stray] = [tf.scalar(4).variable(trainable), tf.scalar(1).variable(), tf.scalar(-1).variable()];
    const loss = () => x.square().add(bias) as tf.Scalar;
    const values = () => [x, bias, stray].map((variable) => variable.dataSync()[0]!);
    return { x, bias, stray, loss, values };
  };

  test("Adamax, basic: two steps with a decaying rate, and no tensor but the loss that is asked for", () => {
    const before = tf.memory().numTensors;
    const learningRate = new schedules.InverseTimeDecay({ initialLearningRate: 0.1, decaySteps: 1, decayRate: 0.1 });
    const optimizer = new Adamax({ learningRate, beta1: 0.8, beta2: 0.9 });
    const x = tf.tensor1d([2, 4]).variable();
    const loss = () => x.square().sum() as tf.Scalar;
    const { numTensors } = tf.memory();

    const cost = optimizer.minimize(loss, true)!;
    expect(tf.memory().numTensors).toBe(numTensors + 1); // theirs: 3, with two of state
    expect(cost.dataSync()[0]).toBe(20);
    for (const [i, wanted] of [1.9, 3.9].entries()) expect(x.dataSync()[i]).toBeCloseTo(wanted, 5);
    cost.dispose();

    expect(optimizer.minimize(loss, false)).toBe(null);
    for (const [i, wanted] of [1.80697, 3.80806].entries()) expect(x.dataSync()[i]).toBeCloseTo(wanted, 4);
    expect(tf.memory().numTensors).toBe(numTensors);

    x.dispose();
    optimizer.dispose();
    expect(tf.memory().numTensors).toBe(before + 1); // what was given to variable()
  });

  test("optimizer, basic: every trainable variable of the loss moves, others stay, the loss is that before the step", () => {
    const { x, bias, stray, loss, values } = setting();
    const optimizer = new Adamax({ learningRate: 0.1 });
    const { numTensors } = tf.memory();
    const cost = optimizer.minimize(loss, true)!;
    expect(tf.memory().numTensors).toBe(numTensors + 1);
    expect(cost.dataSync()[0]).toBe(17);
    expect(values()).toEqual([expect.closeTo(3.9, 5), expect.closeTo(0.9, 5), -1]); // a first step is as long as the rate
    cost.dispose();
    optimizer.minimize(loss);
    expect(tf.memory().numTensors).toBe(numTensors);
    optimizer.dispose();
    tf.dispose([x, bias, stray]);
    expect(tf.memory().numTensors).toBe(numTensors - 3);
  });

  test("varList: all of the loss's variables move, or those of a part", () => {
    for (const part of [["x", "bias"], ["x"], ["bias"]] as const) {
      const { loss, values, ...variables } = setting();
      const optimizer = new Adamax({ learningRate: 0.1 });
      const list = part.map((name) => variables[name]);
      expect(optimizer.minimize(loss, true, list)!.dataSync()[0]).toBe(17);
      expect(optimizer.minimize(loss, false, list)).toBe(null);
      const moved = values().map((value, i) => value !== [4, 1, -1][i]);
      expect(moved).toEqual([part.includes("x" as never), part.includes("bias" as never), false]);
      tf.disposeVariables();
    }
  });

  test("a varList that is empty, or without anything trainable, is an error; a step has not been made", () => {
    const { x, loss, values } = setting({ trainable: false });
    const optimizer = new Adamax({ learningRate: 0.1 });
    for (const list of [[], [x]]) expect(() => optimizer.minimize(loss, true, list)).toThrow();
    expect(values()).toEqual([4, 1, -1]);
    expect(optimizer.iterations).toBe(0);
  });

  test("what is not trainable stays, without a list", () => {
    const { loss, values } = setting({ trainable: false });
    const optimizer = new Adamax({ learningRate: 0.1 });
    for (let i = 0; i < 2; i++) optimizer.minimize(loss);
    expect(values()).toEqual([4, expect.closeTo(0.8, 5), -1]);
  });

  test("a loss that is not a scalar is an error", () => {
    const x = tf.tensor1d([1, 2]).variable();
    const optimizer = new Adamax();
    expect(() => optimizer.minimize(() => x.square() as never)).toThrow(/scalar/);
    expect(optimizer).toBeInstanceOf(tf.Optimizer);
  });

  test("training goes on in a new optimizer that got the weights of the old one", async () => {
    const run = async (exchange: boolean) => {
      const x = tf.tensor1d([2, 4]).variable();
      const loss = () => x.square().sum() as tf.Scalar;
      let optimizer = new Adamax({ learningRate: 0.1, useEma: true });
      for (let i = 0; i < 4; i++) {
        if (exchange && i === 2) {
          const weights = await optimizer.getWeights();
          const next = Adamax.fromConfig<Adamax>(Adamax as never, optimizer.getConfig());
          await next.setWeights(weights);
          expect(next.iterations).toBe(2);
          optimizer.dispose();
          optimizer = next;
        }
        optimizer.minimize(loss);
      }
      optimizer.finalizeVariableValues();
      return [...x.dataSync()];
    };
    expect(await run(true)).toEqual(await run(false));
  });

  test("an optimizer that has made no step has one weight: its count of none", async () => {
    const [count, ...others] = await new Adamax().getWeights();
    expect([count!.name, count!.tensor.dataSync()[0], others.length]).toEqual(["iter", 0, 0]);
    const optimizer = new Adamax();
    await optimizer.setWeights([count!]);
    expect(optimizer.iterations).toBe(0);
  });

  test("100 optimizers made, used and disposed of one after the other leave no tensor behind", async () => {
    const x = tf.tensor1d([2, 4]).variable();
    const once = async () => {
      const optimizer = new Adamax({ useEma: true, globalClipnorm: 1 });
      optimizer.minimize(() => x.square().sum() as tf.Scalar);
      await optimizer.getWeights();
      optimizer.finalizeVariableValues();
      optimizer.dispose();
    };
    await once();
    const { numTensors, numBytes } = tf.memory();
    for (let i = 0; i < 100; i++) await once();
    expect(tf.memory()).toMatchObject({ numTensors, numBytes });
  });
});
