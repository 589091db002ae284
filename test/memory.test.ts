/** Steps keep nothing: heap and memory are flat over 1e5 of them. Node only: it asks V8. */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Adamax, type AdamaxOptions, type GradientAndVariable, IndexedSlices, Variable } from "adamax";
import { describe, expect, test, vi } from "vitest";

vi.setConfig({ testTimeout: 120_000 });
setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;

const used = () => {
  gc();
  gc();
  const { heapUsed, external, arrayBuffers } = process.memoryUsage();
  return { heapUsed, external, arrayBuffers };
};

const train = (optimizer: Adamax, pairs: readonly GradientAndVariable[], steps: number) => {
  for (let i = 0; i < steps; i++) optimizer.applyGradients(pairs);
};
/** Until the engine has compiled what it wants to compile. */
const WARM = 200_000; // its last compilation may come after 1e5 steps, and leaves 170 kB once

const adopted = () => {
  const variables = Array.from({ length: 5 }, () => new Variable(new Float32Array(40).fill(1)));
  return variables.map((variable): GradientAndVariable => [new Float32Array(40).fill(0.1), variable]);
};
const models: [string, AdamaxOptions, () => GradientAndVariable[]][] = [
  ["plain", {}, adopted],
  [
    "all stages",
    {
      globalClipnorm: 1,
      weightDecay: 0.1,
      useEma: true,
      emaOverwriteFrequency: 3,
      lossScaleFactor: 3,
      gradientAccumulationSteps: 2,
    },
    adopted,
  ],
  ["a norm for each variable", { clipnorm: 1 }, adopted],
  ["foreign variables", {}, () => [[new Float32Array(40), new Float32Array(40)]]],
  [
    "listed rows",
    {},
    () => [[new IndexedSlices(new Float32Array(40), [3, 1, 1, 0]), new Variable(new Float32Array(50), { shape: [5, 10] })]],
  ],
];

test.each(models)("1e5 steps leave less than a byte each behind: %s", (_, options, make) => {
  using optimizer = new Adamax(options);
  const pairs = make();
  train(optimizer, pairs, WARM);
  const before = used();
  train(optimizer, pairs, 100_000);
  const after = used();
  expect(after.heapUsed - before.heapUsed).toBeLessThan(100_000); // measured: 216 to 4624
  expect(after.external - before.external).toBeLessThan(10_000);
  expect(after.arrayBuffers - before.arrayBuffers).toBe(0);
});

test("what a step allocates for a moment does not grow with the length of the variables", () => {
  const garbage = (length: number) => {
    using optimizer = new Adamax({ globalClipnorm: 1, useEma: true });
    const variable = new Variable(new Float32Array(length));
    optimizer.build([variable]);
    const pairs: GradientAndVariable[] = [[variable.gradient, variable]];
    train(optimizer, pairs, WARM);
    const windows = Array.from({ length: 10 }, () => {
      const start = process.memoryUsage().heapUsed;
      train(optimizer, pairs, 500);
      return (process.memoryUsage().heapUsed - start) / 500;
    });
    return Math.min(...windows.filter((bytes) => bytes >= 0)); // a collection may fall into a window
  };
  const [short, long] = [garbage(16), garbage(16_000)];
  expect([short < 2000, long < 2000, long < short + 200]).toEqual([true, true, true]); // a few dozen boxed numbers; the data has 64,000 bytes
});

describe("a gradient is let go when the call returns", () => {
  const dense = (): Float32Array => new Float32Array(10_000).fill(0.1);
  const rows = () =>
    new IndexedSlices(
      dense(),
      Int32Array.from({ length: 10_000 }, (_, i) => i),
    );
  const small = new Variable(new Float32Array(1));

  /** Passes a gradient to a call that `then` makes fail, or does not, and forgets it. */
  const pass = (optimizer: Adamax, w: Variable, make: () => Float32Array | IndexedSlices, then: GradientAndVariable[]) => {
    const gradient = make();
    let isRefused = false;
    try {
      optimizer.applyGradients([[gradient, w], ...then]);
    } catch {
      isRefused = true;
    }
    return {
      isRefused,
      left: new WeakRef(gradient),
      values: new WeakRef(gradient instanceof IndexedSlices ? gradient.values : gradient),
    };
  };

  const refusals: [string, (w: Variable) => GradientAndVariable[]][] = [
    ["made", () => []],
    ["refused for a gradient of another length", () => [[new Float32Array(7), small]]],
    ["refused for a variable that is named twice", (w) => [[dense(), w]]],
    ["refused for a gradient that lies in a value", () => [[small.value, small]]],
  ];
  for (const [kind, make] of [
    ["dense", dense],
    ["listed rows", rows],
  ] as const)
    for (const backend of ["wasm", "interpreter"] as const)
      test.each(refusals)(`${kind}, ${backend}: a call that is %s`, async (how, then) => {
        using optimizer = new Adamax({ backend });
        const w = new Variable(new Float32Array(10_000), { shape: [10_000, 1] });
        optimizer.build([w, small]);
        const { isRefused, left, values } = pass(optimizer, w, make, then(w));
        await new Promise((resolve) => setTimeout(resolve)); // what was looked at stays until then
        gc();
        expect([isRefused, left.deref(), values.deref()]).toEqual([how !== "made", undefined, undefined]);
      });
});
