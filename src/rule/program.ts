/** A step as every backend receives it: scalars to evaluate once, then passes over the elements. */

import { OptionError, show } from "../errors.js";
import { Expression, type NormScope, type Operation, type ScalarOperation } from "./expression.js";

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

/** The place of `item` in `list`, which it is added to if it is the first of its kind. */
export const placeIn = <Item>(list: Item[], item: Item): number => {
  const known = list.indexOf(item);
  return known >= 0 ? known : list.push(item) - 1;
};

type Vertex = { readonly stage: number; readonly perElement: boolean; readonly wide: boolean } & (
  | { readonly kind: "constant"; readonly value: number }
  | { readonly kind: "parameter"; readonly name: string }
  | { readonly kind: "element"; readonly buffer: number }
  | { readonly kind: "norm"; readonly of: number; readonly scope: NormScope }
  | { readonly kind: "operation"; readonly operation: ScalarOperation; readonly inputs: readonly number[] }
);
type VertexOf<Kind extends Vertex["kind"]> = Vertex & { readonly kind: Kind };

/** Compiles the record behind `outputs` (array name to its new value). Common parts are computed once. */
export const compile = (dtype: DType, outputs: Readonly<Record<string, Expression>>): Program => {
  const buffers: string[] = [];
  /** The record as a list in which equal expressions share one place, and inputs come before what they enter. */
  const vertices: Vertex[] = [];
  const contents: string[] = [];
  const places = new Map<Expression, number>();
  const placeOf = (expression: Expression): number => {
    const known = places.get(expression);
    if (known !== undefined) return known;
    const vertex = vertexOf(expression);
    // As text, 0 and -0 are the same.
    const isMinusZero = vertex.kind === "constant" && Object.is(vertex.value, -0);
    const place = placeIn(contents, isMinusZero ? "-0" : Object.values(vertex).join(" "));
    vertices[place] ??= vertex;
    places.set(expression, place);
    return place;
  };
  const vertexOf = ({ recorded, perElement }: Expression): Vertex => {
    const atStart = { stage: 0, perElement, wide: false };
    switch (recorded.kind) {
      case "element":
        return { ...recorded, ...atStart, buffer: placeIn(buffers, recorded.buffer) };
      case "norm": {
        const of = placeOf(recorded.of);
        return { ...recorded, of, stage: vertices[of]!.stage + 1, perElement, wide: true };
      }
      case "operation": {
        const inputs = recorded.inputs.map(placeOf);
        const from = inputs.map((input) => vertices[input]!);
        const stage = Math.max(...from.map((input) => input.stage));
        return { ...recorded, inputs, stage, perElement, wide: !perElement && from.some((input) => input.wide) };
      }
      default:
        return { ...recorded, ...atStart };
    }
  };

  const stores = Object.entries(outputs).flatMap(([name, value]) => {
    if (!(value instanceof Expression))
      throw new OptionError(`A rule gives ${name} an expression`, show(value), "Make it with defineRule.");
    const unchanged = value.recorded.kind === "element" && value.recorded.buffer === name;
    return unchanged ? [] : [{ buffer: placeIn(buffers, name), id: placeOf(value) }];
  });
  const last = Math.max(0, ...stores.map(({ id }) => vertices[id]!.stage));
  /** Those whose squares a pass sums. */
  const normsAfter = (pass: number) =>
    vertices.filter((vertex): vertex is VertexOf<"norm"> => vertex.kind === "norm" && vertex.stage === pass + 1);

  const uniforms: number[] = [];
  const passes = Array.from({ length: last + 1 }, (_, pass): Pass => {
    const sums = normsAfter(pass).map(({ of }) => of);
    const stored = pass === last ? stores : [];
    const needed = new Set([...sums, ...stored.map(({ id }) => id)]);
    for (const id of needed) {
      const vertex = vertices[id]!;
      if (vertex.perElement && vertex.kind === "operation") for (const input of vertex.inputs) needed.add(input); // and walked later
    }
    const ids = [...needed].sort((a, b) => a - b);
    const nodeOf = (id: number) => ids.indexOf(id);
    return {
      nodes: ids.map((id): Node => {
        const vertex = vertices[id]!;
        if (!vertex.perElement) return { kind: "uniform", uniform: placeIn(uniforms, id) };
        if (vertex.kind === "element") return { kind: "load", buffer: vertex.buffer };
        const { operation, inputs } = vertex as VertexOf<"operation">;
        return { kind: "operation", operation: operation as Operation, inputs: inputs.map(nodeOf) };
      }),
      stores: stored.map(({ buffer, id }) => ({ buffer, node: nodeOf(id) })),
      sums: sums.map(nodeOf),
    };
  });

  const ids = [...vertices.keys()].filter((id) => !vertices[id]!.perElement);
  const scalarOf = (id: number) => ids.indexOf(id);
  const scalars = ids.map((id): Scalar => {
    const vertex = vertices[id] as Exclude<Vertex, VertexOf<"element">>;
    if (vertex.kind === "operation") return { ...vertex, inputs: vertex.inputs.map(scalarOf) };
    if (vertex.kind !== "norm") return vertex;
    const pass = vertex.stage - 1;
    return { ...vertex, pass, sum: normsAfter(pass).indexOf(vertex) };
  });
  return { dtype, buffers, scalars, uniforms: uniforms.map(scalarOf), passes, exposed: false };
};
