/** Models of TensorFlow.js over real ranks. */

import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Programs } from "./job.js";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let programs: Programs;
beforeAll(async () => {
  programs = await Programs.build();
});
afterAll(() => programs.remove());

interface Report {
  readonly weights: number[];
  readonly iterations: number;
  readonly why: string;
  readonly losses: number[];
  readonly refused: string[];
  readonly metrics: [mse: number[], mae: number[]];
  readonly others: unknown;
}

test.each([
  ["cpu", 3, 8],
  ["wasm", 2, 8],
  ["wasm", 3, 2000], // the first kernel has three blocks: shares of the state are cut inside of it
] as const)(
  "%s, %i ranks, %i units, each with its part of every batch: the same weights on each, and those of one machine but for roundings",
  async (backend, size, units) => {
    const [alone, together] = [
      await programs.runAlone("tfjs", { args: [backend, `${units}`] }),
      await programs.run("tfjs", size, { args: [backend, `${units}`] }),
    ];
    expect(alone).toMatchObject({ code: 0, complained: "" });
    expect(together).toMatchObject({ code: 0, complained: "", orphans: [] });
    const [expected] = alone.reports as [Report];
    const reports = together.reports as Report[];
    expect(expected.losses.length).toBeLessThan(40);
    for (const { weights, iterations, why, losses, refused, metrics, others } of reports) {
      expect(metrics).toEqual(reports[0]!.metrics);
      expect(metrics[0]).not.toEqual(metrics[1]);
      expect(others).toMatch(/logs of epoch 0, loss, mse on rank 0, logs of epoch 0, loss, mae on rank 1\./);
      expect(weights).toEqual(reports[0]!.weights);
      expect(iterations).toBe(expected.iterations);
      expect(losses).toEqual(reports[0]!.losses); // they have stopped together
      expect(losses).toHaveLength(expected.losses.length);
      for (const [i, loss] of losses.entries()) expect(Math.abs(loss - expected.losses[i]!)).toBeLessThan(1e-4);
      expect(why).toMatch(new RegExp(`rank \\d of ${size}`));
      const [loss, gradient, ...more] = refused;
      expect(loss).toMatch(/^(BackendError: Rank 1 refused step 2, .*)?RangeError: the loss of one rank/);
      expect(gradient).toMatch(/^(BackendError: Rank 1 refused step 2, .*)?ShapeError: .*nothing/);
      expect(more).toEqual(["2 updates"]);
      // Means of parts, then a mean of those: other roundings than of the whole, in 18 steps of a hundredth.
      for (const [i, weight] of weights.entries()) expect(Math.abs(weight - expected.weights[i]!)).toBeLessThan(1e-5);
    }
  },
);
