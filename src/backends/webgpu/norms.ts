/** Sums of squares in WGSL. Without float64, and with compilers that may reorder what is float32, only integers give the same sum on every
 *  device: squares as fixed-point numbers of 96 bits, relative to the largest of them. What is lost is below 2^-58 of the sum, where a
 *  float64 itself loses 2^-54; and it neither overflows nor underflows, at 1e30 as at 1e-27. (A step clears what is smaller.)
 *
 *  Nothing here skips work by an `if` inside of a loop: software GPUs execute both of its sides. */

import { BLOCK } from "../../rule/program.js";

/** Threads in a workgroup, of all shaders here. A power of four: so few that a variable of a hundred elements wastes little. */
export const THREADS = 64;
/** Vectors of four elements that a thread has of a tile. Not more: sixteen products of 28 bits fit a word. */
export const VECTORS = BLOCK / 4 / THREADS;
/** Tiles whose squares a workgroup adds up: a barrier costs what a few thousand squares do, and is met once for all of them. */
export const TILES = 8;

/** Joining sums, of which a shader joins so many; it needs INTEGERS of wide.ts. */
export const joiningSums = (count: number): string => /* wgsl */ `
// x: the exponent e; y, z and w: an integer i of 96 bits, the upper word first. Its value is i * 2^(2 e - 332).
// A sum that is not finite has one of two exponents that no other has.
alias Sum = vec4<u32>;
const SUM_INFINITE = 1000u;
const SUM_NAN = 1001u;

var<workgroup> largests: array<atomic<u32>, ${count}>;
// Of the sum 24 bits in each of four words, the lowest first: so there is room for the carries of all threads.
var<workgroup> limbs: array<atomic<u32>, ${4 * count}>;

// The largest of the threads'.
fn largestOfThreads(number: u32, own: u32) -> u32 {
  atomicMax(&largests[number], own);
  workgroupBarrier();
  return atomicLoad(&largests[number]);
}
fn addToThreads(number: u32, own: vec3<u32>) {
  let at = 4u * number;
  atomicAdd(&limbs[at], own.z & 0xffffffu);
  atomicAdd(&limbs[at + 1u], ((own.y << 8u) | (own.z >> 24u)) & 0xffffffu);
  atomicAdd(&limbs[at + 2u], ((own.x << 16u) | (own.y >> 16u)) & 0xffffffu);
  atomicAdd(&limbs[at + 3u], own.x >> 8u);
}
// What all threads have added, as a sum to this exponent.
fn sumOfThreads(number: u32, exponent: u32) -> Sum {
  workgroupBarrier();
  let at = 4u * number;
  let a = atomicLoad(&limbs[at]);
  let b = atomicLoad(&limbs[at + 1u]) + (a >> 24u);
  let c = atomicLoad(&limbs[at + 2u]) + (b >> 24u);
  let d = atomicLoad(&limbs[at + 3u]) + (c >> 24u);
  let low = (b << 24u) | (a & 0xffffffu);
  let middle = (c << 16u) | ((b >> 8u) & 0xffffu);
  let high = (d << 8u) | ((c >> 16u) & 0xffu);
  // The first bit stays free for the next carry.
  if (d < 0x800000u) { return Sum(exponent, high, middle, low); }
  return Sum(exponent + 4u, d, (high << 24u) | (middle >> 8u), (middle << 24u) | (low >> 8u));
}

// The same integer to a larger exponent.
fn raised(a: Sum, exponent: u32) -> vec3<u32> {
  let by = 2u * (exponent - a.x);
  let n = by & 31u;
  let s = vec3(a.y >> n, (a.z >> n) | ((a.y << 1u) << (31u - n)), (a.w >> n) | ((a.z << 1u) << (31u - n)));
  let near = select(vec3(0u, s.x, s.y), s, by < 32u);
  return select(vec3(0u, 0u, select(0u, s.x, by < 96u)), near, by < 64u);
}

fn join(a: Sum, b: Sum) -> Sum {
  let isLarger = b.x > a.x;
  let large = select(a, b, isLarger);
  let small = raised(select(b, a, isLarger), large.x);
  if (large.x >= SUM_INFINITE) { return Sum(large.x, 0u, 0u, 0u); }
  let low = large.w + small.z;
  let rest = plus(plus(large.yz, small.xy), vec2(0u, select(0u, 1u, low < large.w)));
  // The first bit stays free for the next carry.
  if (rest.x < 0x80000000u) { return Sum(large.x, rest, low); }
  return Sum(large.x + 1u, rest.x >> 2u, (rest.x << 30u) | (rest.y >> 2u), (rest.y << 30u) | (low >> 2u));
}

// The sum of this number of all threads, added. To be called by each of them, once for each number.
fn joined(number: u32, own: Sum) -> Sum {
  let exponent = largestOfThreads(number, own.x);
  addToThreads(number, raised(own, exponent));
  let total = sumOfThreads(number, exponent);
  return select(total, Sum(exponent, 0u, 0u, 0u), exponent >= SUM_INFINITE);
}
`;

/** The squares of what a thread has of a tile, added; it needs joiningSums, INTEGERS of wide.ts, and `zero()`.
 *
 *  An element x of a thread whose largest exponent is t becomes the integer y = |x| * 2^(167 - t), below 2^41, whose square is added in pieces:
 *  y = a 2^28 + b 2^14 + c. The pieces are taken off by adding and subtracting 2^23: every float here is an integer or exact, so that it does not
 *  matter what a compiler contracts. Only what `zero()` hides must be rounded, to the nearest: then b and c have signs, and no more than 13 bits.
 *  That holds elements whose exponent is at most 17 less than t, mostly all. A second window takes those that are 18 to 35 less. What is smaller
 *  still is lost: 63 squares below 2^10, where the largest is at least 2^80. */
export const SQUARES = /* wgsl */ `
// The elements of a thread without their signs; 0 where there is none.
alias Kept = array<vec4<u32>, ${VECTORS}>;

fn largestOf(x: vec4<u32>) -> u32 { return max(max(x.x, x.y), max(x.z, x.w)); }
fn across(x: vec4<u32>) -> vec2<u32> { return plus(plus(vec2(0u, x.x), vec2(0u, x.y)), plus(vec2(0u, x.z), vec2(0u, x.w))); }
fn acrossSigned(x: vec4<u32>) -> vec2<u32> { return minus(across(x ^ vec4(0x80000000u)), vec2(2u, 0u)); }
// The bits of a float, of which no compiler knows where it came from.
fn hidden(x: vec4<f32>) -> vec4<u32> { return bitcast<vec4<u32>>(x) ^ vec4(zero()); }
fn plain(x: vec4<u32>) -> vec4<f32> { return bitcast<vec4<f32>>(x); }

fn sumOfSquares(largest: u32, kept: ptr<function, Kept>) -> Sum {
  let top = max(largest >> 23u, 36u); // or windows would lie below 2^-126
  var total = vec3(0u);
  var missed = vec4(1u);
  for (var window = 0u; window < 2u && any(missed != vec4(0u)); window++) {
    let lowest = top - 17u - 18u * window;
    let scale = bitcast<f32>((249u - lowest) << 23u); // to less than 2^13
    let least = vec4(i32(lowest) << 23u);
    let beyond = vec4(i32(lowest + 18u) << 23u);
    missed = vec4(0u);
    var aa = vec4(0u);
    var ab = vec4(0u);
    var ac = vec4(0u);
    var bb = vec4(0u);
    var bc = vec4(0u);
    var cc = vec4(0u);
    for (var i = 0u; i < ${VECTORS}u; i++) {
      let magnitude = (*kept)[i];
      let m = bitcast<vec4<i32>>(magnitude); // processors compare vectors with a sign faster
      let isBelow = m < least;
      missed |= select(vec4(0u), magnitude, isBelow);
      let y = plain(select(magnitude, vec4(0u), isBelow | (m >= beyond))) * scale;
      let first = hidden(y + 8388608.0); //                                  2^23
      let r = (y - (plain(first) - 8388608.0)) * 16384.0;
      let second = hidden(r + 12582912.0); //                                2^23 + 2^22
      let s = (r - (plain(second) - 12582912.0)) * 16384.0;
      let third = hidden(s + 12582912.0);
      let a = first & vec4(0x7fffffu);
      let b = second - vec4(0x4b400000u);
      let c = third - vec4(0x4b400000u);
      aa += a * a;
      ab += a * b;
      ac += a * c;
      bb += b * b;
      bc += b * c;
      cc += c * c;
    }
    // The squares of y: what is worth 2^0, 2^28 and 2^43, then 96 bits of it.
    let low = plus(left(plus(left(acrossSigned(ac), 1u), across(bb)), 28u), plus(across(cc), left(acrossSigned(bc), 15u)));
    let high = plus(left(across(aa), 13u), acrossSigned(ab));
    let sum = vec3(plus(left(high, 11u), vec2(0u - (low.x >> 31u), low.x)), low.y);
    let added = select(sum, vec3(0u, sum.x >> 4u, (sum.x << 28u) | (sum.y >> 4u)), window > 0u);
    let z = total.z + added.z;
    total = vec3(plus(plus(total.xy, added.xy), vec2(0u, select(0u, 1u, z < added.z))), z);
  }
  if (largest >= 0x7f800000u) { return Sum(select(SUM_INFINITE, SUM_NAN, largest > 0x7f800000u), 0u, 0u, 0u); }
  return Sum(top - 1u, total);
}
`;

/** A sum as a float64, correctly rounded; it needs WIDE of wide.ts. */
export const WIDE_SUMS = /* wgsl */ `
fn wideOfSum(s: Sum) -> Wide {
  if (s.x >= SUM_INFINITE) { return select(WIDE_INFINITE, WIDE_NAN, s.x == SUM_NAN); }
  if ((s.y | s.z | s.w) == 0u) { return Wide(0u, 0u); }
  var f = left(vec2(s.z, s.w), leadingZeros(vec2(s.z, s.w)));
  var first = 63 - i32(leadingZeros(vec2(s.z, s.w)));
  if (s.y != 0u) {
    let n = countLeadingZeros(s.y);
    f = left(s.yz, n) | vec2(0u, (s.w >> 1u) >> (31u - n));
    f.y |= select(0u, 1u, (s.w << n) != 0u);
    first = 95 - i32(n);
  }
  return rounded(0u, Parts(f, first + 2 * i32(s.x) + 691));
}
`;
