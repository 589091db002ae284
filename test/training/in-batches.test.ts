import { Adamax, fit, inBatches, shuffled, Variable } from "adamax";
import fc from "fast-check";
import { expect, expectTypeOf, test } from "vitest";

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);

test("every example is in one batch of each epoch, and the order depends on seed and epoch alone", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 50 }),
      fc.integer({ min: 1, max: 9 }),
      fc.maxSafeInteger(),
      fc.integer({ min: 1, max: 99 }),
      (count, batchSize, seed, epoch) => {
        const examples = numbers(count);
        const batches = inBatches(examples, epoch, { batchSize, seed });
        expect(batches.flat().sort((a, b) => a - b)).toEqual(examples);
        expect(batches.map(({ length }) => length).slice(0, -1)).toEqual(batches.slice(1).map(() => batchSize));
        expect(batches.at(-1)?.length ?? 1).toBeGreaterThan(0);
        inBatches(examples, epoch + 1, { batchSize, seed });
        expect(inBatches(examples, epoch, { batchSize, seed })).toEqual(batches);
      },
    ),
  );
});

test("another epoch and another seed have other orders", () => {
  const orders = [1, 2].flatMap((epoch) =>
    [0, 1, -1, 2 ** 32, 2 ** 40].map((seed) => inBatches(numbers(20), epoch, { batchSize: 20, seed }).join()),
  );
  expect(new Set(orders).size).toBe(10);
});

test("each order of four comes equally often", () => {
  const counts = new Map<string, number>();
  for (let seed = 0; seed < 24_000; seed++) {
    const order = shuffled([0, 1, 2, 3], seed).join("");
    counts.set(order, (counts.get(order) ?? 0) + 1);
  }
  expect(counts.size).toBe(24);
  // Chi-squared of 23 degrees of freedom: below 50 in all but one of 1000 sets of seeds. These are always the same.
  const chiSquared = [...counts.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
  expect(chiSquared).toBeLessThan(50);
});

test("without shuffling, the order is the examples'; the remainder can be dropped; the default is Keras' 32", () => {
  expect(inBatches(numbers(5), 7, { batchSize: 2, shuffle: false })).toEqual([[0, 1], [2, 3], [4]]);
  expect(inBatches(numbers(5), 7, { batchSize: 2, shuffle: false, dropRemainder: true })).toEqual([
    [0, 1],
    [2, 3],
  ]);
  expect(inBatches(numbers(33), 1).map(({ length }) => length)).toEqual([32, 1]);
});

test("the order of a seed is the same in every release", () => {
  expect(shuffled(numbers(8), 1)).toEqual([3, 7, 6, 4, 5, 0, 2, 1]);
  expect(inBatches(numbers(8), 2, { batchSize: 8, seed: 1 })).toEqual([[0, 4, 5, 6, 2, 1, 3, 7]]);
});

test("fit knows what a batch is", async () => {
  const w = new Variable(Float32Array.of(0));
  const { epochs } = await fit({
    optimizer: new Adamax(),
    data: (epoch) => inBatches([{ x: 1 }, { x: 2 }, { x: 3 }], epoch, { batchSize: 3 }),
    loss: (batch) => {
      expectTypeOf(batch).toEqualTypeOf<{ x: number }[]>();
      return { loss: batch.reduce((sum, { x }) => sum + x, 0), gradients: [[Float32Array.of(1), w]] as const };
    },
    progress: "none",
  });
  expect(epochs[0]!.loss).toBe(6);
});

test("options are checked", () => {
  expect(() => inBatches([], 1, { batchSize: 0 })).toThrow("batchSize of inBatches");
  expect(() => inBatches([], 1, { seed: 0.5 })).toThrow("seed=0.5");
  expect(() => inBatches([], 1, { size: 3 } as never)).toThrow("no such option");
  expect(() => inBatches([], { batchSize: 3 } as never)).toThrow("epoch of inBatches must be an integer");
});
