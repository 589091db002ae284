/** Runs programs in plain TypeScript, a chunk of elements at a time: where WebAssembly is not to be had, and as the oracle
 *  of the compiled backends. Same memory, same jobs, same order of rounding. */

import type { Values } from "../../backend.js";
import type { Operation } from "../../rule/expression.js";
import { ARRAYS, BLOCK, type DType, LANES, type Pass, type Program } from "../../rule/program.js";
import * as JOB from "../cpu/job.js";
import type { Engine, Segment, SegmentRunner } from "../cpu/memory.js";
import { UNIFORM_BYTES } from "../cpu/sizes.js";
import { CpuBackend } from "../cpu/step.js";

/** Elements whose intermediate values fit the first-level cache; divides BLOCK. */
const CHUNK = 1024;

/** Plain TypeScript. Runs everywhere, with the bits of the WebAssembly backend. */
export class InterpreterBackend extends CpuBackend {
  /** `why`: the reason for not running something faster. */
  constructor(why = "asked for") {
    super({
      name: "interpreter",
      why,
      maxBytes: 2 ** 32,
      threads: 1,

      allocate,
      compile,
    } satisfies Engine);
  }
}

const allocate = (bytes: number) => ({ buffer: new ArrayBuffer(bytes) });

const compile = (programs: readonly Program[]): ((segment: Segment) => SegmentRunner) => {
  const passes = programs.flatMap(({ dtype, passes }) => passes.map((pass) => inChunks(dtype, pass)));
  return (segment) => (stager) => {
    for (let job = 0; job < segment.pending; job++) {
      const word = segment.wordOf(job);
      stager?.prepare(job, 0);
      passes[segment.words[word + JOB.callee]!]!(segment.words, word, segment);
      stager?.complete(job, 0);
    }
  };
};

/** Runs a pass for the job at a place of `words`. */
const inChunks = (dtype: DType, { nodes, stores, sums }: Pass) => {
  /** The values of each node in the chunk at hand. */
  const values: Values[] = nodes.map(() => new ARRAYS[dtype](CHUNK));
  const lanes = sums.map(() => new Float64Array(LANES));

  return (words: Int32Array, job: number, views: Pick<Segment, DType>): void => {
    const memory = views[dtype];
    const size = memory.BYTES_PER_ELEMENT;
    const length = words[job + JOB.length]! >>> 0;
    const at = (word: number) => (words[job + word]! >>> 0) / size;
    nodes.forEach((node, i) => {
      if (node.kind === "uniform") values[i]!.fill(memory[at(JOB.constants) + (node.uniform * UNIFORM_BYTES) / size]!);
    });
    let sumPlace = (words[job + JOB.sums]! >>> 0) / 8;
    for (let begin = 0; begin < length; begin += CHUNK) {
      const count = Math.min(CHUNK, length - begin);
      nodes.forEach((node, i) => {
        const out = values[i]!;
        if (node.kind === "load") {
          const from = at(JOB.arrays + node.buffer) + begin;
          out.set(memory.subarray(from, from + count));
        } else if (node.kind === "operation") {
          const [x, a, b] = node.inputs.map((input) => values[input]!);
          loops[node.operation](count, out, x!, a!, b!);
        }
      });
      for (const { buffer, node } of stores) memory.set(values[node]!.subarray(0, count), at(JOB.arrays + buffer) + begin);
      const blockEnds = (begin + count) % BLOCK === 0 || begin + count === length;
      sums.forEach((node, sum) => {
        const own = lanes[sum]!;
        const value = values[node]!;
        for (let k = 0; k < count; k++) own[k % LANES]! += value[k]! * value[k]!;
        if (blockEnds) views.float64[sumPlace + sum] = joinLanes(own);
      });
      if (blockEnds) sumPlace += sums.length;
    }
  };
};

/** Joins the partial sums of a block by a fixed tree (i with i + 8, then + 4, + 2, + 1), and clears them. */
const joinLanes = (lanes: Float64Array): number => {
  for (let half = LANES / 2; half >= 1; half /= 2) for (let i = 0; i < half; i++) lanes[i]! += lanes[i + half]!;
  const total = lanes[0]!;
  lanes.fill(0);
  return total;
};

type Loop = (count: number, out: Values, x: Values, a: Values, b: Values) => void;

/** Storing into `out` rounds to its dtype; +, -, *, / and sqrt of float32 values are exact enough in float64 to round only once. */
const loops: Record<Operation, Loop> = {
  add: (count, out, x, a) => {
    for (let k = 0; k < count; k++) out[k] = x[k]! + a[k]!;
  },
  sub: (count, out, x, a) => {
    for (let k = 0; k < count; k++) out[k] = x[k]! - a[k]!;
  },
  mul: (count, out, x, a) => {
    for (let k = 0; k < count; k++) out[k] = x[k]! * a[k]!;
  },
  div: (count, out, x, a) => {
    for (let k = 0; k < count; k++) out[k] = x[k]! / a[k]!;
  },
  max: (count, out, x, a) => {
    for (let k = 0; k < count; k++) out[k] = Math.max(x[k]!, a[k]!);
  },
  min: (count, out, x, a) => {
    for (let k = 0; k < count; k++) out[k] = Math.min(x[k]!, a[k]!);
  },
  abs: (count, out, x) => {
    for (let k = 0; k < count; k++) out[k] = Math.abs(x[k]!);
  },
  neg: (count, out, x) => {
    for (let k = 0; k < count; k++) out[k] = -x[k]!;
  },
  sqrt: (count, out, x) => {
    for (let k = 0; k < count; k++) out[k] = Math.sqrt(x[k]!);
  },
  flush: (count, out, x, a) => {
    for (let k = 0; k < count; k++) out[k] = Math.abs(x[k]!) < a[k]! ? 0 : x[k]!;
  },
  ifPositive: (count, out, x, a, b) => {
    for (let k = 0; k < count; k++) out[k] = x[k]! > 0 ? a[k]! : b[k]!;
  },
};
