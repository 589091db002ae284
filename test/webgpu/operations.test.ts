/** Every operation of rules on the device against the interpreter, bit for bit. */

import { describe, expect, test } from "vitest";
import type { Device } from "../../src/backends/webgpu/device.js";
import { USAGE } from "../../src/backends/webgpu/usage.js";
import { compile } from "../../src/rule/compile.js";
import { abs, type Expression, element, flush, ifPositive, max, min } from "../../src/rule/expression.js";
import {
  anyBits,
  around,
  type ComputeOptions,
  compute,
  type Floats,
  interpret,
  ONE_CLASS,
  openDevice,
  SPECIAL,
} from "./helpers.js";

const [x, y, z] = ["x", "y", "z"].map(element) as [Expression, Expression, Expression];
const operations: [string, Expression][] = [
  ["add", x.add(y)],
  ["sub", x.sub(y)],
  ["mul", x.mul(y)],
  ["div", x.div(y)],
  ["max", max(x, y)],
  ["max with a magnitude", max(x, abs(y))],
  ["max of a magnitude", max(flush(abs(x), 1), y)],
  ["min", min(x, y)],
  ["abs", abs(x)],
  ["neg", x.neg()],
  ["sqrt", x.sqrt()],
  ["flush", flush(x, 2 ** -90)],
  ["flush with a limit below 0", flush(x, -1)],
  ["ifPositive", ifPositive(x, y, z)],
  ["a number less itself", x.sub(x)],
  ["a number by itself", x.div(x)],
];
/** What compilers like to change. */
const compositions: [string, Expression][] = [
  ["a product and a sum", x.mul(y).add(z)],
  ["a product, a product and a difference", x.mul(y).sub(z.mul(y))],
  ["a sum, less one of what it is made of", x.add(y).sub(x)],
  ["a quotient of products", x.mul(y).div(z.mul(z))],
  ["a quotient, times the divisor", x.div(y).mul(y)],
  ["the square of a root", abs(x).sqrt().square()],
];

type Inputs = Readonly<Record<"x" | "y" | "z", Floats>>;

/** Random bits, numbers of about 1, and every pair of special values: some tiles, and a part of one. */
const anything: Inputs = (() => {
  const length = 20_000 + SPECIAL.length ** 2;
  const [x, y, z] = [1, 2, 3].map((seed) => {
    const values = new Float32Array(length);
    values.set(anyBits(10_000, seed));
    values.set(around(1, 10_000, seed + 10), 10_000);
    return values;
  }) as [Floats, Floats, Floats];
  for (let i = 0; i < SPECIAL.length ** 2; i++) {
    x[20_000 + i] = SPECIAL[i % SPECIAL.length]!;
    y[20_000 + i] = SPECIAL[Math.floor(i / SPECIAL.length)]!;
    z[20_000 + i] = SPECIAL[(i * 7) % SPECIAL.length]!;
  }
  return { x, y, z };
})();
const ordinary: Inputs = { x: around(1, 1e5, 1), y: around(1, 1e5, 2), z: around(1, 1e5, 3) };

/** WGSL lets a device take numbers below 2^-126 for 0, given or computed; also those that are rounded to 2^-126. */
const isTiny = (value: number): boolean => Math.abs(value) <= 2 ** -126;
const cleared = (values: Floats): Floats => values.map((value) => (Math.abs(value) < 2 ** -126 ? 0 * value : value));

/** Elements that the device computes in another way than the interpreter. */
const differences = async (
  device: Device,
  expression: Expression,
  inputs: Inputs,
  options?: ComputeOptions,
): Promise<string[]> => {
  const steps = {
    classes: ONE_CLASS,
    programs: [[compile("float32", { w: expression })]],
    parameters: [{ learningRate: 0.25, step: 3 }],
  };
  const { x, y, z } = inputs;
  const given = (arrays: Inputs) => [{ class: 0, arrays: { w: new Float32Array(x.length), g: new Float32Array(1), ...arrays } }];
  const [actual] = await compute(device, steps, given(inputs), options);
  const [expected] = interpret(steps, given(inputs));
  const [orElse] = interpret(steps, given({ x: cleared(x), y: cleared(y), z: cleared(z) }));
  const wrong: string[] = [];
  for (let i = 0; i < x.length; i++) {
    const a = actual!.w![i]!;
    const isRight = [expected!, orElse!].some(({ w }) => Object.is(a, w![i]) || (a === 0 && isTiny(w![i]!)));
    if (!isRight) wrong.push(`${a}, not ${expected!.w![i]}, for x = ${x[i]}, y = ${y[i]}, z = ${z[i]}`);
  }
  return wrong;
};

/** The text of every shader is changed in this way before it is compiled. */
const sabotage = (device: Device, from: string, to: string): void => {
  const pipeline = device.pipeline.bind(device);
  device.pipeline = (label, text) => {
    expect(text).toContain(from);
    return pipeline(label, text.replaceAll(from, to));
  };
};

describe.each([
  ["the device's own quotients and roots", { quotient: false, root: false }],
  ["corrected ones", { quotient: true, root: true }],
])("with %s", (_, corrections) => {
  test.each(operations)("%s, of any bits", async (_, expression) => {
    expect(await differences(await openDevice(corrections), expression, anything)).toEqual([]);
  });

  test.each(compositions)("%s, of ordinary numbers", async (_, expression) => {
    expect(await differences(await openDevice(corrections), expression, ordinary)).toEqual([]);
  });
});

test("an element at a time, where an array does not begin on 16 bytes", async () => {
  const device = await openDevice();
  const prepare: ComputeOptions["prepare"] = ([variable]) => {
    const [part] = variable!.parts;
    const { storage, copySource, copyTarget } = USAGE;
    const buffer = device.buffer("elsewhere", (part!.length + 3) * 4, storage | copySource | copyTarget);
    variable!.move(part!, "w", { buffer, offset: 3 });
  };
  expect(await differences(device, max(x.mul(y), z), ordinary, { prepare })).toEqual([]);
});

test.each([
  ["quotients", x.div(y), "Float(dividend) / Float(divisor)"],
  ["square roots", abs(x).sqrt(), "sqrt(Float(square) * 0.5)"],
])("%s are corrected by up to 3.5 ulps", async (_, expression, own) => {
  for (const factor of [1 + 3.5 * 2 ** -24, 1 - 3.5 * 2 ** -24]) {
    const device = await openDevice({ quotient: true, root: true });
    sabotage(device, own, `(${own}) * ${factor}`);
    expect(await differences(device, expression, anything)).toEqual([]);
  }
});

test.each([
  ["max that loses NaN", max(x, y), "larger(n0, n1)", "bitcast<Bits>(max(float(n0), float(n1)))"],
  ["a product by the reciprocal", x.div(y), "float(x) / float(y)", "float(x) * (1.0 / float(y))"],
  ["flushing that takes NaN for 0", flush(x, 1), "magnitude(x) < limit", "!(abs(float(x)) >= Float(1.0))"],
  ["-0 that is not less than 0", max(x, y), "rank(y) > rank(x)", "float(y) > float(x)"],
  ["NaN that is less than a magnitude", max(x, abs(y)), "bitcast<Int>(x)) & !isNaN(x)", "bitcast<Int>(x))"],
])("the comparison notices %s", async (_, expression, right, wrong) => {
  const device = await openDevice({ quotient: false, root: false });
  sabotage(device, right, wrong);
  expect(await differences(device, expression, anything)).not.toEqual([]);
});
