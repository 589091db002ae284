/** Compiles the passes of step programs to a WebAssembly module: one function per pass, each a loop over vectors of 128 bits,
 *  16 elements in one iteration, and a loop over the elements that are left. */

import { BLOCK, LANES, type Node, type Pass, type Program } from "../../rule/program.js";
import { JOB, UNIFORM_BYTES } from "../cpu/layout.js";
import { at, type Bytes, encodeModule, getLocal, i32Const, OP, setLocal, TYPE, teeLocal, type WasmFunction } from "./encoding.js";
import { clearSigns, constantOf } from "./facts.js";
import { I32X4_MAX, I64X2_GREATER, type Instructions, MAGNITUDE, PSEUDO, SCALAR, V128, VECTOR } from "./instructions.js";
import { addSquare, addSquares, clear, join, spill } from "./sums.js";

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
  [TYPE.i32, TYPE.i32],
  [TYPE.i32, TYPE.i32, TYPE.i32, TYPE.i32],
];

/** `sharedPages`: for a shared memory, its maximum; null for one of its own. */
export const compileModule = (programs: readonly Program[], sharedPages: number | null): Uint8Array<ArrayBuffer> => {
  const passes = programs.flatMap((program) => program.passes.map((pass) => new PassCompiler(program, pass).compile()));
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
    [getLocal(0), getLocal(3), getLocal(0), OP.i32Load(JOB.function * 4), OP.callIndirect(0)],
    setLocal(0, getLocal(0), getLocal(2), OP.i32Add),
    teeLocal(1, getLocal(1), i32Const(1), OP.i32Sub),
    OP.brIf,
    OP.end,
  ],
};

/** The parameters of a pass. */
const JOB_AT = 0;
const SCRATCH = 1;

class PassCompiler {
  readonly #size: 4 | 8;
  /** Arrays that this pass touches, by their place among the job's pointers. */
  readonly #arrays: readonly number[];
  readonly #locals: { count: number; type: number }[] = [];
  #nextLocal = 2;
  readonly #vector: Instructions;
  readonly #scalar: Instructions;
  /** Nodes whose sign bit is always clear. */
  readonly #clear: readonly boolean[];

  constructor(
    readonly program: Program,
    readonly pass: Pass,
  ) {
    const { dtype } = program;
    this.#size = dtype === "float32" ? 4 : 8;
    this.#vector = VECTOR[dtype];
    this.#scalar = SCALAR[dtype];
    this.#clear = clearSigns(program, pass);
    const touched = [
      ...pass.nodes.flatMap((node) => (node.kind === "load" ? [node.buffer] : [])),
      ...pass.stores.map(({ buffer }) => buffer),
    ];
    this.#arrays = [...new Set(touched)].sort((a, b) => a - b);
  }

  #declare(type: number, count = 1): number {
    this.#locals.push({ count, type });
    this.#nextLocal += count;
    return this.#nextLocal - count;
  }

  compile(): WasmFunction {
    const { dtype } = this.program;
    const { nodes, sums } = this.pass;
    const left = this.#declare(TYPE.i32); // elements still to do
    const now = this.#declare(TYPE.i32); // of these, in this block
    const limit = this.#declare(TYPE.i32);
    const constants = this.#declare(TYPE.i32);
    const sumsAt = this.#declare(TYPE.i32);
    const pointers = this.#declare(TYPE.i32, this.#arrays.length);
    const pointerOf = (buffer: number) => pointers + this.#arrays.indexOf(buffer);
    const magnitudeMask = this.#declare(TYPE.v128);
    const vectors = [this.#declare(TYPE.v128, nodes.length), this.#declare(TYPE.v128, nodes.length)]; // side by side
    const scalars = this.#declare(this.#scalar.type, nodes.length);
    const partials = sums.map(() => this.#declare(TYPE.v128, LANES / 2)); // two float64 lanes each

    const fromJob = (word: number, local: number): Bytes => setLocal(local, getLocal(JOB_AT), OP.i32Load(word * 4));
    const advance = (bytes: number): Bytes => this.#arrays.map((_, i) => increase(pointers + i, bytes));
    /** Runs `body` while the first pointer has not gone (now & mask) elements further. */
    const loop = (mask: number, ...body: Bytes): Bytes => [
      setLocal(limit, getLocal(pointers), getLocal(now), i32Const(mask), OP.i32And, i32Const(this.#size), OP.i32Mul, OP.i32Add),
      OP.block,
      [getLocal(pointers), getLocal(limit), OP.i32Eq, OP.brIf],
      OP.loop,
      body,
      [getLocal(pointers), getLocal(limit), OP.i32Ne, OP.brIf],
      OP.end,
      OP.end,
    ];
    const perVector = 16 / this.#size;
    const vectorIteration = Array.from({ length: LANES / perVector / vectors.length }, (_, pair) => {
      const copies = vectors.map((values, i) => ({ values, copy: vectors.length * pair + i }));
      const groups = copies.map(({ values, copy }) => ({ values, uniforms: vectors[0]!, offset: copy * 16 }));
      return [
        this.#elements(this.#vector, groups, pointerOf, (node, local) => this.#vectorNode(node, local, magnitudeMask)),
        copies.map(({ values, copy }) => sums.map((node, sum) => addSquares(dtype, values + node, partials[sum]!, copy))),
      ];
    });
    const scalarGroups = [{ values: scalars, uniforms: scalars, offset: 0 }];
    const block = [
      partials.map(clear),
      loop(-LANES, vectorIteration, advance(LANES * this.#size)),
      partials.map((partial, sum) => spill(SCRATCH, partial, sum)),
      loop(
        LANES - 1,
        this.#elements(this.#scalar, scalarGroups, pointerOf, (node, local) => this.#scalarNode(node, local)),
        sums.map((node, sum) => addSquare(dtype, SCRATCH, scalars + node, sum)),
        sums.length > 0 ? increase(SCRATCH, 8) : [],
        advance(this.#size),
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
      this.#arrays.map((buffer) => fromJob(JOB.arrays + buffer, pointerOf(buffer))),
      setLocal(magnitudeMask, MAGNITUDE[dtype]),
      // Uniforms stand ready in memory, repeated over a vector, and stay in registers during the loop.
      nodes.map((node, i) => {
        if (node.kind !== "uniform") return [];
        const place = at(node.uniform * UNIFORM_BYTES);
        return [
          setLocal(vectors[0]! + i, getLocal(constants), this.#vector.load, place),
          setLocal(scalars + i, getLocal(constants), this.#scalar.load, place),
        ];
      }),
      sums.length > 0 ? blocks : [setLocal(now, getLocal(left)), block],
    ];
    return { type: 0, locals: this.#locals, code };
  }

  /** Every node of the pass and its stores, for some groups side by side: node by node, and each array is written as soon as its values are
   *  there. So no value takes a register longer than it must; and engines that join two vectors of 128 bits into one of 256 find them next
   *  to each other (V8 with --experimental-wasm-revectorize). */
  #elements(
    instructions: Instructions,
    groups: readonly Group[],
    pointerOf: (buffer: number) => number,
    operate: (node: OperationNode, local: (input: number) => Bytes) => Bytes,
  ): Bytes {
    const { nodes, stores, sums } = this.pass;
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
            ? [getLocal(pointerOf(node.buffer)), instructions.load, at(group.offset)]
            : operate(node, (input) => local(input, group));
        code.push(setLocal(group.values + place, value));
      }
    };
    for (const { buffer, node } of [...stores].sort((a, b) => a.node - b.node)) {
      compute(node);
      // What the array held is read before it is overwritten.
      nodes.forEach((other, place) => {
        if (other.kind === "load" && other.buffer === buffer) compute(place);
      });
      for (const group of groups)
        code.push([getLocal(pointerOf(buffer)), local(node, group), instructions.store, at(group.offset)]);
    }
    sums.forEach(compute);
    return code;
  }

  #scalarNode({ operation, inputs }: OperationNode, local: (input: number) => Bytes): Bytes {
    const { zero, abs, less, greater } = this.#scalar;
    const [x, a = [], b = []] = inputs.map(local) as [Bytes, Bytes?, Bytes?];
    if (operation === "flush") return [zero, x, x, abs, a, less, OP.select];
    if (operation === "ifPositive") return [a, b, x, zero, greater, OP.select];
    return [x, a, this.#scalar[operation]];
  }

  /** Where the engine's own instruction is slow, another one that gives the same bits. */
  #vectorNode({ operation, inputs }: OperationNode, local: (input: number) => Bytes, magnitudeMask: number): Bytes {
    const { zero, less, greater } = this.#vector;
    const [x, a = [], b = []] = inputs.map(local) as [Bytes, Bytes?, Bytes?];
    const magnitude = [x, getLocal(magnitudeMask), V128.and]; // engines make the mask of f32x4.abs anew each time
    switch (operation) {
      case "abs":
        return magnitude;
      case "flush":
        return [x, magnitude, a, less, V128.andNot]; // keeps NaN
      case "ifPositive":
        return [a, b, x, zero, greater, V128.bitSelect];
      case "max":
      case "min":
        return this.#extreme(operation, inputs as [number, number], x, a);
      default:
        return [x, a, this.#vector[operation]];
    }
  }

  /** f32x4.max and min are several instructions on x86, for the sake of NaN and -0. */
  #extreme(operation: "max" | "min", [x, a]: [number, number], getX: Bytes, getA: Bytes): Bytes {
    const { dtype } = this.program;
    if (operation === "max" && this.#clear[x] && this.#clear[a])
      // In the order of the bits; a NaN is the largest.
      return dtype === "float32" ? [getX, getA, I32X4_MAX] : [getX, getA, getX, getA, I64X2_GREATER, V128.bitSelect];
    const toSecond = PSEUDO[dtype][operation];
    // pmax(x, c) is c where x < c, else x: what max is when c is neither NaN nor zero; a NaN in x stays.
    if (constantOf(this.program, this.pass, a) !== undefined) return [getX, getA, toSecond];
    if (constantOf(this.program, this.pass, x) !== undefined) return [getA, getX, toSecond];
    return [getX, getA, this.#vector[operation]];
  }
}
