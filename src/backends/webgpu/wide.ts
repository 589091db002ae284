/** float64 in WGSL, which has none: for the few scalars that come from norms. By integers, so that every operation is rounded as the CPU
 *  rounds it. It takes a hundred instructions where a CPU takes one, once per variable and step. */

import type { ScalarOperation } from "../../rule/expression.js";

/** What each operation does to x, y and z, each a `Wide`. */
const OPERATIONS: Readonly<Record<ScalarOperation, string>> = {
  add: "wideSum(x, y)",
  sub: "wideSum(x, wideNegative(y))",
  mul: "wideProduct(x, y)",
  div: "wideQuotient(x, y)",
  max: "wideLarger(x, y)",
  min: "wideNegative(wideLarger(wideNegative(x), wideNegative(y)))",
  abs: "wideMagnitude(x)",
  neg: "wideNegative(x)",
  sqrt: "wideRoot(x)",
  pow: "widePower(x, y)",
  flush: "wideFlushed(x, y)",
  ifPositive: "select(z, y, wideIsPositive(x))",
};

/** The text of an operation on values of these names. */
export const operateWide = (operation: ScalarOperation, [x, y, z]: readonly string[]): string => {
  const names: Readonly<Record<string, string | undefined>> = { x, y, z };
  return OPERATIONS[operation].replace(/\b[xyz]\b/g, (name) => names[name]!);
};

/** Integers of 64 bits: x is the upper half, y the lower. */
export const INTEGERS = /* wgsl */ `
fn plus(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
  let low = a.y + b.y;
  return vec2(a.x + b.x + select(0u, 1u, low < a.y), low);
}
fn minus(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> { return vec2(a.x - b.x - select(0u, 1u, a.y < b.y), a.y - b.y); }
fn isLess(a: vec2<u32>, b: vec2<u32>) -> bool { return a.x < b.x || (a.x == b.x && a.y < b.y); }
fn isZero(a: vec2<u32>) -> bool { return (a.x | a.y) == 0u; }
fn leadingZeros(a: vec2<u32>) -> u32 { return select(countLeadingZeros(a.x), 32u + countLeadingZeros(a.y), a.x == 0u); }
fn left(a: vec2<u32>, by: u32) -> vec2<u32> {
  let n = by & 31u;
  let high = (a.x << n) | ((a.y >> 1u) >> (31u - n));
  return select(vec2(high, a.y << n), vec2(a.y << n, 0u), by >= 32u);
}
fn right(a: vec2<u32>, by: u32) -> vec2<u32> {
  let n = by & 31u;
  let low = (a.y >> n) | ((a.x << 1u) << (31u - n));
  return select(select(vec2(a.x >> n, low), vec2(0u, a.x >> n), by >= 32u), vec2(0u, 0u), by >= 64u);
}
// The last bit also stands for all that were shifted out: enough to round by.
fn rightSticky(a: vec2<u32>, by: u32) -> vec2<u32> {
  let result = right(a, by);
  let isExact = by < 64u && all(left(result, by) == a);
  return select(vec2(result.x, result.y | 1u), result, isExact);
}
fn product(a: u32, b: u32) -> vec2<u32> {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let middle = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let other = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
  return vec2((a >> 16u) * (b >> 16u) + (middle >> 16u) + (other >> 16u), a * b);
}
// The upper 64 of the 128 bits of the product, and 1 if the lower ones are not all 0.
fn times(a: vec2<u32>, b: vec2<u32>) -> vec3<u32> {
  let low = product(a.y, b.y);
  let one = product(a.x, b.y);
  let other = product(a.y, b.x);
  let middle = plus(plus(vec2(0u, one.y), vec2(0u, other.y)), vec2(0u, low.x));
  let high = plus(plus(product(a.x, b.x), vec2(0u, middle.x)), plus(vec2(0u, one.x), vec2(0u, other.x)));
  return vec3(high, select(0u, 1u, (middle.y | low.y) != 0u));
}
fn dividedBy(a: vec2<u32>, small: u32) -> vec2<u32> {
  let middle = ((a.x % small) << 16u) | (a.y >> 16u);
  let low = ((middle % small) << 16u) | (a.y & 0xffffu);
  return vec2(a.x / small, ((middle / small) << 16u) | (low / small));
}
`;

/** Powers are rarely needed, and are correct to 2e-13 for exponents up to 100 (a float64 itself: 1e-16): the exponent multiplies the error of a
 *  logarithm. Special values are those of JavaScript. */
const POWER = /* wgsl */ `
const ONE = Wide(0x3ff00000u, 0u);
const LN2 = vec2(0xb17217f7u, 0xd1cf79abu); // 64 bits after the point

fn binaryLogarithm(x: Wide) -> Wide {
  let p = partsOf(x);
  var m = p.fraction; // of a number in [1, 2): squared, it shows the next bit of its logarithm
  var f = vec2(0u, 0u);
  for (var i = 0; i < 64; i++) {
    f = left(f, 1u);
    m = times(m, m).xy;
    if (m.x >= 0x80000000u) { f.y |= 1u; } else { m = left(m, 1u); }
  }
  let shift = leadingZeros(f);
  let fraction = select(rounded(0u, Parts(left(f, shift), 1022 - i32(shift))), Wide(0u, 0u), isZero(f));
  return wideSum(wideOf(bitcast<u32>(f32(p.exponent - 1023))), fraction);
}

fn binaryPower(z: Wide) -> Wide {
  if (isLess(Wide(0x40913000u, 0u), wideMagnitude(z))) { return select(Wide(0u, 0u), WIDE_INFINITE, signOf(z) == 0u); } // 1100
  let p = partsOf(z);
  let e = p.exponent - 1023;
  var whole = 0;
  var f = right(p.fraction, u32(max(-1 - e, 0)));
  if (e >= 0) {
    whole = i32(right(p.fraction, u32(63 - e)).y);
    f = left(p.fraction, u32(e) + 1u);
  }
  if (signOf(z) != 0u) {
    whole = -whole - select(1, 0, isZero(f));
    f = minus(vec2(0u, 0u), f);
  }
  let t = times(f, LN2).xy;
  var r = vec2(0u, 0u); // e^t - 1 = t (1 + t / 2 (1 + t / 3 (1 + ...)))
  for (var k = 20u; k > 0u; k--) { r = dividedBy(plus(t, times(t, r).xy), k); }
  return rounded(0u, Parts(right(r, 1u) | vec2(0x80000000u, 0u), 1023 + whole));
}

fn widePower(x: Wide, y: Wide) -> Wide {
  if (isWideZero(y)) { return ONE; }
  if (isWideNaN(x) || isWideNaN(y)) { return WIDE_NAN; }
  let base = wideMagnitude(x);
  let grows = isLess(ONE, base) == (signOf(y) == 0u);
  if (isWideInfinite(y)) { return select(select(Wide(0u, 0u), WIDE_INFINITE, grows), WIDE_NAN, all(base == ONE)); }
  let q = partsOf(y);
  let e = q.exponent - 1023;
  let isWhole = e > 52 || (e >= 0 && isZero(left(q.fraction, u32(e) + 1u)));
  let isOdd = isWhole && e <= 52 && (right(q.fraction, u32(63 - e)).y & 1u) == 1u;
  let sign = select(0u, signOf(x), isOdd);
  if (isWideZero(x) || isWideInfinite(x)) { return signed(sign, select(Wide(0u, 0u), WIDE_INFINITE, grows)); }
  if (signOf(x) != 0u && !isWhole) { return WIDE_NAN; }
  return signed(sign, binaryPower(wideProduct(y, binaryLogarithm(base))));
}
`;

/** What the operations call; it needs INTEGERS. */
export const WIDE = /* wgsl */ `
alias Wide = vec2<u32>; // the bits of a float64: x is the upper half, y the lower
const WIDE_NAN = Wide(0x7ff80000u, 0u);
const WIDE_INFINITE = Wide(0x7ff00000u, 0u);

fn wideNegative(a: Wide) -> Wide { return Wide(a.x ^ 0x80000000u, a.y); }
fn wideMagnitude(a: Wide) -> Wide { return Wide(a.x & 0x7fffffffu, a.y); }
fn signOf(a: Wide) -> u32 { return a.x & 0x80000000u; }
fn isWideNaN(a: Wide) -> bool { return isLess(WIDE_INFINITE, wideMagnitude(a)); }
fn isWideInfinite(a: Wide) -> bool { return all(wideMagnitude(a) == WIDE_INFINITE); }
fn isWideZero(a: Wide) -> bool { return isZero(wideMagnitude(a)); }
fn wideIsPositive(a: Wide) -> bool { return signOf(a) == 0u && !isWideZero(a) && !isWideNaN(a); }
fn signed(sign: u32, a: Wide) -> Wide { return Wide(a.x | sign, a.y); }

// A number other than 0 as it is computed with: its fraction, the leading bit first, and its exponent as if it were not subnormal.
struct Parts { fraction: vec2<u32>, exponent: i32 }
fn partsOf(a: Wide) -> Parts {
  let field = (a.x >> 20u) & 0x7ffu;
  let fraction = vec2((a.x & 0xfffffu) | select(0u, 0x100000u, field > 0u), a.y);
  let shift = leadingZeros(fraction);
  return Parts(left(fraction, shift), i32(max(field, 1u)) + 11 - i32(shift));
}
// The nearest float64; where two are as near, the even one.
fn rounded(sign: u32, parts: Parts) -> Wide {
  if (parts.exponent > 2046) { return signed(sign, WIDE_INFINITE); }
  let field = max(parts.exponent, 1);
  let f = rightSticky(parts.fraction, u32(field - parts.exponent));
  let last = f.y & 0x7ffu;
  let kept = right(f, 11u);
  let up = select(0u, 1u, last > 0x400u || (last == 0x400u && (kept.y & 1u) == 1u));
  // A leading bit, and a carry, count up the exponent.
  return signed(sign, plus(plus(kept, vec2(u32(field - 1) << 20u, 0u)), vec2(0u, up)));
}

fn wideSum(a: Wide, b: Wide) -> Wide {
  if (isWideNaN(a) || isWideNaN(b)) { return WIDE_NAN; }
  if (isWideInfinite(a)) { return select(a, WIDE_NAN, isWideInfinite(b) && signOf(a) != signOf(b)); }
  if (isWideInfinite(b)) { return b; }
  if (isWideZero(a) && isWideZero(b)) { return Wide(a.x & b.x, 0u); }
  if (isWideZero(a)) { return b; }
  if (isWideZero(b)) { return a; }
  let isSwapped = isLess(wideMagnitude(a), wideMagnitude(b));
  let large = select(a, b, isSwapped);
  let small = select(b, a, isSwapped);
  let p = partsOf(large);
  let q = partsOf(small);
  // One bit is left free for the carry.
  let x = right(p.fraction, 1u);
  let y = rightSticky(q.fraction, u32(p.exponent - q.exponent) + 1u);
  var f = minus(x, y);
  if (signOf(a) == signOf(b)) { f = plus(x, y); }
  if (isZero(f)) { return Wide(0u, 0u); }
  let shift = leadingZeros(f);
  return rounded(signOf(large), Parts(left(f, shift), p.exponent + 1 - i32(shift)));
}

fn wideProduct(a: Wide, b: Wide) -> Wide {
  let sign = signOf(a) ^ signOf(b);
  if (isWideNaN(a) || isWideNaN(b)) { return WIDE_NAN; }
  if (isWideInfinite(a) || isWideInfinite(b)) { return select(signed(sign, WIDE_INFINITE), WIDE_NAN, isWideZero(a) || isWideZero(b)); }
  if (isWideZero(a) || isWideZero(b)) { return Wide(sign, 0u); }
  let p = partsOf(a);
  let q = partsOf(b);
  let product = times(p.fraction, q.fraction);
  let f = vec2(product.x, product.y | product.z);
  let shift = leadingZeros(f);
  return rounded(sign, Parts(left(f, shift), p.exponent + q.exponent - 1022 - i32(shift)));
}

fn wideQuotient(a: Wide, b: Wide) -> Wide {
  let sign = signOf(a) ^ signOf(b);
  if (isWideNaN(a) || isWideNaN(b)) { return WIDE_NAN; }
  if (isWideInfinite(a)) { return select(signed(sign, WIDE_INFINITE), WIDE_NAN, isWideInfinite(b)); }
  if (isWideZero(b)) { return select(signed(sign, WIDE_INFINITE), WIDE_NAN, isWideZero(a)); }
  if (isWideZero(a) || isWideInfinite(b)) { return Wide(sign, 0u); }
  let p = partsOf(a);
  let q = partsOf(b);
  var rest = right(p.fraction, 1u);
  let divisor = right(q.fraction, 1u);
  var f = vec2(0u, 0u);
  for (var i = 0; i < 64; i++) { // a bit at a time
    f = left(f, 1u);
    if (!isLess(rest, divisor)) {
      rest = minus(rest, divisor);
      f.y |= 1u;
    }
    rest = left(rest, 1u);
  }
  f.y |= select(1u, 0u, isZero(rest));
  let shift = leadingZeros(f);
  return rounded(sign, Parts(left(f, shift), p.exponent - q.exponent + 1023 - i32(shift)));
}

fn wideRoot(a: Wide) -> Wide {
  if (isWideZero(a)) { return a; }
  if (signOf(a) != 0u || isWideNaN(a)) { return WIDE_NAN; }
  if (isWideInfinite(a)) { return a; }
  let p = partsOf(a);
  let isEven = (p.exponent & 1) == 1; // 1023 is not
  var square = right(p.fraction, select(0u, 1u, isEven));
  var rest = vec2(0u, 0u);
  var f = vec2(0u, 0u);
  for (var i = 0; i < 56; i++) { // two bits of the square for one of the root
    rest = plus(left(rest, 2u), vec2(0u, square.x >> 30u));
    square = left(square, 2u);
    let trial = plus(left(f, 2u), vec2(0u, 1u));
    f = left(f, 1u);
    if (!isLess(rest, trial)) {
      rest = minus(rest, trial);
      f.y |= 1u;
    }
  }
  f = left(f, 8u);
  f.y |= select(1u, 0u, isZero(rest));
  return rounded(0u, Parts(f, (p.exponent - select(1, 0, isEven) + 1023) / 2));
}

fn wideLarger(a: Wide, b: Wide) -> Wide {
  if (isWideNaN(a) || isWideNaN(b)) { return WIDE_NAN; }
  if (signOf(a) != signOf(b)) { return select(a, b, signOf(b) == 0u); }
  return select(a, b, isLess(a, b) == (signOf(a) == 0u)); // where signs are set, the larger bits are of the smaller number
}
fn wideFlushed(a: Wide, limit: Wide) -> Wide {
  let isSmall = signOf(limit) == 0u && !isWideNaN(limit) && isLess(wideMagnitude(a), limit);
  return select(a, Wide(0u, 0u), isSmall);
}

fn wideOf(x: u32) -> Wide {
  let magnitude = x & 0x7fffffffu;
  if (magnitude == 0u) { return Wide(x, 0u); }
  if (magnitude > 0x7f800000u) { return WIDE_NAN; }
  if (magnitude == 0x7f800000u) { return signed(x & 0x80000000u, WIDE_INFINITE); }
  let fraction = vec2(((x & 0x7fffffu) | select(0u, 0x800000u, magnitude >= 0x800000u)) << 8u, 0u);
  let shift = leadingZeros(fraction);
  return rounded(x & 0x80000000u, Parts(left(fraction, shift), i32(max(magnitude >> 23u, 1u)) + 896 - i32(shift)));
}
// The nearest float32.
fn narrow(a: Wide) -> u32 {
  if (isWideNaN(a)) { return 0x7fc00000u; }
  if (isWideZero(a)) { return signOf(a); }
  let p = partsOf(a);
  let exponent = p.exponent - 896;
  if (exponent > 254) { return signOf(a) | 0x7f800000u; }
  let field = max(exponent, 1);
  let f = rightSticky(p.fraction, u32(field - exponent) + 8u);
  let up = select(0u, 1u, f.y > 0x80000000u || (f.y == 0x80000000u && (f.x & 1u) == 1u));
  return signOf(a) | ((u32(field - 1) << 23u) + f.x + up);
}
${POWER}`;
