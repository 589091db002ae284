/** float64 by integers: every operation on scalars, bit for bit as JavaScript computes it. */

import { expect, test } from "vitest";
import { INTEGERS, operateWide, WIDE } from "../../src/backends/webgpu/wide.js";
import type { ScalarOperation } from "../../src/rule/expression.js";
import { random } from "../semantics/helpers.js";
import { anyBits, openDevice, runShader, SPECIAL } from "./helpers.js";

const special = [
  ...SPECIAL,
  ...[5e-324, -5e-324, 2 ** -1022, 2 ** -1023 * 1.5, 1.7976931348623157e308, -1.7976931348623157e308, 1 + 2 ** -52, 1 - 2 ** -53],
  ...[2 ** 53, 2 ** 53 - 1, 2 ** 52 + 0.5, 0.1, 1e308, 1e-308, 1e-160, 1e160, 746, -746, 709.7, -744.4],
];

/** Pairs of special numbers, random bits, numbers near each other (whose difference cancels), and numbers of about 1. */
const pairs: (readonly [number, number])[] = (() => {
  const next = random(1);
  const bits = (): number => new Float64Array(Uint32Array.of(next() * 2 ** 32, next() * 2 ** 32).buffer)[0]!;
  const all = special.flatMap((x) => special.map((y) => [x, y] as const));
  for (let i = 0; i < 4000; i++) {
    const x = bits();
    all.push([x, bits()], [x, x * (1 + (next() - 0.5) * 2 ** (-60 * next()))], [next() * 4 - 2, next() * 4 - 2]);
    all.push([Math.fround(next() * 1e10), next()]);
  }
  return all;
})();

/** The operation on x, y and 1, for every pair. */
const compute = async (operation: ScalarOperation): Promise<number[]> => {
  const body = `
${INTEGERS}
${WIDE}
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
  let place = 4u * at.x;
  if (place >= arrayLength(&given)) { return; }
  let a = Wide(given[place + 1u], given[place]); // little-endian
  let b = Wide(given[place + 3u], given[place + 2u]);
  let c = ONE;
  let result = ${operateWide(operation, ["a", "b", "c"])};
  results[place] = result.y;
  results[place + 1u] = result.x;
}`;
  const results = await runShader(await openDevice(), body, new Uint32Array(Float64Array.from(pairs.flat()).buffer));
  return [...new Float64Array(results.buffer)].filter((_, i) => i % 2 === 0);
};

const exact: Partial<Record<ScalarOperation, (x: number, y: number) => number>> = {
  add: (x, y) => x + y,
  sub: (x, y) => x - y,
  mul: (x, y) => x * y,
  div: (x, y) => x / y,
  max: Math.max,
  min: Math.min,
  abs: Math.abs,
  neg: (x) => -x,
  sqrt: Math.sqrt,
  flush: (x, y) => (Math.abs(x) < y ? 0 : x),
  ifPositive: (x, y) => (x > 0 ? y : 1),
};

test.each(Object.entries(exact))("%s", async (operation, inJavaScript) => {
  const actual = await compute(operation as ScalarOperation);
  const wrong = pairs.flatMap(([x, y], i) => {
    const expected = inJavaScript(x, y);
    return Object.is(actual[i], expected) ? [] : [`${actual[i]}, not ${expected}, for ${x} and ${y}`];
  });
  expect(wrong.slice(0, 5)).toEqual([]);
});

/** 2e-13, for exponents up to 100: an exponent multiplies the error of a logarithm (2^-53 of it, or 2^-54); engines differ among themselves in
 *  the last place. For larger exponents, only where the result is special. */
test("pow, to 2e-13, and special values as in JavaScript", async () => {
  const actual = await compute("pow");
  const wrong = pairs.flatMap(([x, y], i) => {
    const [a, expected] = [actual[i]!, x ** y];
    const isOrdinary = Number.isFinite(expected) && Math.abs(expected) > 2 ** -1022;
    const isClose = Math.abs(a - expected) <= 2e-13 * Math.abs(expected);
    if (Object.is(a, expected) || (isOrdinary && (isClose || Math.abs(y) > 100))) return [];
    if (Math.abs(a - expected) < 2 ** -1021 || Math.abs(expected) > 1.797e308) return []; // where numbers end
    return [`${a}, not ${expected}, for ${x} and ${y}`];
  });
  expect(wrong.slice(0, 5)).toEqual([]);
});

test("float32 numbers become float64 and back, rounded as Math.fround does", async () => {
  const wide = Float64Array.from([
    ...pairs.flat(),
    ...anyBits(10_000, 3),
    1 + 2 ** -24,
    1 + 3 * 2 ** -24,
    2 ** -150,
    2 ** -149 * 1.5,
  ]);
  const body = `
${INTEGERS}
${WIDE}
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
  let place = 2u * at.x;
  if (place >= arrayLength(&given)) { return; }
  let narrowed = narrow(Wide(given[place + 1u], given[place]));
  let back = wideOf(narrowed);
  results[place] = back.y;
  results[place + 1u] = back.x;
}`;
  const results = await runShader(await openDevice(), body, new Uint32Array(wide.buffer));
  expect([...new Float64Array(results.buffer)]).toEqual([...wide].map(Math.fround));
});
