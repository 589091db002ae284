/** float16 in WGSL, by integers, so that every device rounds alike and none needs shader-f16. */

/** The bits of float16 numbers as those of float32; it needs arithmetic.ts. */
export const WIDENED = /* wgsl */ `
fn widened(x: Bits) -> Bits {
  let sign = (x & Bits(0x8000u)) << Bits(16u);
  let exponent = (x >> Bits(10u)) & Bits(31u);
  let fraction = x & Bits(0x3ffu);
  let normal = ((exponent + Bits(112u)) << Bits(23u)) | (fraction << Bits(13u));
  let special = INFINITE | (fraction << Bits(13u));
  let subnormal = opaque(Float(fraction) * ${2 ** -24}); // exact
  return sign | select(select(normal, special, exponent == Bits(31u)), subnormal, exponent == Bits(0u));
}`;

/** Four of them, from where they lie side by side. */
export const UNPACKED = /* wgsl */ `
fn unpacked(x: vec2<u32>) -> vec4<u32> { return vec4(x.x & 0xffffu, x.x >> 16u, x.y & 0xffffu, x.y >> 16u); }`;

/** The nearest float16; where two are as near, the even one. Infinite above 65519. */
export const NARROWED = /* wgsl */ `
fn narrowed(x: Bits) -> Bits {
  let magnitude = x & MAGNITUDE;
  let up = magnitude + Bits(0xfffu) + ((magnitude >> Bits(13u)) & Bits(1u));
  let normal = (up - Bits(0x38000000u)) >> Bits(13u);
  // Below 2^-14: an integer, in units of 2^-24.
  let fraction = (magnitude & FRACTION) | LEAST_NORMAL;
  let by = clamp(Bits(126u) - (magnitude >> Bits(23u)), Bits(1u), Bits(31u));
  let whole = fraction >> by;
  let rest = fraction & ((Bits(1u) << by) - Bits(1u));
  let middle = Bits(1u) << (by - Bits(1u));
  let isUp = (rest > middle) | ((rest == middle) & ((whole & Bits(1u)) == Bits(1u)));
  let small = select(whole, whole + Bits(1u), isUp);
  let finite = select(small, normal, magnitude >= Bits(0x38800000u));
  let limited = select(finite, Bits(0x7c00u), up >= Bits(0x47800000u));
  return select(limited, Bits(0x7e00u), isNaN(x)) | ((x >> Bits(16u)) & Bits(0x8000u));
}`;
/** Four of them side by side. */
export const PACKED = /* wgsl */ `
fn packed(x: vec4<u32>) -> vec2<u32> { return vec2(x.x | (x.y << 16u), x.z | (x.w << 16u)); }`;
