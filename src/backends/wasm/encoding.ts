/** The few pieces of the WebAssembly binary format that the compiler needs. Numbers are those of the core specification 2.0. */

export type Bytes = number[];

export const TYPE = { i32: 0x7f, f32: 0x7d, f64: 0x7c, v128: 0x7b } as const;

export const unsigned = (value: number): Bytes => {
  const bytes: Bytes = [];
  do {
    const rest = Math.floor(value / 128);
    bytes.push((value % 128) | (rest > 0 ? 0x80 : 0));
    value = rest;
  } while (value > 0);
  return bytes;
};

const signed = (value: number): Bytes => {
  const bytes: Bytes = [];
  for (;;) {
    const low = value & 0x7f;
    value >>= 7;
    const done = (value === 0 && (low & 0x40) === 0) || (value === -1 && (low & 0x40) !== 0);
    bytes.push(done ? low : low | 0x80);
    if (done) return bytes;
  }
};

export const vector = (items: readonly Bytes[]): Bytes => [...unsigned(items.length), ...items.flat()];
const name = (text: string): Bytes => vector([...text].map((letter) => [letter.charCodeAt(0)]));
const section = (id: number, content: Bytes): Bytes => [id, ...unsigned(content.length), ...content];

export const getLocal = (index: number): Bytes => [0x20, ...unsigned(index)];
export const setLocal = (index: number): Bytes => [0x21, ...unsigned(index)];
export const teeLocal = (index: number): Bytes => [0x22, ...unsigned(index)];
export const i32Const = (value: number): Bytes => [0x41, ...signed(value)];
export const V128_CONST: Bytes = [0xfd, 0x0c];
export const ZERO_V128: Bytes = [...V128_CONST, ...new Array<number>(16).fill(0)];
/** Opcodes of vector instructions have a prefix. */
export const simd = (opcode: number): Bytes => [0xfd, ...unsigned(opcode)];
/** Alignment is a hint; 0 promises nothing. */
export const at = (offset: number): Bytes => [0x00, ...unsigned(offset)];

export const OP = {
  loop: [0x03, 0x40],
  block: [0x02, 0x40],
  end: 0x0b,
  brIf: (depth: number): Bytes => [0x0d, ...unsigned(depth)],
  callIndirect: (type: number): Bytes => [0x11, ...unsigned(type), 0x00],
  select: 0x1b,
  i32Load: (offset: number): Bytes => [0x28, ...at(offset)],
  i32Eqz: 0x45,
  i32Ne: 0x47,
  i32Eq: 0x46,
  i32LtU: 0x49,
  i32Add: 0x6a,
  i32Sub: 0x6b,
  i32Mul: 0x6c,
  i32And: 0x71,
} as const;

export interface WasmFunction {
  /** Place in the list of types. */
  readonly type: number;
  readonly locals: readonly { readonly count: number; readonly type: number }[];
  readonly code: Bytes;
}

/** A module that imports a memory as "memory"."memory", holds `functions` in its table in their order, and exports the last as "run". */
export const encodeModule = (
  parameters: readonly (readonly number[])[],
  functions: readonly WasmFunction[],
  sharedPages: number | null,
): Uint8Array<ArrayBuffer> => {
  const limits = sharedPages === null ? [0x00, 0x01] : [0x03, 0x01, ...unsigned(sharedPages)];
  const indices = functions.map((_, index) => unsigned(index));
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, vector(parameters.map((types) => [0x60, ...vector(types.map((type) => [type])), 0x00]))),
    ...section(2, vector([[...name("memory"), ...name("memory"), 0x02, ...limits]])),
    ...section(3, vector(functions.map(({ type }) => unsigned(type)))),
    ...section(4, vector([[0x70, 0x00, ...unsigned(functions.length)]])),
    ...section(7, vector([[...name("run"), 0x00, ...unsigned(functions.length - 1)]])),
    ...section(9, vector([[0x00, ...i32Const(0), OP.end, ...vector(indices)]])),
    ...section(10, vector(functions.map(encodeBody))),
  ]);
};

const encodeBody = ({ locals, code }: WasmFunction): Bytes => {
  const body = [...vector(locals.map(({ count, type }) => [...unsigned(count), type])), ...code, OP.end];
  return [...unsigned(body.length), ...body];
};
