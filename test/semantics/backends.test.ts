/** The two backends agree bit for bit; NaNs are in the same places. */

import { Adamax, type AdamaxOptions, type DType, type Values, Variable } from "adamax";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { difference, f32, isDevice, isFar, nearTest, replaceWebAssembly, sideBySide, state, wideTest } from "./helpers.js";
import { anyModel, type Model, numbers, train } from "./models.js";

vi.setConfig({ testTimeout: isDevice ? 300_000 : 60_000 });
beforeEach(() => void vi.spyOn(console, "warn").mockImplementation(() => {})); // null gradients are on purpose here
afterEach(() => vi.restoreAllMocks());

/** A device may count them as zero. */
const withoutSubnormal = (x: number) => (Math.abs(x) < 2 ** -126 ? 0 * x : x);

/** Where what wasm (or what runs in its place) reaches differs from what the interpreter reaches; null when it does not. */
const disagreement = async (model: Model, onWasm: AdamaxOptions = {}): Promise<string | null> => {
  const wasm = await train(model, { backend: "wasm", ...onWasm });
  const interpreter = await train(model, { backend: "interpreter" });
  for (let i = 0; i < wasm.length; i++) {
    const [actual, expected] = [wasm, interpreter].map((arrays) => (isDevice ? arrays[i]!.map(withoutSubnormal) : arrays[i]!));
    const differs = difference(actual!, expected!);
    if (differs) return `array ${i}: ${differs}`;
  }
  return null;
};
const agree = async (model: Model): Promise<void> => {
  expect(await disagreement(model)).toBeNull();
};

test("on any model: options, dtypes, lengths, foreign and misaligned arrays, sparse and missing gradients, NaN, infinities, -0, subnormals", async () => {
  // On a device, most models want shaders that have to be compiled first.
  await fc.assert(fc.asyncProperty(anyModel, agree), { numRuns: isDevice ? 60 : 150, seed: 1 });
});

describe("on every combination of options", () => {
  const clips: AdamaxOptions[] = [{}, { clipnorm: 0.7 }, { clipvalue: 0.2 }, { globalClipnorm: 0.7 }];
  const averages: AdamaxOptions[] = [
    {},
    { useEma: true },
    { useEma: true, emaOverwriteFrequency: 2 },
    { useEma: true, emaStart: "firstStep", emaOverwriteFrequency: 1 },
  ];
  const rest: AdamaxOptions[] = [
    {},
    { weightDecay: 0.1 },
    { lossScaleFactor: 3 },
    { weightDecay: 0.1, gradientAccumulationSteps: 2, lossScaleFactor: 1024 },
  ];
  const combinations = clips.flatMap((clip) =>
    averages.flatMap((average) => rest.map((more): AdamaxOptions => ({ ...clip, ...average, ...more }))),
  );
  const agreeOn = async (kinds: readonly DType[]) => {
    const variables = kinds.map((dtype) => ({ length: 37, dtype, foreign: false, gradient: "own" as const }));
    const differences = await sideBySide(combinations, (options) =>
      disagreement({ options, variables, seed: 7, kind: "wild", start: 14, steps: 4 }),
    );
    expect(differences).toEqual(combinations.map(() => null));
  };
  test("float32", () => agreeOn(["float32"]));
  wideTest.each<[string, DType[]]>([
    ["float64", ["float64"]],
    ["mixed", ["float32", "float64"]],
  ])("%s", (_, kinds) => agreeOn(kinds));
});

test("on every length from 0 to 4099, with a norm for each", async () => {
  const run = async (backend: "wasm" | "interpreter") => {
    using optimizer = new Adamax({ clipnorm: 0.5, backend });
    // One long row of numbers from which every variable takes its own, each from another place.
    const [values, gradients] = [numbers("float32", 9000, 1), numbers("float32", 9000, 2)];
    const variables = Array.from({ length: 4100 }, (_, n) => new Variable(values.slice(n, 2 * n), { name: `${n}` }));
    optimizer.applyGradients(variables.map((variable, n) => [gradients.subarray(n, 2 * n), variable]));
    return await Promise.all(variables.map((variable) => variable.read()));
  };
  const [wasm, interpreter] = [await run("wasm"), await run("interpreter")];
  expect(wasm.map((value, n) => difference(value, interpreter[n]!)).filter((differs) => differs !== null)).toEqual([]);
});

test("on a thousand steps, tiny numbers being cleared on the way", async () => {
  const model: Model = {
    options: { beta1: 0.5 },
    variables: [{ length: 21, dtype: "float32", foreign: !isFar, gradient: "rows" }],
    seed: 5,
    kind: "tame",
    start: 0,
    steps: 1000,
  };
  await agree(model);
});

describe("the comparison can fail", () => {
  /** What the comparison says about the first models; null when nothing was noticed, also when a model could not run at all. */
  const noticed = async (onWasm: AdamaxOptions): Promise<string | null> => {
    let says: string | null = null;
    const property = fc.asyncProperty(anyModel, async (model) => {
      says = await disagreement(model, onWasm);
      return says === null;
    });
    await fc.check(property, { numRuns: 40, seed: 1, endOnFailure: true });
    return says;
  };

  test.each<[string, AdamaxOptions]>([
    ["beta2 of another last digit", { beta2: 0.9989 }],
    ["epsilon of another last digit", { epsilon: 1.1e-7 }],
    ["a rate off by one part in a million", { learningRate: () => 0.001000001 }],
  ])("%s is noticed", async (_, options) => expect(await noticed(options)).toMatch(/ is not /));

  /** Opcodes of vector instructions, encoded: the prefix 0xfd, then the number in two bytes. */
  const vector = (code: number) => [0xfd, (code & 0x7f) | 0x80, code >> 7];
  nearTest.each([
    ["f32x4.max loses NaN (pmax)", 0xe9, 0xeb],
    ["f32x4.add subtracts", 0xe4, 0xe5],
    ["f32x4.div multiplies", 0xe7, 0xe6],
    ["i32x4.max_s takes the smaller", 0xb8, 0xb6],
    ["f32x4.pmax takes the smaller", 0xeb, 0xea],
    ["f64x2.mul, of squares for a norm, adds", 0xf2, 0xf0],
  ])("%s: noticed", async (_, right, wrong) => {
    const { Module } = WebAssembly;
    const [from, to] = [vector(right), vector(wrong)];
    replaceWebAssembly("Module", (source: Uint8Array<ArrayBuffer>) => {
      const bytes = source.slice();
      for (let i = 0; i + 2 < bytes.length; i++) if (from.every((byte, k) => bytes[i + k] === byte)) bytes.set(to, i);
      return new Module(bytes);
    });
    expect(await noticed({})).toMatch(/ is not /);
  });
});

test("equal bits are told from unequal ones: -0 from 0, and a NaN only from a number", () => {
  const differ = (a: Values, b: Values) => difference(a, b) !== null;
  expect(differ(f32(-0), f32(0))).toBe(true);
  expect(differ(f32(Number.NaN), f32(0))).toBe(true);
  expect(differ(f32(1), f32(1, 2))).toBe(true);
  expect(differ(f32(Number.NaN, -0, 1e-45), f32(Number.NaN, -0, 1e-45))).toBe(false);
});

test.each(["wasm", "interpreter"] as const)(
  "clipping each gradient leaves the first micro-batch its loss scale: %s",
  async (backend) => {
    using optimizer = new Adamax({ clipnorm: 1, lossScaleFactor: 0.5, gradientAccumulationSteps: 2, backend });
    const w = new Variable(f32(0, 0), { name: "w" });
    optimizer.applyGradients([[f32(1, 2), w]]);
    expect([...(await state(optimizer, "accumulator"))]).toEqual([2, 4]);
  },
);
