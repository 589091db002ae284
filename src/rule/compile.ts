/** From what a rule has recorded to the program that backends receive. */

import type { Expression, NormScope, Operation, ScalarOperation } from "./expression.js";
import type { DType, Node, Pass, Program, Scalar } from "./program.js";

/** The place of `item` in `list`, which it is added to if it is the first of its kind. */
export const placeIn = <Item>(list: Item[], item: Item): number => {
  const known = list.indexOf(item);
  return known >= 0 ? known : list.push(item) - 1;
};

type Vertex = {
  readonly stage: number;
  readonly perElement: boolean;
  readonly wide: boolean;
  /** Places of what it is computed from. */
  readonly inputs: readonly number[];
} & (
  | { readonly kind: "constant"; readonly value: number }
  | { readonly kind: "parameter"; readonly name: string }
  | { readonly kind: "element"; readonly buffer: string }
  | { readonly kind: "norm"; readonly scope: NormScope }
  | { readonly kind: "operation"; readonly operation: ScalarOperation }
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
    const isMinusZero = Object.is((vertex as { value?: number }).value, -0);
    const place = placeIn(contents, isMinusZero ? "-0" : Object.values(vertex).join(" "));
    vertices[place] ??= vertex;
    places.set(expression, place);
    return place;
  };
  const vertexOf = ({ recorded, perElement }: Expression): Vertex => {
    const { inputs: operands = [] } = recorded as { readonly inputs?: readonly Expression[] };
    const inputs = operands.map(placeOf);
    const from = inputs.map((input) => vertices[input]!);
    const isNorm = recorded.kind === "norm";
    const stage = Math.max(0, ...from.map((input) => input.stage)) + +isNorm;
    return { ...recorded, inputs, stage, perElement, wide: isNorm || from.some((input) => input.wide) };
  };

  const stores = Object.entries(outputs).flatMap(([name, value]) => {
    const unchanged = value.recorded.kind === "element" && value.recorded.buffer === name;
    return unchanged ? [] : [{ buffer: placeIn(buffers, name), id: placeOf(value) }];
  });
  const last = Math.max(0, ...stores.map(({ id }) => vertices[id]!.stage));
  /** Those whose squares a pass sums. */
  const normsAfter = (pass: number) =>
    vertices.filter((vertex): vertex is VertexOf<"norm"> => vertex.kind === "norm" && vertex.stage === pass + 1);

  const uniforms: number[] = [];
  const passes = Array.from({ length: last + 1 }, (_, pass): Pass => {
    const sums = normsAfter(pass).map(({ inputs: [of] }) => of!);
    const stored = pass === last ? stores : [];
    const needed = new Set([...sums, ...stored.map(({ id }) => id)]);
    for (const id of needed) {
      const vertex = vertices[id]!;
      if (vertex.perElement) for (const input of vertex.inputs) needed.add(input); // and walked later
    }
    const ids = [...needed].sort((a, b) => a - b);
    const nodeOf = (id: number) => ids.indexOf(id);
    return {
      nodes: ids.map((id): Node => {
        const vertex = vertices[id]!;
        if (!vertex.perElement) return { kind: "uniform", uniform: placeIn(uniforms, id) };
        if (vertex.kind === "element") return { kind: "load", buffer: placeIn(buffers, vertex.buffer) };
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
    if (vertex.kind !== "norm") return { ...vertex, inputs: vertex.inputs.map(scalarOf) } as Scalar;
    const pass = vertex.stage - 1;
    return { ...vertex, pass, sum: normsAfter(pass).indexOf(vertex) };
  });
  return { dtype, buffers, scalars, uniforms: uniforms.map(scalarOf), passes, exposed: false };
};
