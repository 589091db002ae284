/** Types and instructions of WebAssembly that are no arithmetic of elements: `import * as OP`. Numbers are those of the core specification 2.0. */

/** Bytes in pieces of pieces. */
export type Bytes = readonly (number | Bytes)[];

export const i32 = 0x7f;
export const f32 = 0x7d;
export const f64 = 0x7c;
export const v128 = 0x7b;

export const loop: Bytes = [0x03, 0x40];
export const block: Bytes = [0x02, 0x40];
export const end = 0x0b;
/** To the innermost block or loop. */
export const brIf: Bytes = [0x0d, 0];
/** Of a function of type 0. */
export const callIndirect: Bytes = [0x11, 0, 0];
export const select = 0x1b;
export const i32Load = 0x28;
export const i32Ne = 0x47;
export const i32Eq = 0x46;
export const i32LtU = 0x49;
export const i32Add = 0x6a;
export const i32Sub = 0x6b;
export const i32Mul = 0x6c;
export const i32And = 0x71;
