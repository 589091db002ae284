/** What a class of variables needs in each step: its program, and the scalars of the running step. */

import type { RowClass } from "../../backend.js";
import type { Program, Scalar } from "../../rule/program.js";
import type { Pointer } from "./layout.js";
import type { Segment } from "./memory.js";
import { UNIFORM_BYTES } from "./sizes.js";

type Norm = Scalar & { readonly kind: "norm" };

export interface ClassPlan {
  readonly program: Program;
  readonly class: RowClass;
  readonly scalars: Float64Array;
  /** Which of the scalars are norms. */
  readonly norms: readonly (Norm & { readonly place: number })[];
  /** Per pass: whether it touches w and g, and whether it stores w. */
  readonly uses: readonly { readonly w: boolean; readonly g: boolean; readonly storesW: boolean }[];
  /** For each array of the program, its place among the arrays of a row; filled at the first run. */
  readonly arrays: number[];
}

export const planOf = (program: Program, rowClass: RowClass): ClassPlan => {
  const uses = program.passes.map(({ nodes, stores }) => {
    const loads = (name: string) => nodes.some((node) => node.kind === "load" && program.buffers[node.buffer] === name);
    const storesW = stores.some(({ buffer }) => program.buffers[buffer] === "w");
    return { w: loads("w") || storesW, g: loads("g"), storesW };
  });
  const norms = program.scalars.flatMap((scalar, place) => (scalar.kind === "norm" ? [{ ...scalar, place }] : []));
  return { program, class: rowClass, scalars: new Float64Array(program.scalars.length), norms, uses, arrays: [] };
};

/** Lays the scalars that elements meet out for the passes, each repeated over a vector. */
export const writeConstants = (segment: Segment, constants: Pointer, { program, scalars }: ClassPlan): void => {
  const { uniforms, dtype } = program;
  const target = segment[dtype];
  const lanes = UNIFORM_BYTES / target.BYTES_PER_ELEMENT;
  let k = (constants / UNIFORM_BYTES) * lanes;
  for (let i = 0; i < uniforms.length; i++) {
    const value = scalars[uniforms[i]!]!;
    for (let lane = 0; lane < lanes; lane++) target[k++] = value;
  }
};
