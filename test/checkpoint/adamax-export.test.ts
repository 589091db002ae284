/** PyTorch's and Optax's own trainings (fixtures/adamax-exports.py), gone on with here. */

import { Adamax, type Optimizer } from "adamax";
import { type AdamaxExport, checkpointBlob, loadCheckpoint, readAdamaxExport } from "adamax/checkpoint";
import { describe, expect, onTestFinished, test } from "vitest";
import { EpsilonInsideAdamax } from "../../examples/rules/adamax-epsilon-inside.js";
import { FOLDER, inOrder, rateOf, step, steps, trainingOf, valuesAt } from "./adamax-export-training.js";

const FILES = [
  "torch.safetensors",
  "torch.npz",
  "torch-large-epsilon.safetensors",
  "torch-float64.safetensors",
  "optax.npz",
  "optax-decay-schedule.npz",
];
const MORE = 20;

const read = (file: string) => readAdamaxExport(`${FOLDER}/${file}`);
const restored = (saved: AdamaxExport, given: Parameters<AdamaxExport["restore"]>[0]) => {
  const { optimizer, variables } = saved.restore(given);
  onTestFinished(() => optimizer.dispose());
  return { optimizer, variables: inOrder(variables) };
};
const inside = (saved: AdamaxExport, file: string): EpsilonInsideAdamax => {
  const { learningRate, problems: _, ...settings } = saved.settings;
  return new EpsilonInsideAdamax({
    ...settings,
    ...(learningRate === null ? {} : { learningRate }),
    ...rateOf(trainingOf(file)),
  });
};
const slot = (optimizer: Optimizer<never>, kind: string, variable: string): Float32Array =>
  optimizer.variables.find(({ name }) => name.endsWith(`/${kind}/${variable}`))!.value as Float32Array;

/** Goes on for 20 steps, and gives what `errorAt` makes of each: the error of every element, in ulps of 0.75, the largest weight. */
const course = (
  file: string,
  optimizer: Optimizer<never>,
  variables: ReturnType<typeof inOrder>,
  see: (error: number, k: number, variable: number, element: number) => void,
): void => {
  const training = trainingOf(file);
  const ulp = training.dtype === "float32" ? 2 ** -24 : 2 ** -53;
  for (let k = 0; k <= MORE; k++) {
    if (k > 0) step(optimizer, variables, steps + k, training.scale);
    for (const [v, values] of valuesAt(training, k).entries())
      for (const [i, value] of values.entries()) see(Math.abs(variables[v]!.value[i]! - value) / ulp, k, v, i);
  }
};

/** One rounding of the weight in each step on each side, of which most agree. Largest measured: 3, of Optax; PyTorch: 1. */
const ROUNDING = 4;

describe("going on", () => {
  test.each(FILES)("%s: a rule with epsilon inside the maximum goes on as Python does, but for rounding", async (file) => {
    const saved = await read(file);
    const { optimizer, variables } = restored(saved, inside(saved, file));
    expect(optimizer.iterations).toBe(steps);
    let worst = 0;
    course(file, optimizer, variables, (error) => {
      worst = Math.max(worst, error);
    });
    expect(worst).toBeLessThanOrEqual(ROUNDING);
  });

  /** The most that the other place of epsilon can make: k steps after the conversion, our denominator is larger by at most (1 - beta2^k) epsilon. */
  const largestExcess = (saved: AdamaxExport, optimizer: Optimizer<never>, variables: ReturnType<typeof inOrder>, k: number) => {
    const { beta1, beta2, epsilon } = saved.settings;
    const rate = optimizer.learningRate / (1 - beta1 ** (steps + k)); // of the step that was made: the schedule moves slowly
    return variables.map(({ name }) => {
      const [m, u] = [slot(optimizer, "momentum", name), slot(optimizer, "norm", name)];
      return Float64Array.from(m, (m, i) => {
        const ours = u[i]! + epsilon;
        const least = ours - (1 - beta2 ** k) * epsilon;
        return rate * Math.abs(m) * (1 / least - 1 / ours);
      });
    });
  };

  const exceeds = (file: string, saved: AdamaxExport, optimizer: Optimizer<never>, variables: ReturnType<typeof inOrder>) => {
    const bounds = variables.map(({ value }) => new Float64Array(value.length));
    const ulp = trainingOf(file).dtype === "float32" ? 2 ** -24 : 2 ** -53;
    let seen = 0;
    let beyond = 0;
    course(file, optimizer, variables, (error, k, v, i) => {
      if (k > seen) {
        seen = k;
        // 1.02: a cosine over 100 steps changes the rate by less than that in one.
        for (const [w, excess] of largestExcess(saved, optimizer, variables, k).entries())
          for (const [j, one] of excess.entries()) bounds[w]![j]! += 1.02 * one;
      }
      beyond = Math.max(beyond, error - bounds[v]![i]! / ulp);
    });
    return beyond;
  };

  test.each(FILES)(
    "%s: Adamax goes on with an error of rounding, and what (1 - beta2^k) epsilon more in a denominator makes",
    async (file) => {
      const saved = await read(file);
      const { optimizer, variables } = restored(saved, rateOf(trainingOf(file)));
      expect(exceeds(file, saved, optimizer, variables)).toBeLessThanOrEqual(ROUNDING);
    },
  );

  test.each(["torch.safetensors", "torch.npz", "optax.npz"])(
    "%s: with gradients of ordinary size, that is within 2 ulps of the largest weight after 20 steps",
    async (file) => {
      const { optimizer, variables } = restored(await read(file), {});
      let worst = 0;
      course(file, optimizer, variables, (error) => {
        worst = Math.max(worst, error);
      });
      expect(worst).toBeLessThanOrEqual(2); // 1 measured
    },
  );

  test.each([
    ["kept as it is", (v: number) => v],
    ["less twice epsilon", (v: number, epsilon: number) => Math.max(v - 2 * epsilon, 0)],
  ])("the bound refuses a norm that is %s", async (_, wrong) => {
    const saved = await read("torch-large-epsilon.safetensors");
    const { optimizer, variables } = restored(saved, {});
    const { epsilon } = saved.settings;
    const norms = new Map(saved.state.map(({ name, value }) => [name, value as Float32Array]));
    for (const { name } of variables) slot(optimizer, "norm", name).set(norms.get(`norm/${name}`)!.map((v) => wrong(v, epsilon)));
    expect(exceeds("torch-large-epsilon.safetensors", saved, optimizer, variables)).toBeGreaterThan(100);
  });
});

describe("what is carried over", () => {
  test("PyTorch's settings, steps, parameters and state under our names", async () => {
    const saved = await read("torch-large-epsilon.safetensors");
    expect(saved).toMatchObject({
      className: "torch.optim.Adamax",
      settings: { learningRate: 0.01, beta1: 0.8, beta2: 0.9, epsilon: 0.01, weightDecay: null },
      steps,
    });
    expect(saved.variables.map(({ name, shape }) => `${name} ${shape}`)).toEqual([
      "first_bias 4",
      "first_kernel 3,4",
      "second_kernel 4,2",
    ]);
    expect(saved.state.map(({ name }) => name)).toContain("norm/first_kernel");
    const { optimizer } = restored(saved, {});
    expect(optimizer.getConfig()).toMatchObject({ learning_rate: 0.01, beta_1: 0.8, beta_2: 0.9, epsilon: 0.01 });
  });

  test("Optax' too, and the weight decay of adamaxw", async () => {
    const saved = await read("optax-decay-schedule.npz");
    expect(saved).toMatchObject({ className: "optax.adamaxw", settings: { beta2: 0.9, epsilon: 0.01, weightDecay: 0.01 } });
    expect((saved.restore({ learningRate: 0.1 }).optimizer as Adamax).getConfig()).toMatchObject({ weight_decay: 0.01 });
  });

  test("the norm is less by epsilon, and never below 0; other slots and other rules get it as it was", async () => {
    const saved = await read("torch-large-epsilon.safetensors");
    const { optimizer } = restored(saved, {});
    const { optimizer: other } = restored(saved, inside(saved, "torch-large-epsilon.safetensors"));
    const v = saved.state.find(({ name }) => name === "norm/first_bias")!.value as Float32Array;
    const m = saved.state.find(({ name }) => name === "momentum/first_bias")!.value as Float32Array;
    expect(slot(optimizer, "norm", "first_bias")).toEqual(v.map((value) => Math.max(value - 0.01, 0)));
    expect(slot(optimizer, "momentum", "first_bias")).toEqual(m);
    expect(slot(other, "norm", "first_bias")).toEqual(v);
  });

  test("options given here win; averages begin with the values, and steps are counted in micro-batches", async () => {
    const saved = await read("torch.safetensors");
    const { optimizer, variables } = restored(saved, { learningRate: 0.5, useEma: true, gradientAccumulationSteps: 3 });
    expect({ rate: optimizer.learningRate, iterations: optimizer.iterations }).toEqual({ rate: 0.5, iterations: steps });
    expect(slot(optimizer, "average", "first_kernel")).toEqual(variables[0]!.value);
  });

  test("both containers hold the same", async () => {
    const [one, other] = [await read("torch.safetensors"), await read("torch.npz")];
    const sorted = ({ state, variables }: AdamaxExport) =>
      [...state, ...variables]
        .sort((a, b) => (a.name < b.name ? -1 : 1))
        .map(({ name, shape, value }) => ({ name, shape, value }));
    expect(sorted(other)).toEqual(sorted(one));
    expect(other.settings).toEqual(one.settings);
  });

  test("from there it is a checkpoint like any other", async () => {
    const { optimizer, variables } = restored(await read("optax.npz"), {});
    const { optimizer: again } = await loadCheckpoint(await checkpointBlob({ optimizer, variables }), { optimizer: Adamax });
    expect(again.iterations).toBe(steps);
    expect(again.variables.map(({ value }) => value)).toEqual(optimizer.variables.map(({ value }) => value));
    again.dispose();
  });
});
