/** The operations of rules in WGSL, on float32 numbers given as their bits.
 *
 *  WGSL promises less than the contract of backends asks: a product and a sum may be contracted into one rounding, quotients may be 2.5 ulps
 *  off, and NaN may be taken not to exist (Metal's compiler does, as a rule). So values travel as bits: what only moves or compares them is
 *  done in integers, and the result of each float operation is hidden from the next one (`opaque`), so that a compiler can neither contract,
 *  nor reorder, nor conclude anything. What is left to the device: a sum, a difference, a product, of which WGSL says that each is rounded
 *  once, and that numbers below 2^-126 (subnormal) may count as zero. */

import type { Operation } from "../../rule/expression.js";

/** Elements that a thread works on side by side: 4 where arrays begin and end on 16 bytes, else 1. */
export type Width = 1 | 4;

/** Which operations of the device's own are not rounded correctly, so that integers must correct them. */
export interface Corrections {
  readonly quotient: boolean;
  readonly root: boolean;
}

/** What each operation does to the bits x, y and z. */
const OPERATIONS: Readonly<Record<Operation, string>> = {
  add: "opaque(float(x) + float(y))",
  sub: "opaque(float(x) - float(y))",
  mul: "opaque(float(x) * float(y))",
  div: "quotient(x, y)",
  max: "larger(x, y)",
  min: "smaller(x, y)",
  abs: "x & MAGNITUDE",
  neg: "x ^ SIGN",
  sqrt: "root(x)",
  flush: "flushed(x, y)", // y: what limitOf says
  ifPositive: "select(z, y, isPositive(x))",
};

/** The text of an operation on values of these names. `isClear`: whether the sign of one of them is known to be 0, also where it is NaN. */
export const operate = (
  operation: Operation,
  [x, y, z]: readonly string[],
  isClear = (_place: number): boolean => false,
): string => {
  if (operation === "max" && isClear(1)) return `largerOfClear(${x}, ${y})`;
  if (operation === "max" && isClear(0)) return `largerOfClear(${y}, ${x})`;
  // A compiler may take x - x for 0 and x / x for 1. Of two different names it cannot know that they are the same.
  const names: Readonly<Record<string, string | undefined>> = { x, y: y === x ? `(${y} ^ Bits(zero()))` : y, z };
  return OPERATIONS[operation].replace(/\b[xyz]\b/g, (name) => names[name]!);
};

/** What the texts above call. `zero()` must be defined beside it: a number that is 0 and that no compiler knows. */
export const arithmetic = (width: Width, corrections: Corrections): string => `
alias Bits = ${width === 4 ? "vec4<u32>" : "u32"};
alias Float = ${width === 4 ? "vec4<f32>" : "f32"};
alias Int = ${width === 4 ? "vec4<i32>" : "i32"};
alias Flag = ${width === 4 ? "vec4<bool>" : "bool"};
${SHARED}
${corrections.quotient ? CORRECTED_QUOTIENT : OWN_QUOTIENT}
${corrections.root ? CORRECTED_ROOT : OWN_ROOT}`;

const SHARED = /* wgsl */ `
const SIGN = Bits(0x80000000u);
const MAGNITUDE = Bits(0x7fffffffu);
const INFINITE = Bits(0x7f800000u);
const NOT_A_NUMBER = Bits(0x7fc00000u);
const LEAST_NORMAL = Bits(0x00800000u); // also the leading bit of a mantissa
const FRACTION = Bits(0x007fffffu);

fn float(x: Bits) -> Float { return bitcast<Float>(x); }
fn opaque(x: Float) -> Bits { return bitcast<Bits>(x) ^ Bits(zero()); }
// Magnitudes are compared as integers with a sign, of which processors have a comparison of vectors.
fn magnitude(x: Bits) -> Int { return bitcast<Int>(x & MAGNITUDE); }
fn isNaN(x: Bits) -> Flag { return magnitude(x) > Int(0x7f800000); }
fn isPositive(x: Bits) -> Flag { return (x - Bits(1u)) < INFINITE; } // 0 wraps around; a NaN and what has a sign lie above
// Above all magnitudes that are flushed: none if it is NaN or has a sign.
fn limitOf(x: Bits) -> Int { return select(bitcast<Int>(x), Int(0), isNaN(x)); }
fn flushed(x: Bits, limit: Int) -> Bits { return select(x, Bits(0u), magnitude(x) < limit); }

// Integers in the order of the numbers, -0 before 0.
fn rank(x: Bits) -> Int { return bitcast<Int>(x ^ (bitcast<Bits>(bitcast<Int>(x) >> Bits(31u)) & MAGNITUDE)); }
fn larger(x: Bits, y: Bits) -> Bits { return select(x, y, ((rank(y) > rank(x)) | isNaN(y)) & !isNaN(x)); }
// Where y has no sign, also as NaN, it need not be looked at so closely.
fn largerOfClear(x: Bits, y: Bits) -> Bits { return select(x, y, (bitcast<Int>(y) > bitcast<Int>(x)) & !isNaN(x)); }
fn smaller(x: Bits, y: Bits) -> Bits { return select(x, y, ((rank(y) < rank(x)) | isNaN(y)) & !isNaN(x)); }
`;

const OWN_QUOTIENT = "fn quotient(x: Bits, y: Bits) -> Bits { return opaque(float(x) / float(y)); }";
const OWN_ROOT = "fn root(x: Bits) -> Bits { return opaque(sqrt(float(x))); }";

/** The device divides the mantissas, and is a few ulps off. By how many says the remainder in integers: it is so small that 32 bits hold it,
 *  however many are lost on the way. Subnormal numbers count as zero. */
const CORRECTED_QUOTIENT = /* wgsl */ `
fn quotient(x: Bits, y: Bits) -> Bits {
  let a = x & MAGNITUDE;
  let b = y & MAGNITUDE;
  let divisor = (b & FRACTION) | LEAST_NORMAL;
  let fraction = (a & FRACTION) | LEAST_NORMAL;
  let borrows = fraction < divisor;
  let dividend = select(fraction, fraction << Bits(1u), borrows); // of a quotient in [1, 2)
  var q = Bits(float(opaque(Float(dividend) / Float(divisor))) * 8388608.0); // 23 bits after the point
  var rest = bitcast<Int>((dividend << Bits(23u)) - q * divisor);
  let d = bitcast<Int>(divisor);
  for (var i = 0; i < 4; i++) {
    let more = select(Int(0), Int(1), 2 * rest > d) - select(Int(0), Int(1), 2 * rest < -d);
    q += bitcast<Bits>(more);
    rest -= more * d;
  }
  let exponent = bitcast<Int>(a >> Bits(23u)) - bitcast<Int>(b >> Bits(23u)) + select(Int(127), Int(126), borrows);
  var result = (bitcast<Bits>(exponent) << Bits(23u)) + (q & FRACTION);
  let isZero = a < LEAST_NORMAL;
  let byZero = b < LEAST_NORMAL;
  result = select(result, Bits(0u), (exponent < Int(1)) | isZero | (b == INFINITE));
  let isLarge = (exponent > Int(254)) & (a != INFINITE) & !isZero;
  result = select(result, INFINITE, isLarge | byZero | (a == INFINITE));
  let isUndefined = isNaN(x) | isNaN(y) | (isZero & byZero) | ((a == INFINITE) & (b == INFINITE));
  return select(result | ((x ^ y) & SIGN), NOT_A_NUMBER, isUndefined);
}`;

/** Likewise: the square of the right root differs from the number by less than the root. */
const CORRECTED_ROOT = /* wgsl */ `
fn root(x: Bits) -> Bits {
  let exponent = x >> Bits(23u);
  let isOdd = (exponent & Bits(1u)) == Bits(1u);
  let fraction = (x & FRACTION) | LEAST_NORMAL;
  let square = select(fraction << Bits(1u), fraction, isOdd); // 23 bits before its point, as has the square of a root in [1, 2)
  var r = Bits(float(opaque(sqrt(Float(square) * 0.5))) * 4096.0);
  var rest = bitcast<Int>((square << Bits(23u)) - r * r);
  for (var i = 0; i < 6; i++) {
    let s = bitcast<Int>(r);
    let isMore = rest > s;
    let isLess = rest <= -s;
    rest += select(select(Int(0), 2 * s - 1, isLess), -2 * s - 1, isMore);
    r = select(select(r, r - Bits(1u), isLess), r + Bits(1u), isMore);
  }
  let result = (((exponent + Bits(127u)) >> Bits(1u)) << Bits(23u)) + (r & FRACTION);
  let isZero = (x & MAGNITUDE) < LEAST_NORMAL;
  return select(select(select(result, x & SIGN, isZero), INFINITE, x == INFINITE), NOT_A_NUMBER, isNaN(x) | ((x > SIGN) & !isZero));
}`;
