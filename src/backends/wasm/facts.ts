/** What is known of a node's values before the program runs, so that a cheaper instruction gives the same bits. */

import type { Pass, Program } from "../../rule/program.js";

/** The value of a uniform that is a finite number, known when the rule was written; else, and where it is zero, 0. */
export const constantOf = ({ dtype, scalars, uniforms }: Program, { nodes }: Pass, node: number): number => {
  const candidate = nodes[node]!;
  const scalar = candidate.kind === "uniform" ? scalars[uniforms[candidate.uniform]!]! : undefined;
  if (scalar?.kind !== "constant") return 0;
  const value = dtype === "float32" ? Math.fround(scalar.value) : scalar.value;
  return Number.isFinite(value) ? value : 0;
};

/** For each node, whether its sign bit is always clear, also of a NaN. Then the bits, read as integers, are in the order of the numbers,
 *  and a NaN is the largest.
 *
 *  An array counts if this pass stores such values in it and it began with them: slots begin with zeros, and loading clears the sign of a
 *  NaN. (Only arithmetic without a NaN among its operands makes one whose sign we do not know: infinity times zero.) Where a view of the state
 *  has been handed out, nothing is known of it. */
export const clearSigns = (program: Program, pass: Pass): boolean[] => {
  const stored = pass.stores.map(({ buffer }) => buffer);
  const trusted = new Set(program.exposed ? [] : stored.filter((buffer) => !["w", "average"].includes(program.buffers[buffer]!)));
  for (;;) {
    const clear = clearSignsGiven(program, pass, trusted);
    const refuted = pass.stores.filter(({ buffer, node }) => trusted.has(buffer) && !clear[node]);
    if (refuted.length === 0) return clear;
    for (const { buffer } of refuted) trusted.delete(buffer);
  }
};

const clearSignsGiven = (program: Program, pass: Pass, trusted: ReadonlySet<number>): boolean[] => {
  const clear: boolean[] = [];
  pass.nodes.forEach((node, i) => {
    if (node.kind === "load") clear[i] = trusted.has(node.buffer);
    else if (node.kind === "uniform") clear[i] = constantOf(program, pass, i) > 0;
    else {
      const [x, a] = node.inputs as [number, number];
      const both = clear[x]! && clear[a]!;
      clear[i] =
        node.operation === "abs" ||
        (node.operation === "flush" && clear[x]!) ||
        (node.operation === "max" && both) ||
        (node.operation === "mul" && both && (constantOf(program, pass, x) || constantOf(program, pass, a)) !== 0);
    }
  });
  return clear;
};
