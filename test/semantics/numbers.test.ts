/** Numbers at the edges: NaN, infinities, tiny and huge ones, -0, nothing at all; and listed rows, which are the dense gradient. */

import { Adamax, type AdamaxOptions, IndexedSlices, type Values, Variable } from "adamax";
import fc from "fast-check";
import { beforeEach, describe, expect, test, vi } from "vitest";
import {
  DTYPES,
  expectSameBits,
  f32,
  inTurn,
  isDevice,
  isFar,
  nearTest,
  read,
  sideBySide,
  state,
  stateNow,
  step,
  variable,
  variablesOf,
  WIDE,
  Wide,
} from "./helpers.js";
import { anyOptions, misaligned, numbers } from "./models.js";

vi.setConfig({ testTimeout: isDevice ? 300_000 : 60_000 });
beforeEach(() => void vi.spyOn(console, "warn").mockImplementation(() => {}));

const { NaN: NAN, POSITIVE_INFINITY: INFINITE } = Number;
const TINY = 2 ** -90;
const arrays = (values: Values) => (values instanceof Float32Array ? Float32Array : Float64Array);

/** Two steps on a variable with these gradients; what w, m and u are then. */
const twoSteps = async (options: AdamaxOptions, gradient: Values, second = gradient) => {
  using optimizer = new Adamax(options);
  const w = new Variable(new (arrays(gradient))(gradient.length).fill(1), { name: "w" });
  for (const one of [gradient, second]) optimizer.applyGradients([[one, w]]);
  const value = await w.read();
  await optimizer.download();
  return { w: value, momentum: stateNow(optimizer, "momentum").slice(), norm: stateNow(optimizer, "norm").slice() };
};

describe.each(["wasm", "interpreter"] as const)("%s", (backend) => {
  const noNorm = anyOptions.map(
    ({ clipnorm, globalClipnorm, ...options }): AdamaxOptions => ({ ...options, backend, gradientAccumulationSteps: null }),
  );
  const place = fc
    .integer({ min: 1, max: 70 })
    .chain((length) => fc.record({ length: fc.constant(length), at: fc.nat(length - 1) }));
  const float = fc.constantFrom(...DTYPES);

  test("a NaN gradient poisons its own parameter and no other", async () => {
    const property = fc.asyncProperty(noNorm, place, float, fc.nat(), async (options, { length, at }, dtype, seed) => {
      const healthy = numbers(dtype, length, seed);
      const broken = healthy.slice();
      broken[at] = NAN;
      const [expected, reached] = await sideBySide([healthy, broken], (gradient) =>
        twoSteps({ epsilon: 1e-7, ...options }, gradient),
      );
      for (const name of ["w", "momentum", "norm"] as const) {
        expect(reached![name][at]).toBeNaN();
        expectSameBits(
          reached![name].filter((_, i) => i !== at) as Values,
          expected![name].filter((_, i) => i !== at) as Values,
          name,
        );
      }
    });
    await fc.assert(property, { numRuns: 25, seed: 2 });
  });

  test("an infinite gradient shows in its own parameter and no other", async () => {
    for (const gradient of [INFINITE, -INFINITE]) {
      const { w, momentum, norm } = await twoSteps({ backend }, f32(1, gradient, 1));
      const healthy = await twoSteps({ backend }, f32(1, 1, 1));
      expect([w[1], norm[1]]).toEqual([NAN, INFINITE]);
      expect(Number.isFinite(momentum[1])).toBe(false);
      expect([w[0], w[2]]).toEqual([healthy.w[0], healthy.w[2]]);
    }
  });

  test("clipvalue brings an infinite gradient down to the limit", async () => {
    expect((await twoSteps({ backend, clipvalue: 2 }, f32(INFINITE, -INFINITE, NAN))).norm).toEqual(f32(2, 2, NAN));
  });

  test.each([NAN, INFINITE, -INFINITE])("%s shows in everything that its norm scales, and nowhere else", async (bad) => {
    const run = async (clipping: AdamaxOptions) => {
      using optimizer = new Adamax({ backend, ...clipping });
      const single = new Variable(Wide.of(1));
      const reached = await step(optimizer, [f32(1, bad, 1), variable([1, 1, 1])], [Wide.of(1), single]);
      return reached.map((values) => values.map(Number.isNaN));
    };
    expect(await run({ clipnorm: 1 })).toEqual([[true, true, true], [false]]);
    expect(await run({ globalClipnorm: 1 })).toEqual([[true, true, true], [true]]);
    expect(await run({})).toEqual([[false, true, false], [false]]);
  });

  test("norms of huge gradients do not overflow: [1e20, 1] is clipped to [1, 1e-20]", async () => {
    const clipped = async (options: AdamaxOptions, ...gradient: number[]) => {
      using optimizer = new Adamax({ backend, beta1: 0, ...options });
      await step(optimizer, [f32(...gradient), variable(gradient)]);
      return await state(optimizer, "momentum");
    };
    for (const options of [{ clipnorm: 1 }, { globalClipnorm: 1 }]) {
      expect(await clipped(options, 1e20, 1)).toEqual(f32(1, 1e-20));
      expect(await clipped(options, 3e37, -4e37)).toEqual(f32(0.6, -0.8));
    }
  });

  test("gradients below 2^-90 count as zero, those of 2^-90 do not", async () => {
    for (const dtype of DTYPES) {
      const gradients = (...values: number[]) => (dtype === "float32" ? Float32Array : Float64Array).of(...values);
      const below = TINY * (1 - 2 ** -20);
      expect((await twoSteps({ backend }, gradients(below, -below, 5e-324, 1e-40))).norm).toEqual(gradients(0, 0, 0, 0));
      expect((await twoSteps({ backend }, gradients(TINY, -TINY))).norm).toEqual(gradients(TINY, TINY));
    }
  });

  test("which gradients count as zero is decided after the loss scale is taken off", async () => {
    const after = async (lossScaleFactor: number, ...gradient: number[]) =>
      (await twoSteps({ backend, lossScaleFactor }, f32(...gradient))).norm;
    expect(await after(1024, 1023 * TINY, 1024 * TINY)).toEqual(f32(0, TINY));
    expect(await after(3, 2.9 * TINY, 3 * TINY)).toEqual(f32(0, TINY));
  });

  test("m and u below 2^-90 become zero in every 16th update, whichever call of which optimizer that is", async () => {
    const after = async (iterations: number, beta1 = 0.9) => {
      using optimizer = new Adamax({ backend, beta1, beta2: 1 });
      const w = variable([1, 1, 1]);
      optimizer.build([w]);
      const slots = f32(TINY / 2, -TINY / 2, TINY);
      optimizer.setWeights([[iterations], slots, slots.map(Math.abs)]);
      await step(optimizer, [f32(0, 0, 0), w]);
      return await inTurn(["momentum", "norm"], async (slot) => [...(await state(optimizer, slot))].map((value) => value !== 0));
    };
    for (const iterations of [0, 16, 160])
      expect(await after(iterations)).toEqual([
        [false, false, true],
        [false, false, true],
      ]);
    for (const iterations of [1, 15, 17, 100])
      expect(await after(iterations)).toEqual([
        [true, true, true],
        [true, true, true],
      ]);
    expect(await after(4, 0.1)).toEqual([
      [false, false, true],
      [false, false, true],
    ]); // a smaller beta1 needs a shorter period
  });

  test.each([0.9, 0.5, 0.1, 1e-3, 0])(
    "with beta1 = %s, m and u sink to zero and are never subnormal on the way",
    async (beta1) => {
      using optimizer = new Adamax({ backend, beta1, beta2: beta1 });
      const w = variable([1, 1, 1]);
      await step(optimizer, [f32(3, -1e-20, TINY), w]);
      const isSubnormal = (value: number) => value !== 0 && Math.abs(value) < 2 ** -126;
      const kept = async () => {
        await optimizer.download();
        return ["momentum", "norm"].flatMap((slot) => [...stateNow(optimizer, slot)]);
      };
      for (let i = 0; i < 700; i++) {
        optimizer.applyGradients([[f32(0, 0, 0), w]]);
        expect((await kept()).some(isSubnormal)).toBe(false);
      }
      expect(await kept()).toEqual([0, 0, 0, 0, 0, 0]);
    },
  );

  test("a gradient of -0 gives the bits of 0; a variable of -0 that nothing moves stays -0", async () => {
    const options = { backend, weightDecay: 0.1, useEma: true };
    const [signed, plain] = [await twoSteps(options, f32(-0, 1), f32(1, -0)), await twoSteps(options, f32(0, 1), f32(1, 0))];
    for (const name of ["w", "momentum", "norm"] as const) expectSameBits(signed[name], plain[name]);
    expect(await step(new Adamax({ backend }), [f32(0), variable([-0])])).toEqual([[-0]]);
  });

  test.each<AdamaxOptions>([
    {},
    { clipnorm: 1 },
    { globalClipnorm: 1 },
    { useEma: true, weightDecay: 0.1, gradientAccumulationSteps: 2 },
  ])("variables of no elements are trained in peace (%j)", async (options) => {
    const run = async (shapes: number[][]) => {
      using optimizer = new Adamax({ backend, ...options });
      const w = variable([1, 2]);
      const empty = shapes.map((shape) => new Variable(new Float32Array(0), { shape }));
      for (let i = 0; i < 4; i++) {
        const none = empty.map((variable, k) => [k === 1 ? new IndexedSlices(f32(), []) : f32(), variable] as const);
        optimizer.applyGradients([...none.slice(0, 2), [f32(3, 4), w], ...none.slice(2)]);
      }
      return read(w);
    };
    expect(await run([[0], [0, 3], [3, 0]])).toEqual(await run([]));
  });

  test("listed rows of no width are no error", () => {
    const w = new Variable(new Float32Array(0), { shape: [3, 0] });
    expect(new Adamax({ backend }).applyGradients([[new IndexedSlices(f32(), [2, 0, 2]), w]])).toBe(1);
  });
});

describe("listed rows give the bits of the dense gradient, row by row summed in the order given", () => {
  /** Sizes of a row that end before, at and after the edge of a block of 4096, or cross it in the middle. */
  const rowSize = fc.constantFrom(1, 3, 16, 1000, 1365, 4095, 4096, 4097, 5000);
  const shape = rowSize.chain((size) =>
    fc.tuple(fc.integer({ min: 1, max: Math.min(300, Math.ceil(20_000 / size)) }), fc.constant(size)),
  );
  const sparse = shape.chain(([rows, size]) =>
    fc.record({
      rows: fc.constant(rows),
      size: fc.constant(size),
      indices: fc.array(fc.nat(rows - 1), { maxLength: Math.min(2 * rows, Math.ceil(40_000 / size)) }),
      kind: fc.constantFrom("tame", "wild"),
      dtype: fc.constantFrom(...DTYPES),
      foreign: isFar ? fc.constant(false) : fc.boolean(),
    }),
  );

  test.each(["wasm", "interpreter"] as const)("%s: unsorted, given twice or not at all, under all options", async (backend) => {
    const property = fc.asyncProperty(
      anyOptions,
      sparse,
      fc.nat(),
      async (options, { rows, size, indices, kind, dtype, foreign }, seed) => {
        const start = numbers(dtype, rows * size, seed);
        const train = async (toGradient: (values: Values) => Values | IndexedSlices) => {
          using optimizer = new Adamax({ ...options, backend });
          const w = new Variable(foreign ? misaligned(start) : start.slice(), { shape: [rows, size], adopt: !foreign });
          for (let i = 0; i < 3; i++)
            optimizer.applyGradients([[toGradient(numbers(dtype, indices.length * size, seed + i, kind)), w]]);
          const kept = (await variablesOf(optimizer)).slice(1);
          return [await w.read(), ...kept.map(({ value }) => (value as Values).slice())];
        };
        const listed = await train((values) => new IndexedSlices(values, Int32Array.from(indices)));
        const dense = await train((values) => {
          const all = start.slice().fill(0);
          indices.forEach((row, i) => {
            for (let k = 0; k < size; k++) all[row * size + k]! += values[i * size + k]!;
          });
          return all;
        });
        for (const [i, array] of listed.entries()) expectSameBits(array, dense[i]!, `array ${i}`);
      },
    );
    await fc.assert(property, { numRuns: 25, seed: 3 });
  });

  test("rows given twice are summed before they are clipped", async () => {
    using optimizer = new Adamax({ clipvalue: 1 });
    const w = new Variable(f32(0, 0), { shape: [2, 1], name: "w" });
    await step(optimizer, [new IndexedSlices(f32(1, 1), [0, 0]), w]);
    expect([...(await state(optimizer, "norm"))]).toEqual([1, 0]);
  });

  test("rows that are not listed decay and move all the same", async () => {
    using optimizer = new Adamax();
    const w = new Variable(f32(0, 0), { shape: [2, 1], name: "w" });
    await step(optimizer, [f32(1, 1), w]);
    const before = (await w.read())[1]!;
    await step(optimizer, [new IndexedSlices(f32(1), [0]), w]);
    expect((await state(optimizer, "norm"))[1]).toBe(Math.fround(0.999));
    expect((await w.read())[1]).toBeLessThan(before);
  });

  test("an ordinary array of indices, and no index at all", async () => {
    const run = async (gradient: (dense: Float32Array) => Float32Array | IndexedSlices) => {
      const w = new Variable(f32(1, 2, 3, 4), { shape: [2, 2] });
      using optimizer = new Adamax();
      return await inTurn([f32(1, 2, 0, 0), f32(0, 0, 0, 0)], (dense) => step(optimizer, [gradient(dense), w]));
    };
    const listed = await run((dense) => (dense[0] ? new IndexedSlices(dense.slice(0, 2), [0]) : new IndexedSlices(f32(), [])));
    expect(listed).toEqual(await run((dense) => dense));
  });
});

test("a million steps later the bias correction is 1, and the steps go on", async () => {
  using optimizer = new Adamax();
  const w = variable([1, 1, 1, 1]);
  optimizer.build([w]);
  optimizer.setWeights([[1_000_000], new Float32Array(4), new Float32Array(4)]);
  const [values] = await step(optimizer, [f32(1, -1, 0, NAN), w]);
  const size = Math.fround(Math.fround(0.001 * Math.fround(0.1)) / Math.fround(1 + 1e-7));
  expect(values!.slice(0, 3).map((value) => Math.fround(value))).toEqual([1 - size, 1 + size, 1].map(Math.fround));
});

test("a NaN with its sign set, loaded as state, stays a NaN in every backend", async () => {
  const negativeNaN = new Float32Array(Uint32Array.of(0xffc00000, 0xffc00000, 0, 0, 0).buffer);
  for (const backend of ["wasm", "interpreter"] as const) {
    const w = new Variable(new Float32Array(5));
    using optimizer = new Adamax({ backend });
    optimizer.build([w]);
    optimizer.setWeights([[3], new Float32Array(5), negativeNaN]);
    optimizer.applyGradients([[Float32Array.of(1, 0, 1, 0, 1), w]]);
    expect((await read(w)).map(Number.isNaN)).toEqual([true, true, false, false, false]);
  }
});

describe("a NaN with its sign set, written into the state through a view of it, is where it is in both backends", () => {
  const negativeNaN = {
    float32: new Float32Array(Uint32Array.of(0xffc00000).buffer),
    float64: new Float64Array(BigUint64Array.of(0xfff8000000000000n).buffer),
  };
  const run = async (backend: "wasm" | "interpreter", dtype: "float32" | "float64", slot: string, isLate: boolean) => {
    const values = numbers(dtype, 40, 5);
    using optimizer = new Adamax({ backend, clipnorm: 1 });
    const w = new Variable(values.slice(), { name: "w" });
    optimizer.build([w]);
    if (isLate) optimizer.applyGradients([[values, w]]);
    const view = stateNow(optimizer, slot);
    if (!isLate) optimizer.applyGradients([[values, w]]);
    for (const place of [0, 7, 39]) (view as Float32Array).set(negativeNaN[dtype] as Float32Array, place);
    optimizer.applyGradients([[values, w]]);
    return [await w.read(), stateNow(optimizer, "momentum").slice(), stateNow(optimizer, "norm").slice()];
  };
  for (const dtype of DTYPES)
    for (const slot of ["momentum", "norm"])
      nearTest(`${dtype}, ${slot}; the view taken before a step was compiled, and after`, async () => {
        for (const isLate of [false, true]) {
          const [wasm, interpreter] = [await run("wasm", dtype, slot, isLate), await run("interpreter", dtype, slot, isLate)];
          for (const [i, array] of wasm.entries()) expectSameBits(array, interpreter[i]!, `array ${i}`);
          expect([0, 7, 39].map((place) => wasm[0]![place])).toEqual([NAN, NAN, NAN]);
        }
      });

  test("and where state of float64, if there is such a thing, is loaded that holds it, too", async () => {
    for (const backend of ["wasm", "interpreter"] as const) {
      using optimizer = new Adamax({ backend });
      const w = new Variable(new Wide(2), { name: "w" });
      optimizer.build([w]);
      const norm = new Wide(2);
      norm.set(negativeNaN[WIDE] as Float64Array);
      optimizer.setWeights([[3], new Wide(2), norm]);
      expect((await step(optimizer, [Wide.of(1, 1), w]))[0]!.map(Number.isNaN)).toEqual([true, false]);
    }
  });
});
