/** Sums of squares on the device against exact ones. */

import { expect, test } from "vitest";
import { joiningSums, SQUARES, THREADS, VECTORS, WIDE_SUMS } from "../../src/backends/webgpu/norms.js";
import { INTEGERS, WIDE } from "../../src/backends/webgpu/wide.js";
import { random } from "../semantics/helpers.js";
import { anyBits, around, type Floats, openDevice, runShader } from "./helpers.js";

const BLOCK = 4096;
/** There is no quotient here: whether the device's are exact need not be tried. */
const UNTRIED = { quotient: false, root: false };

const gaussian = (length: number, seed: number): Floats => {
  const next = random(seed);
  return Float32Array.from({ length }, () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()));
};
const finite = (values: Floats): Floats => values.map((value) => (Number.isFinite(value) ? value : 1));
/** What the blocks of each kind hold. */
const kinds: Record<string, Floats> = {
  gaussian: gaussian(64 * BLOCK, 1),
  uniform: Float32Array.from({ length: 16 * BLOCK }, random(2)),
  "of one size": around(1, 16 * BLOCK, 3),
  "near 1e30": around(1e30, 16 * BLOCK, 4),
  "near 1e-25": around(1e-25, 16 * BLOCK, 5),
  "of any exponent": finite(anyBits(16 * BLOCK, 6)),
  "the largest there are": new Float32Array(BLOCK).fill(3.4028234663852886e38),
  "near 1e-27": around(1e-27, 16 * BLOCK, 7),
  "the smallest that are not subnormal": new Float32Array(BLOCK).fill(-(2 ** -126)),
  "36 binary places above those, and less": Float32Array.from(
    { length: BLOCK },
    (_, i) => 2 ** ((i % 37) - 126) * (1 + (i % 7) / 7),
  ),
  "one in front of many small ones": Float32Array.from({ length: BLOCK }, (_, i) =>
    i === 4000 ? 1 : 2 ** -20 * (1 + i / BLOCK),
  ),
  "17 to 36 binary places apart": Float32Array.from(
    { length: 16 * BLOCK },
    (_, i) => (1 + (i % 97) / 97) * 2 ** -((i % 20) + (i % 2) * 17),
  ),
  "too small to count but for their number": Float32Array.from({ length: BLOCK }, (_, i) => (i === 7 ? 1 : 1.99999 * 2 ** -36)),
  "one behind the end of 64 bits": Float32Array.from({ length: BLOCK }, (_, i) => (i === 7 ? 1 : 2 ** -29)),
  "zeros and one number": Float32Array.from({ length: BLOCK }, (_, i) => (i === 99 ? Math.PI : 0)),
};

/** The sum of each block, as a float64, by a workgroup as a pass has it. */
const onDevice = async (values: Floats): Promise<number[]> => (await sumsOnDevice(values)).map(([, value]) => value);

/** What a shader of ours makes of words: two words of a float64 for each. */
const float64s = (words: Uint32Array): number[] => [...new Float64Array(words.slice().buffer)];

/** Likewise, and the words of the sum. */
const sumsOnDevice = async (values: Floats): Promise<[sum: Uint32Array, value: number][]> => {
  const device = await openDevice(UNTRIED);
  const sums = `
fn zero() -> u32 { return arrayLength(&given) - arrayLength(&results); } // which no compiler knows
${INTEGERS}
${joiningSums(1)}
${SQUARES}
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  if (group.x >= arrayLength(&given) / ${BLOCK}u) { return; }
  var kept: Kept;
  var largest = vec4(0u);
  for (var i = 0u; i < ${VECTORS}u; i++) {
    let at = group.x * ${BLOCK}u + 4u * (i * ${THREADS}u + thread);
    kept[i] = vec4(given[at], given[at + 1u], given[at + 2u], given[at + 3u]) & vec4(0x7fffffffu);
    largest = max(largest, kept[i]);
  }
  let total = joined(0u, sumOfSquares(largestOf(largest), &kept));
  if (thread < 4u) { results[4u * group.x + thread] = total[thread]; }
}`;
  const count = values.length / BLOCK;
  const words = (await runShader(device, sums, new Uint32Array(values.buffer))).slice(0, 4 * count);
  const ofEach = `results[2u * i] = value.y; results[2u * i + 1u] = value.x;`;
  const results = await joinOnDevice(
    words,
    `for (var i = thread; i < ${count}u; i += ${THREADS}u) { let value = wideOfSum(sumAt(i)); ${ofEach} }`,
  );
  return float64s(results.subarray(0, 2 * count)).map((value, i) => [words.subarray(4 * i, 4 * i + 4), value]);
};

/** A workgroup with the sums that these words are. */
const joinOnDevice = async (words: Uint32Array<ArrayBuffer>, body: string): Promise<Uint32Array> =>
  runShader(
    await openDevice(UNTRIED),
    `
${INTEGERS}
${joiningSums(1)}
${WIDE}
${WIDE_SUMS}
fn sumAt(i: u32) -> Sum { return Sum(given[4u * i], given[4u * i + 1u], given[4u * i + 2u], given[4u * i + 3u]); }
@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  if (group.x > 0u) { return; }
  ${body}
}`,
    words,
  );

/** A float64 as an integer, in units of 2^-1074. */
const integerOf = (value: number): bigint => {
  const bits = new BigUint64Array(Float64Array.of(value).buffer)[0]!;
  const [exponent, fraction] = [(bits >> 52n) & 0x7ffn, bits & 0xfffffffffffffn];
  return exponent === 0n ? fraction : (fraction | 0x10000000000000n) << (exponent - 1n);
};
const exactly = (block: Floats): bigint => block.reduce((sum, value) => sum + integerOf(value * value), 0n); // a float64 holds a square

test.each(Object.entries(kinds))("sums of squares, %s, are right to 2^-58 before they are rounded", async (_, values) => {
  for (const [i, sum] of (await onDevice(values)).entries()) {
    const exact = exactly(values.subarray(i * BLOCK, (i + 1) * BLOCK));
    const error = integerOf(sum) - exact;
    // Half a unit in the last place of a float64, and 2^-58 of the sum.
    const allowed = (exact >> 53n) + (exact >> 58n) + 1n;
    expect(error < 0n ? -error : error).toBeLessThanOrEqual(allowed);
  }
});

test.each(Object.entries(kinds))("so is the sum of all blocks, %s, joined", async (_, values) => {
  const sums = (await sumsOnDevice(values)).map(([words]) => [...words]);
  const body = `
  var own = Sum();
  for (var i = thread; i < arrayLength(&given) / 4u; i += ${THREADS / 2}u) { if (thread < ${THREADS / 2}u) { own = join(own, sumAt(i)); } }
  let value = wideOfSum(joined(0u, own));
  if (thread == 0u) { results[0] = value.y; results[1] = value.x; }`;
  const [sum] = float64s((await joinOnDevice(Uint32Array.from(sums.flat()), body)).subarray(0, 2));
  const exact = exactly(values);
  const error = integerOf(sum!) - exact;
  expect(error < 0n ? -error : error).toBeLessThanOrEqual((exact >> 53n) + (exact >> 58n) + 1n);
});

test("and are mostly the float64 nearest to the sum", async () => {
  const sums = await onDevice(kinds.gaussian!);
  const nearest = sums.filter((sum, i) => {
    const exact = exactly(kinds.gaussian!.subarray(i * BLOCK, (i + 1) * BLOCK));
    const distance = (value: number): bigint => {
      const error = integerOf(value) - exact;
      return error < 0n ? -error : error;
    };
    return [1 + 2 ** -52, 1 - 2 ** -53].every((factor) => distance(sum) <= distance(sum * factor));
  });
  expect(nearest.length).toBeGreaterThanOrEqual(0.9 * sums.length);
});

test("a NaN outweighs an infinity, and an infinity every number", async () => {
  const values = around(1e30, 4 * BLOCK, 1);
  values[5] = Number.NEGATIVE_INFINITY;
  values[BLOCK + 4095] = Number.POSITIVE_INFINITY;
  values[2 * BLOCK] = Number.NaN;
  values[2 * BLOCK + 1] = Number.POSITIVE_INFINITY;
  const sums = await onDevice(values);
  expect(sums.slice(0, 3)).toEqual([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, Number.NaN]);
  expect(Number.isFinite(sums[3])).toBe(true);
});
