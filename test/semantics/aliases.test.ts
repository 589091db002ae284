/** Gradients that lie where a step writes: refused, because variables are updated one after the other, and with the value of the first changed
 *  the second would get another gradient. And values that lie in each other. */

import { Adamax, type AdamaxOptions, type GradientAndVariable, IndexedSlices, ShapeError, type Values, Variable } from "adamax";
import { expect, test } from "vitest";
import { f32, nearTest, read, stateNow, stateOf, step, thrown, variable } from "./helpers.js";

/** Two variables after a step, so that there is state. */
const two = async (options: AdamaxOptions = {}) => {
  const optimizer = new Adamax(options);
  const [a, b] = [variable([1, 2, 3, 4], "a"), variable([5, 6, 7, 8], "b")];
  await step(optimizer, [f32(1, 1, 1, 1), a], [f32(2, 2, 2, 2), b]);
  return { optimizer, a, b };
};
type Two = Awaited<ReturnType<typeof two>>;
const slices = (values: Values) => new IndexedSlices(values, [0, 1, 2, 3]);

const CASES: readonly [string, (two: Two) => GradientAndVariable[], string][] = [
  [
    "the values of two variables, crosswise",
    ({ a, b }) => [
      [b.value, a],
      [a.value, b],
    ],
    "the value of variable",
  ],
  [
    "a variable's own value",
    ({ a, b }) => [
      [a.value, a],
      [f32(1, 1, 1, 1), b],
    ],
    "the value of variable",
  ],
  [
    "a value, as listed rows",
    ({ a, b }) => [
      [slices(a.value), b],
      [f32(1, 1, 1, 1), a],
    ],
    "the value of variable",
  ],
  [
    "the first array of the state: momentum, or what has been accumulated",
    ({ optimizer, a, b }) => [
      [optimizer.variables[1]!.value as Values, b],
      [f32(1, 1, 1, 1), a],
    ],
    "(accumulator|average|momentum|norm) of variable",
  ],
  [
    "a slot",
    ({ optimizer, a, b }) => [
      [stateNow(optimizer, "norm", "a"), b],
      [f32(1, 1, 1, 1), a],
    ],
    "norm of variable",
  ],
  [
    "a part of two arrays of the state, which lie one behind the other",
    ({ optimizer, a, b }) => {
      const { buffer, byteOffset } = stateNow(optimizer, "momentum", "a");
      return [
        [new Float32Array(buffer, byteOffset + 8, 4), b],
        [f32(1, 1, 1, 1), a],
      ];
    },
    "(accumulator|average|momentum|norm) of variable",
  ],
];

for (const options of [
  {},
  { clipnorm: 1 },
  { gradientAccumulationSteps: 2 },
  { gradientAccumulationSteps: 3 },
  { backend: "interpreter" },
] as AdamaxOptions[])
  nearTest.each(CASES)(
    `%s: a gradient that is refused, and nothing has changed (${JSON.stringify(options)})`,
    async (_, pairsOf, where) => {
      const { optimizer, a, b } = await two(options);
      const pairs = pairsOf({ optimizer, a, b });
      const everything = async () => [...(await stateOf(optimizer)), await read(a), await read(b)];
      const before = await everything();
      const error = thrown(() => optimizer.applyGradients(pairs));
      expect(error).toBeInstanceOf(ShapeError);
      expect(error.message).toMatch(new RegExp(`must not lie where the step writes. Received: .* in ${where}.*Pass a copy`));
      expect(await everything()).toEqual(before);
      const copies = pairs.map(([gradient, one]): GradientAndVariable => {
        return gradient instanceof IndexedSlices ? [slices(gradient.values.slice()), one] : [(gradient as Values).slice(), one];
      });
      optimizer.applyGradients(copies);
      expect(await everything()).not.toEqual(before);
    },
  );

nearTest("plain arrays, crosswise or in part: refused, and nothing has changed", () => {
  const memory = f32(1, 2, 3, 4, 5, 6);
  const [x, y] = [memory.subarray(0, 4), f32(1, 1, 1, 1)];
  const optimizer = new Adamax();
  for (const [forX, forY] of [
    [y, x],
    [f32(1, 1, 1, 1), memory.subarray(2)],
    [memory.subarray(2), f32(1, 1, 1, 1)],
  ] as const) {
    const error = thrown(() =>
      optimizer.applyGradients([
        [forX, x],
        [forY, y],
      ]),
    );
    expect(error).toBeInstanceOf(ShapeError);
    expect(error.message).toMatch(/must not lie where the step writes/);
  }
  expect([[...memory], [...y], optimizer.iterations]).toEqual([[1, 2, 3, 4, 5, 6], [1, 1, 1, 1], 0]);
});

nearTest.each(["wasm", "interpreter"] as const)(
  "two variables in one memory, whole or in part: refused in every call that writes to both, and nothing has changed (%s)",
  (backend) => {
    const memory = f32(1, 2, 3, 4, 5, 6);
    const parts = [memory.subarray(0, 4), memory.subarray(3), new Float32Array(memory.buffer)];
    const [x, y, all] = parts.map((part) => new Variable(part, { adopt: false })) as [Variable, Variable, Variable];
    const optimizer = new Adamax({ backend });
    optimizer.build([x, y, all]);
    const ones = (one: Variable): GradientAndVariable => [new Float32Array(one.length).fill(1), one];
    for (const variables of [
      [x, y],
      [y, x],
      [x, all],
      [all, y],
      [x, y],
    ]) {
      const error = thrown(() => optimizer.applyGradients(variables.map(ones)));
      expect(error).toBeInstanceOf(ShapeError);
      expect(error.message).toMatch(
        /^The value of variable .* must not lie where the step writes. Received: .* in the value of .*Pass a copy/,
      );
    }
    expect([[...memory], optimizer.iterations]).toEqual([[1, 2, 3, 4, 5, 6], 0]);
    for (const one of [x, y]) optimizer.applyGradients([ones(one)]);
    expect(thrown(() => optimizer.applyGradients([ones(x), ones(y)]))).toBeInstanceOf(ShapeError);
    expect(optimizer.iterations).toBe(2);
  },
);

nearTest("what lies beside a value, and the array made for another gradient, are taken as they are", async () => {
  const memory = f32(1, 2, 3, 4);
  const [x, beside] = [memory.subarray(0, 2), memory.subarray(2)];
  const { optimizer, a, b } = await two();
  b.gradient.set([4, 3, 2, 1]);
  optimizer.extend([x]);
  expect(
    optimizer.applyGradients([
      [beside, x],
      [b.gradient, a],
      [b.gradient, b],
    ]),
  ).toBe(2);
  expect([...beside]).toEqual([3, 4]);
});

test("copies of the values of two variables, crosswise, are gradients like any other", async () => {
  const [{ optimizer, a, b }, other] = [await two(), await two()];
  const [forA, forB] = [await b.read(), await a.read()];
  const together = await step(optimizer, [forA, a], [forB, b]);
  expect(await step(other.optimizer, [Float32Array.from(forA), other.a], [Float32Array.from(forB), other.b])).toEqual(together);
});

test("one variable trained alone may have another's value as its gradient", async () => {
  const { optimizer, a, b } = await two();
  const before = await read(b);
  await step(optimizer, [await b.read(), a]);
  expect(await read(b)).toEqual(before);
});
