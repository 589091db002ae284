/** Sums of squares in WGSL. Without float64, and with compilers that may reorder what is float32, only integers give the same sum on every
 *  device: squares as fixed-point numbers of 96 bits, relative to the largest of them. What is lost is below 2^-58 of the sum, where a
 *  float64 itself loses 2^-54; and it neither overflows nor underflows, at 1e30 as at 1e-25. */

/** Threads in a workgroup, of all shaders here. A power of four: so few that a variable of a hundred elements wastes little. */
export const THREADS = 64;

/** Adding and joining sums, of which a shader joins so many; it needs INTEGERS of wide.ts. */
export const sumsOfSquares = (count: number): string => /* wgsl */ `
// x: the exponent e; y, z and w: an integer i of 96 bits, the upper word first. Its value is i * 2^(2 e - 332).
// A sum that is not finite has one of two exponents that no other has.
alias Sum = vec4<u32>;
const SUM_INFINITE = 1000u;
const SUM_NAN = 1001u;

// The squares of four elements, added.
fn squares(x: vec4<u32>) -> Sum {
  let magnitude = x & vec4(0x7fffffffu);
  let largest = max(max(magnitude.x, magnitude.y), max(magnitude.z, magnitude.w));
  if (largest >= 0x7f800000u) { return Sum(select(SUM_INFINITE, SUM_NAN, largest > 0x7f800000u), 0u, 0u, 0u); }
  let fraction = (x & vec4(0x7fffffu)) | select(vec4(0u), vec4(0x800000u), magnitude >= vec4(0x800000u));
  // The upper 16 of the 48 bits of the square, from halves of 12 bits.
  let a = fraction >> vec4(12u);
  let b = fraction & vec4(0xfffu);
  let high = (a * a + ((2u * a * b + ((b * b) >> vec4(12u))) >> vec4(12u))) >> vec4(8u);
  let low = fraction * fraction;
  // To the left of 64 bits, less two for the carries of four; then to the right by twice the distance from the largest exponent.
  let top = max(largest >> 23u, 1u);
  let by = 2u * (vec4(top) - max(magnitude >> vec4(23u), vec4(1u)));
  let n = by & vec4(31u);
  let upper = (high << vec4(14u)) | (low >> vec4(18u));
  let lower = low << vec4(14u);
  let h = upper >> n;
  let l = (lower >> n) | ((upper << vec4(1u)) << (vec4(31u) - n));
  let far = by >= vec4(32u);
  let hs = select(h, vec4(0u), far);
  let ls = select(l, select(h, vec4(0u), by >= vec4(64u)), far);
  let total = plus(plus(vec2(hs.x, ls.x), vec2(hs.y, ls.y)), plus(vec2(hs.z, ls.z), vec2(hs.w, ls.w)));
  return Sum(top, total.x >> 14u, (total.x << 18u) | (total.y >> 14u), total.y << 18u);
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

var<workgroup> ofThreads: array<Sum, ${count * THREADS}>;
// The sum of this number of all threads, added: for thread 0. To be called by each of them, once for each number.
fn joined(number: u32, own: Sum, thread: u32) -> Sum {
  let at = number * ${THREADS}u + thread;
  ofThreads[at] = own;
  var total = own;
  for (var left = ${THREADS / 4}u; left > 0u; left /= 4u) {
    workgroupBarrier();
    if (thread < left) {
      for (var i = 1u; i < 4u; i++) { total = join(total, ofThreads[at + i * left]); }
      ofThreads[at] = total;
    }
  }
  return total;
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
