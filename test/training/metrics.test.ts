/** What is measured beside the loss, how much of the validation, and which epochs. */

import { Adamax, type Callback, fit, Variable } from "adamax";
import { expect, expectTypeOf, test } from "vitest";

const setting = (useEma = false) => {
  const w = new Variable(Float32Array.of(0), { name: "w" });
  const optimizer = new Adamax({ learningRate: 1, useEma, emaMomentum: 0.5 });
  const loss = (batch: number) => ({ loss: batch, gradients: [[Float32Array.of(1), w]] as const, double: 2 * batch });
  return { w, optimizer, given: { optimizer, data: [1, 3], loss, progress: "none" as const } };
};

test("metrics are means over the batches, of what the loss returned, before the step; callbacks see them as they grow", async () => {
  const { w, given } = setting();
  const seen: (number | undefined)[] = [];
  const callback: Callback = { onBatchEnd: ({ double, weight }) => void seen.push(double, weight) };
  const { epochs } = await fit({
    ...given,
    metrics: {
      double: (_, { double }) => double,
      weight: async (batch) => {
        expectTypeOf(batch).toEqualTypeOf<number>();
        return w.value[0]! * batch;
      },
    },
    callbacks: [callback],
  });
  expect(seen.map((value) => Math.round(value!))).toEqual([2, 0, 4, -1]); // the mean of 0 and -3 is -1.5
  expect(epochs[0]).toMatchObject({ loss: 2, double: 4 });
  expect(epochs[0]!.weight).toBeCloseTo(-1.5);
  expect(Object.keys(epochs[0]!)).toEqual(["epoch", "batches", "loss", "double", "weight", "learningRate", "seconds"]);
});

test("a validation whose loss returns an object measures the metrics, too, on the averages", async () => {
  const { w, given } = setting(true);
  const metrics = { weight: () => w.value[0]! };
  const validation = { data: [5, 7], loss: (value: number) => ({ loss: value }) };
  const { epochs } = await fit({ ...given, data: [1], metrics, validation });
  expect(epochs[0]).toMatchObject({ loss: 1, weight: 0, valLoss: 6 });
  expect(epochs[0]!.valWeight).toBeCloseTo(-0.5);
  const plain = await fit({ ...given, metrics, validation: { data: [5], loss: (value) => value } });
  expect(plain.epochs[0]).not.toHaveProperty("valWeight");
});

test("a validation that measures metrics on some of its batches has their mean over those", async () => {
  const { given } = setting();
  const validation = { data: [5, 7, 9], loss: (value: number) => (value === 7 ? value : { loss: value }) };
  const { epochs } = await fit({ ...given, metrics: { ten: () => 10 }, validation });
  expect(epochs[0]).toMatchObject({ valLoss: 7, valTen: 10 });
});

test("a validation does not take raw values for averages, where a callback has swapped them", async () => {
  const { optimizer, given } = setting(true);
  const callback: Callback = { onBatchEnd: ({ batch }) => void (batch === 2 && optimizer.swapAverages()) };
  const validation = { data: [5], loss: () => 1 };
  await expect(fit({ ...given, callbacks: [callback], validation })).rejects.toThrow("The variables hold their averages");
});

test("metrics may be called as what every object has", async () => {
  const { given } = setting();
  const { epochs } = await fit({ ...given, metrics: { toString: () => 2, constructor: () => 3, hasOwnProperty: () => 4 } });
  expect(Object.entries(epochs[0]!)).toEqual(
    expect.arrayContaining([
      ["toString", 2],
      ["constructor", 3],
      ["hasOwnProperty", 4],
    ]),
  );
});

test("validationSteps measures so many batches at most, and closes the data", async () => {
  const { given } = setting();
  let closed = 0;
  const data = function* () {
    try {
      yield* [1, 2, 6];
    } finally {
      closed++;
    }
  };
  const validate = async (validationSteps?: number) =>
    (await fit({ ...given, validation: { data, loss: (x) => x }, ...(validationSteps ? { validationSteps } : {}) })).epochs[0]!
      .valLoss;
  expect([await validate(2), await validate(3), await validate(9), await validate()]).toEqual([1.5, 3, 3, 3]);
  expect(closed).toBe(4);
});

test("with initialEpoch, epochs go on with the number after it and end with the same one", async () => {
  const { optimizer, given } = setting();
  const asked: number[] = [];
  const told: number[] = [];
  const data = (epoch: number) => {
    asked.push(epoch);
    return [1];
  };
  const history = await fit({
    ...given,
    data,
    epochs: 5,
    initialEpoch: 3,
    callbacks: [{ onEpochBegin: (epoch) => void told.push(epoch) }],
  });
  expect([asked, told, history.epochs.map(({ epoch }) => epoch)]).toEqual([
    [4, 5],
    [4, 5],
    [4, 5],
  ]);
  expect((await fit({ ...given, data, epochs: 5, initialEpoch: 5 })).epochs).toEqual([]);
  expect(optimizer.iterations).toBe(2);
  await fit({ ...given, data: [1].values(), epochs: 5, initialEpoch: 4 }); // read once, for one epoch
});

const refused: [what: string, options: object, message: RegExp][] = [
  ["the name of another number", { metrics: { loss: () => 1 } }, /name of another number.*\{ loss \}/],
  ["a name of the validation", { metrics: { valX: () => 1 } }, /metrics: \{ valX \}/],
  ["no name", { metrics: { "": () => 1 } }, /metric of fit has a name/],
  [
    "two names that are one in the validation",
    { metrics: { acc: () => 1, Acc: () => 2 } },
    /both be valAcc in a validation.*\{ acc, Acc \}/,
  ],
  ["a metric that is no function", { metrics: { x: 1 } }, /metrics of fit must be an object of functions/],
  ["a metric that gives no number", { metrics: { x: () => "1" } }, /metric x of fit must return a number. Received: "1"/],
  ["validationSteps without a validation", { validationSteps: 1 }, /counts batches of the validation/],
  ["half a step", { validationSteps: 0.5, validation: { data: [1], loss: () => 0 } }, /validationSteps=0.5/],
  ["a negative epoch", { initialEpoch: -1 }, /initialEpoch=-1/],
  ["a validation's loss without a number", { validation: { data: [1], loss: () => ({}) } }, /validation must return a number/],
];
test.each(refused)("%s is refused", async (_, options, message) => {
  await expect(fit({ ...setting().given, ...options } as never)).rejects.toThrow(message);
});
