/** Compiles the passes of step programs to a WebAssembly module: one function per pass, each a loop over vectors of 128 bits,
 *  16 elements in one iteration, and a loop over the elements that are left. */

import { BLOCK, LANES, type Node, type Pass, type Program } from "../../rule/program.js";
import * as JOB from "../cpu/job.js";
import { UNIFORM_BYTES } from "../cpu/sizes.js";
import { at, encodeModule, getLocal, i32Const, i32Load, setLocal, teeLocal, unsigned, type WasmFunction } from "./encoding.js";
import { clearSigns, constantOf } from "./facts.js";
import {
  AND,
  AND_NOT,
  BIT_SELECT,
  I32X4_MAX,
  I64X2_GREATER,
  type Instructions,
  MAGNITUDE,
  SCALAR,
  VECTOR,
} from "./instructions.js";
import * as OP from "./opcodes.js";
import { addSquare, addSquares, clear as clearLanes, join, spill } from "./sums.js";

type Bytes = OP.Bytes;
/** What leaves the inputs of an operation on the stack. */
type Operands = [x: Bytes, a?: Bytes, b?: Bytes];
type OperationNode = Node & { readonly kind: "operation" };

/** A vector, or a single element, in the making: the locals in which the values of its nodes and of the uniforms begin, and how many bytes
 *  after the pointers it lies in the arrays. */
interface Group {
  readonly values: number;
  readonly uniforms: number;
  readonly offset: number;
}

/** Parameter lists of the two kinds of function: a pass gets (job, scratch), `run` gets (jobs, count, bytes per job, scratch). */
const PARAMETERS = [
  [OP.i32, OP.i32],
  [OP.i32, OP.i32, OP.i32, OP.i32],
];

/** `sharedPages`: for a shared memory, its maximum; null for one of its own. */
export const compileModule = (programs: readonly Program[], sharedPages: number | null): Uint8Array<ArrayBuffer> => {
  const passes = programs.flatMap((program) => program.passes.map((pass) => compilePass(program, pass)));
  return encodeModule(PARAMETERS, [...passes, runAll], sharedPages);
};

/** The local becomes larger by `amount`. */
const increase = (local: number, amount: number): Bytes => setLocal(local, getLocal(local), i32Const(amount), OP.i32Add);

/** Calls the function that each job names. */
const runAll: WasmFunction = {
  type: 1,
  locals: [],
  code: [
    OP.loop,
    [getLocal(0), getLocal(3), getLocal(0), i32Load(JOB.callee * 4), OP.callIndirect],
    setLocal(0, getLocal(0), getLocal(2), OP.i32Add),
    teeLocal(1, getLocal(1), i32Const(1), OP.i32Sub),
    OP.brIf,
    OP.end,
  ],
};

/** The parameters of a pass. */
const JOB_AT = 0;
const SCRATCH = 1;

const compilePass = (program: Program, pass: Pass): WasmFunction => {
  const { dtype } = program;
  const { nodes, stores, sums } = pass;
  const size = dtype === "float32" ? 4 : 8;
  const vector = VECTOR[dtype];
  const scalar = SCALAR[dtype];
  /** Nodes whose sign bit is always clear. */
  const clear = clearSigns(program, pass);
  /** Arrays that this pass touches, by their place among the job's pointers. */
  const arrays = [...program.buffers.keys()].filter((buffer) =>
    [...nodes, ...stores].some((one) => "buffer" in one && one.buffer === buffer),
  );

  const locals: Bytes[] = [];
  let nextLocal = 2; // after the parameters
  const declare = (type: number, count = 1): number => {
    locals.push([unsigned(count), type]);
    nextLocal += count;
    return nextLocal - count;
  };
  const left = declare(OP.i32); // elements still to do
  const now = declare(OP.i32); // of these, in this block
  const limit = declare(OP.i32);
  const constants = declare(OP.i32);
  const sumsAt = declare(OP.i32);
  const pointers = declare(OP.i32, arrays.length);
  const magnitudeMask = declare(OP.v128);
  const vectors = [declare(OP.v128, nodes.length), declare(OP.v128, nodes.length)]; // side by side
  const scalars = declare(scalar.type, nodes.length);
  const partials = sums.map(() => declare(OP.v128, LANES / 2)); // two float64 lanes each

  const pointerTo = (buffer: number): Bytes => getLocal(pointers + arrays.indexOf(buffer));

  /** Every node of the pass and its stores, for some groups side by side: node by node, and each array is written as soon as its values are
   *  there. So no value takes a register longer than it must; and engines that join two vectors of 128 bits into one of 256 find them next
   *  to each other (V8 with --experimental-wasm-revectorize). */
  const elements = (
    instructions: Instructions,
    groups: readonly Group[],
    operate: (node: OperationNode, ...inputs: Operands) => Bytes,
  ): Bytes => {
    const code: Bytes[] = [];
    const local = (place: number, { values, uniforms }: Group): Bytes =>
      getLocal((nodes[place]!.kind === "uniform" ? uniforms : values) + place);
    const computed = new Set<number>();
    const compute = (place: number): void => {
      const node = nodes[place]!;
      if (node.kind === "uniform" || computed.has(place)) return;
      computed.add(place);
      if (node.kind === "operation") node.inputs.forEach(compute);
      for (const group of groups) {
        const value =
          node.kind === "load"
            ? [pointerTo(node.buffer), instructions.load, at(group.offset)]
            : operate(node, ...(node.inputs.map((input) => local(input, group)) as Operands));
        code.push(setLocal(group.values + place, value));
      }
    };
    for (const { buffer, node } of [...stores].sort((a, b) => a.node - b.node)) {
      compute(node);
      // What the array held is read before it is overwritten.
      nodes.forEach((other, place) => {
        if (other.kind === "load" && other.buffer === buffer) compute(place);
      });
      for (const group of groups) code.push([pointerTo(buffer), local(node, group), instructions.store, at(group.offset)]);
    }
    sums.forEach(compute);
    return code;
  };

  const composed = (by: Instructions, { operation }: OperationNode, ...[x, a = [], b = []]: Operands): Bytes => {
    if (operation === "flush") return [by.zero, x, x, by.abs, a, by.less, by.select];
    if (operation === "ifPositive") return [a, b, x, by.zero, by.greater, by.select];
    return [x, a, by[operation]];
  };

  /** Where the engine's own instruction is slow, another one that gives the same bits. */
  const ofVector = (node: OperationNode, ...[x, a = [], b = []]: Operands): Bytes => {
    const { operation, inputs } = node;
    const magnitude = [x, getLocal(magnitudeMask), AND]; // engines make the mask of f32x4.abs anew each time
    switch (operation) {
      case "abs":
        return magnitude;
      case "flush":
        return [x, magnitude, a, vector.less, AND_NOT]; // keeps NaN
      case "max":
      case "min":
        return extreme(operation, inputs as [number, number], x, a);
      default:
        return composed(vector, node, x, a, b);
    }
  };

  /** f32x4.max and min are several instructions on x86, for the sake of NaN and -0. */
  const extreme = (operation: "max" | "min", [x, a]: [number, number], getX: Bytes, getA: Bytes): Bytes => {
    if (operation === "max" && clear[x] && clear[a])
      // In the order of the bits; a NaN is the largest.
      return dtype === "float32" ? [getX, getA, I32X4_MAX] : [getX, getA, getX, getA, I64X2_GREATER, BIT_SELECT];
    const toSecond = vector[`p${operation}`];
    // pmax(x, c) is c where x < c, else x: what max is when c is neither NaN nor zero; a NaN in x stays.
    if (constantOf(program, pass, a)) return [getX, getA, toSecond];
    if (constantOf(program, pass, x)) return [getA, getX, toSecond];
    return [getX, getA, vector[operation]];
  };

  const fromJob = (word: number, local: number): Bytes => setLocal(local, getLocal(JOB_AT), i32Load(word * 4));
  const advance = (bytes: number): Bytes => arrays.map((_, i) => increase(pointers + i, bytes));
  /** Runs `body` while the first pointer has not gone (now & mask) elements further. */
  const loop = (mask: number, ...body: Bytes): Bytes => [
    setLocal(limit, getLocal(pointers), getLocal(now), i32Const(mask), OP.i32And, i32Const(size), OP.i32Mul, OP.i32Add),
    OP.block,
    [getLocal(pointers), getLocal(limit), OP.i32Eq, OP.brIf],
    OP.loop,
    body,
    [getLocal(pointers), getLocal(limit), OP.i32Ne, OP.brIf],
    OP.end,
    OP.end,
  ];
  const vectorIteration = Array.from({ length: (LANES * size) / 16 / vectors.length }, (_, pair) => {
    const groups = vectors.map((values, i) => ({ values, uniforms: vectors[0]!, offset: (vectors.length * pair + i) * 16 }));
    return [
      elements(vector, groups, ofVector),
      groups.map(({ values, offset }) => sums.map((node, sum) => addSquares(dtype, values + node, partials[sum]!, offset / 16))),
    ];
  });
  const block = [
    partials.map(clearLanes),
    loop(-LANES, vectorIteration, advance(LANES * size)),
    partials.map((partial, sum) => spill(SCRATCH, partial, sum)),
    loop(
      LANES - 1,
      elements(scalar, [{ values: scalars, uniforms: scalars, offset: 0 }], (...node) => composed(scalar, ...node)),
      sums.map((node, sum) => addSquare(dtype, SCRATCH, scalars + node, sum)),
      sums.length > 0 ? increase(SCRATCH, 8) : [],
      advance(size),
    ),
  ];
  const blocks = [
    fromJob(JOB.sums, sumsAt),
    OP.loop,
    // now = min(left, BLOCK)
    setLocal(now, i32Const(BLOCK), getLocal(left), i32Const(BLOCK), getLocal(left), OP.i32LtU, OP.select),
    block,
    // The tail moved the scratch pointer, a lane per element; move it back.
    setLocal(SCRATCH, getLocal(SCRATCH), getLocal(now), i32Const(LANES - 1), OP.i32And, i32Const(8), OP.i32Mul, OP.i32Sub),
    partials.map((partial, sum) => join(SCRATCH, partial, sumsAt, sum)),
    increase(sumsAt, sums.length * 8),
    teeLocal(left, getLocal(left), getLocal(now), OP.i32Sub),
    OP.brIf,
    OP.end,
  ];
  const code = [
    fromJob(JOB.length, left),
    fromJob(JOB.constants, constants),
    arrays.map((buffer, i) => fromJob(JOB.arrays + buffer, pointers + i)),
    setLocal(magnitudeMask, MAGNITUDE[dtype]),
    // Uniforms stand ready in memory, repeated over a vector, and stay in registers during the loop.
    nodes.map((node, i) => {
      if (node.kind !== "uniform") return [];
      const place = at(node.uniform * UNIFORM_BYTES);
      return [
        setLocal(vectors[0]! + i, getLocal(constants), vector.load, place),
        setLocal(scalars + i, getLocal(constants), scalar.load, place),
      ];
    }),
    sums.length > 0 ? blocks : [setLocal(now, getLocal(left)), block],
  ];
  return { type: 0, locals, code };
};
