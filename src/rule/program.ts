/** A step as every backend receives it: scalars to evaluate once, then passes over the elements. */

import type { Expression, NormScope, Operation, ScalarOperation } from "./expression.js";

/** What an array is made of. Arithmetic on it rounds to the same. */
export type DType = "float32" | "float64";
/** The class of array for each. */
export const ARRAYS = { float32: Float32Array, float64: Float64Array } as const;

/** What a pass computes for each element; inputs are places of earlier nodes in the same pass. */
export type Node =
  | { readonly kind: "load"; readonly buffer: number }
  | { readonly kind: "uniform"; readonly uniform: number }
  | { readonly kind: "operation"; readonly operation: Operation; readonly inputs: readonly number[] };

/** A scalar of the step. `stage` says after how many passes it is known; `wide` scalars come from norms and stay float64. */
export type Scalar = { readonly stage: number; readonly wide: boolean } & (
  | { readonly kind: "constant"; readonly value: number }
  | { readonly kind: "parameter"; readonly name: string }
  | { readonly kind: "norm"; readonly scope: NormScope; readonly pass: number; readonly sum: number }
  | { readonly kind: "operation"; readonly operation: ScalarOperation; readonly inputs: readonly number[] }
);

/** One loop over the elements. It stores arrays, or sums squares (in float64, by blocks), or both. */
export interface Pass {
  readonly nodes: readonly Node[];
  readonly stores: readonly { readonly buffer: number; readonly node: number }[];
  /** Nodes whose squares are summed, in the order of the sums that a block writes. */
  readonly sums: readonly number[];
}

/** What a backend compiles: scalars to evaluate once in a step, then passes over the elements. */
export interface Program {
  readonly dtype: DType;
  /** The arrays of a variable that the passes touch, in the order of a job's pointers. */
  readonly buffers: readonly string[];
  /** In an order in which each can be evaluated. */
  readonly scalars: readonly Scalar[];
  /** The scalars that elements meet, by their place in the block of constants that the passes read. */
  readonly uniforms: readonly number[];
  readonly passes: readonly Pass[];
  /** Whether somebody else than steps may have written the state: then nothing is known of what it holds. */
  readonly exposed: boolean;
}

/** Elements in one block of a norm's sum. Sums start anew in each block, so the bits do not depend on who sums which. */
export const BLOCK = 4096;
/** Interleaved partial sums within a block: element i goes to lane i % LANES. They are joined by `joinLanes`' fixed tree. */
export const LANES = 16;

/** Compiles the record behind `outputs` (array name to its new value). Common parts are computed once. */
export const compile = (dtype: DType, outputs: Readonly<Record<string, Expression>>): Program => {
  const graph = new Graph();
  const stores = Object.entries(outputs).flatMap(([name, value]) => {
    const unchanged = value.recorded.kind === "element" && value.recorded.buffer === name;
    return unchanged ? [] : [{ buffer: graph.buffer(name), id: graph.place(value) }];
  });
  const last = Math.max(0, ...stores.map(({ id }) => graph.vertices[id]!.stage));
  const norms = graph.vertices.flatMap((vertex, id) =>
    vertex.kind === "norm" ? [{ id, of: vertex.of, pass: vertex.stage - 1 }] : [],
  );

  const passes: Pass[] = [];
  const uniformIds: number[] = [];
  for (let pass = 0; pass <= last; pass++) {
    const sums = norms.filter((norm) => norm.pass === pass).map(({ of }) => of);
    const stored = pass === last ? stores : [];
    passes.push(graph.pass([...sums, ...stored.map(({ id }) => id)], sums, stored, uniformIds));
  }
  const { scalars, placeOf } = graph.scalars();
  return { dtype, buffers: graph.buffers, scalars, uniforms: uniformIds.map((id) => placeOf.get(id)!), passes, exposed: false };
};

type Vertex = { readonly stage: number; readonly perElement: boolean; readonly wide: boolean } & (
  | { readonly kind: "constant"; readonly value: number }
  | { readonly kind: "parameter"; readonly name: string }
  | { readonly kind: "element"; readonly buffer: number }
  | { readonly kind: "norm"; readonly of: number; readonly scope: NormScope }
  | { readonly kind: "operation"; readonly operation: ScalarOperation; readonly inputs: readonly number[] }
);

/** The record as a list in which equal expressions share one place, and inputs come before what they enter. */
class Graph {
  readonly vertices: Vertex[] = [];
  readonly buffers: string[] = [];
  readonly #places = new Map<Expression, number>();
  readonly #byContent = new Map<string, number>();

  buffer(name: string): number {
    const known = this.buffers.indexOf(name);
    return known >= 0 ? known : this.buffers.push(name) - 1;
  }

  place(expression: Expression): number {
    let place = this.#places.get(expression);
    if (place === undefined) {
      place = this.#share(this.#vertex(expression));
      this.#places.set(expression, place);
    }
    return place;
  }

  #vertex({ recorded, perElement }: Expression): Vertex {
    const atStart = { stage: 0, perElement, wide: false };
    switch (recorded.kind) {
      case "constant":
      case "parameter":
        return { ...recorded, ...atStart };
      case "element":
        return { ...recorded, ...atStart, buffer: this.buffer(recorded.buffer) };
      case "norm": {
        const of = this.place(recorded.of);
        return { ...recorded, of, stage: this.vertices[of]!.stage + 1, perElement, wide: true };
      }
      case "operation": {
        const inputs = recorded.inputs.map((input) => this.place(input));
        const from = inputs.map((input) => this.vertices[input]!);
        const stage = Math.max(...from.map((input) => input.stage));
        const wide = !perElement && from.some((input) => input.wide);
        return { ...recorded, inputs, stage, perElement, wide };
      }
    }
  }

  #share(vertex: Vertex): number {
    // As text, 0 and -0 are the same.
    const content = vertex.kind === "constant" && Object.is(vertex.value, -0) ? "-0" : Object.values(vertex).join(" ");
    const known = this.#byContent.get(content);
    if (known !== undefined) return known;
    this.#byContent.set(content, this.vertices.length);
    return this.vertices.push(vertex) - 1;
  }

  /** What one pass needs for `roots`, in order; scalars that elements meet are added to `uniformIds`. */
  pass(roots: number[], sums: number[], stores: { buffer: number; id: number }[], uniformIds: number[]): Pass {
    const needed = new Set<number>();
    const need = (id: number): void => {
      if (needed.has(id)) return;
      needed.add(id);
      const vertex = this.vertices[id]!;
      if (vertex.perElement && vertex.kind === "operation") vertex.inputs.forEach(need);
    };
    roots.forEach(need);
    const nodes: Node[] = [];
    const nodeOf = new Map<number, number>();
    for (const id of [...needed].sort((a, b) => a - b)) nodeOf.set(id, nodes.push(this.#node(id, nodeOf, uniformIds)) - 1);
    return {
      nodes,
      stores: stores.map(({ buffer, id }) => ({ buffer, node: nodeOf.get(id)! })),
      sums: sums.map((id) => nodeOf.get(id)!),
    };
  }

  #node(id: number, nodeOf: Map<number, number>, uniformIds: number[]): Node {
    const vertex = this.vertices[id]!;
    if (!vertex.perElement) {
      const known = uniformIds.indexOf(id);
      return { kind: "uniform", uniform: known >= 0 ? known : uniformIds.push(id) - 1 };
    }
    if (vertex.kind === "element") return { kind: "load", buffer: vertex.buffer };
    const { operation, inputs } = vertex as Vertex & { kind: "operation" };
    return { kind: "operation", operation: operation as Operation, inputs: inputs.map((input) => nodeOf.get(input)!) };
  }

  /** Every scalar, in order, and where each vertex went. */
  scalars(): { scalars: Scalar[]; placeOf: Map<number, number> } {
    const scalars: Scalar[] = [];
    const placeOf = new Map<number, number>();
    const sumsInPass: number[] = [];
    this.vertices.forEach((vertex, id) => {
      if (vertex.perElement || vertex.kind === "element") return;
      placeOf.set(id, scalars.length);
      if (vertex.kind === "norm") {
        const pass = vertex.stage - 1;
        const sum = sumsInPass[pass] ?? 0;
        sumsInPass[pass] = sum + 1;
        scalars.push({ ...vertex, pass, sum });
      } else if (vertex.kind === "operation")
        scalars.push({ ...vertex, inputs: vertex.inputs.map((input) => placeOf.get(input)!) });
      else scalars.push(vertex);
    });
    return { scalars, placeOf };
  }
}
