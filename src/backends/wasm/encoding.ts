/** The few pieces of the WebAssembly binary format that the compiler needs. Numbers are those of the core specification 2.0. */

import * as OP from "./opcodes.js";

type Bytes = OP.Bytes;

const joined = (bytes: Bytes): number[] => (bytes as unknown[]).flat(Infinity) as number[];

/** Seven bits in a byte, the lowest first; the eighth says that more follow. */
export const unsigned = (value: number): Bytes => (value < 128 ? [value] : [(value & 127) | 128, unsigned(value >>> 7)]);
const signed = (value: number): Bytes => (value >= -64 && value < 64 ? [value & 127] : [(value & 127) | 128, signed(value >> 7)]);

const vector = (items: Bytes): Bytes => [unsigned(items.length), items];
const name = (text: string): Bytes => vector([...text].map((letter) => letter.charCodeAt(0)));
/** With its length in front. */
const sized = (content: Bytes): Bytes => vector(joined(content));
const section = (id: number, items: Bytes): Bytes => [id, sized(vector(items))];

export const getLocal = (index: number): Bytes => [0x20, unsigned(index)];
/** `value` leaves it on the stack. */
export const setLocal = (index: number, ...value: Bytes): Bytes => [value, 0x21, unsigned(index)];
export const teeLocal = (index: number, ...value: Bytes): Bytes => [value, 0x22, unsigned(index)];
export const i32Const = (value: number): Bytes => [0x41, signed(value)];
/** `pattern`, repeated over the 16 bytes of a vector. */
export const v128Const = (...pattern: number[]): Bytes => [
  simd(0x0c),
  Array.from({ length: 16 }, (_, i) => pattern[i % pattern.length]!),
];
/** Opcodes of vector instructions have a prefix. */
export const simd = (opcode: number): Bytes => [0xfd, unsigned(opcode)];
/** Alignment is a hint; 0 promises nothing. */
export const at = (offset: number): Bytes => [0x00, unsigned(offset)];
export const i32Load = (offset: number): Bytes => [OP.i32Load, at(offset)];

export interface WasmFunction {
  /** Place in the list of types; below 128, as all of them are. */
  readonly type: number;
  /** Runs of locals of one type: how many, and which. */
  readonly locals: Bytes;
  readonly code: Bytes;
}

/** A module that imports a memory as "memory"."memory", holds `functions` in its table in their order, and exports the last as "run". */
export const encodeModule = (
  parameters: readonly (readonly number[])[],
  functions: readonly WasmFunction[],
  sharedPages: number | null,
): Uint8Array<ArrayBuffer> => {
  const limits = sharedPages === null ? [0x00, 0x01] : [0x03, 0x01, unsigned(sharedPages)];
  const indices = functions.map((_, index) => unsigned(index));
  return Uint8Array.from(
    joined([
      [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
      section(
        1,
        parameters.map((types) => [0x60, vector(types), 0x00]),
      ),
      section(2, [[name("memory"), name("memory"), 0x02, limits]]),
      section(
        3,
        functions.map(({ type }) => type),
      ),
      section(4, [[0x70, 0x00, unsigned(functions.length)]]),
      section(7, [[name("run"), 0x00, unsigned(functions.length - 1)]]),
      section(9, [[0x00, i32Const(0), OP.end, vector(indices)]]),
      section(
        10,
        functions.map(({ locals, code }) => sized([vector(locals), code, OP.end])),
      ),
    ]),
  );
};
