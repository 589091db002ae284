/** Compiles the passes of step programs to WGSL, a shader each: a workgroup takes a tile of a part of a variable, as the table says, so that one
 *  dispatch serves any number of variables. */

import type { Node, Pass, Program } from "../../rule/program.js";
import { arithmetic, type Corrections, operate, type Width } from "./arithmetic.js";
import { NO_HALVES, PassArrays } from "./arrays.js";
import { NARROWED, PACKED, UNPACKED, WIDENED } from "./halves.js";
import { BINDING, constantAt, header, isKnown, knownAt, MAIN, partWord, type Shader, SPAN, TILE } from "./layout.js";
import { joiningSums, SQUARES, THREADS, VECTORS } from "./norms.js";
import { PAIRS } from "./pairs.js";
import { INTEGERS } from "./wide.js";

type OperationNode = Extract<Node, { kind: "operation" }>;

/** `sums`: how many each pass of the step makes at most. */
export const compilePass = (
  program: Program,
  index: number,
  width: Width,
  sums: number,
  corrections: Corrections,
  halves = NO_HALVES,
): Shader => {
  const pass = program.passes[index]!;
  const { nodes } = pass;
  const isSum = pass.sums.length > 0;
  const usesConstants = nodes.some((node) => node.kind === "uniform" && !isKnown(program, program.uniforms[node.uniform]!));
  const arrays = new PassArrays(program, pass, width, halves);
  const limits = limitsOf(pass);
  const uniforms = nodes.flatMap((node, i) => {
    if (node.kind !== "uniform") return [];
    const limit = limits.has(i) ? [`let limit${i} = limitOf(n${i});`] : [];
    return [`let n${i} = Bits(${uniformText(program, node.uniform)});`, ...limit];
  });
  const values = nodes.flatMap((node, i) => {
    if (node.kind === "uniform") return [];
    if (node.kind === "load") return [`let n${i} = ${arrays.loaded(node.buffer)};`];
    return [`let n${i} = ${operationText(node, nodes)};`];
  });
  const loop = [...arrays.words, ...values, ...arrays.written];
  const text = `
${header(isSum ? "read_write" : usesConstants ? "read" : "none")}
${arithmetic(width, corrections)}
${halves.gradient ? WIDENED + (width === 4 ? UNPACKED : "") : ""}
${arrays.copied === null ? "" : NARROWED + PACKED}
${halves.pairs.size > 0 ? PAIRS : ""}
${arrays.declarations.join("\n")}
${isSum ? INTEGERS + joiningSums(pass.sums.length) + SQUARES : ""}
${MAIN}
  if (workgroup >= dispatch.count) { return; }
${unitText(isSum ? "span" : "tile", width)}
  ${arrays.places.join("\n  ")}
  ${uniforms.join("\n  ")}
  ${
    isSum
      ? sumsText(pass.sums, index * sums, sums, width, loop)
      : `for (var k = thread; k < end; k += ${THREADS}u) {
    ${loop.join("\n    ")}
  }`
  }
}
`;
  return { text, usesTotals: isSum || usesConstants, arrays: arrays.names };
};

/** Copies values to float16 that do not lie on 16 bytes: a thread takes two elements at a time. */
export const compileNarrow = (): Shader => ({
  text: `
${header("none")}
${arithmetic(1, { quotient: false, root: false })}
${NARROWED}
@group(0) @binding(${BINDING.arrays}) var<storage, read> value: array<u32>;
@group(0) @binding(${BINDING.arrays + 1}) var<storage, read_write> half: array<u32>;
${MAIN}
  if (workgroup >= dispatch.count) { return; }
  let tile = dispatch.first + workgroup;
  let place = placeOf(table[dispatch.listAt + tile]);
  let length = table[place + ${partWord("length")}];
  let begin = (tile - table[place + ${partWord("firstTile")}]) * ${TILE}u;
  let end = min(begin + ${TILE}u, length);
  let wAt = table[place + ${partWord("w")}];
  let stateAt = table[place + ${partWord("state")}];
  for (var k = begin + 2u * thread; k < end; k += ${2 * THREADS}u) {
    half[(stateAt + k) >> 1u] = narrowed(value[wAt + k]) | (narrowed(value[wAt + k + 1u]) << 16u);
  }
}
`,
  usesTotals: false,
  arrays: ["w", "half"],
});

const nameOf = (node: number): string => `n${node}`;

const operationText = ({ operation, inputs }: OperationNode, nodes: readonly Node[]): string => {
  const names = inputs.map(nameOf);
  if (operation === "flush") {
    const limit = inputs[1]!;
    names[1] = nodes[limit]!.kind === "uniform" ? `limit${limit}` : `limitOf(n${limit})`;
  }
  return operate(operation, names, (place) => isClear(inputs[place]!, nodes));
};

/** The nodes below whose size something is flushed. */
const limitsOf = ({ nodes }: Pass): Set<number> =>
  new Set(nodes.flatMap((node) => (node.kind === "operation" && node.operation === "flush" ? [node.inputs[1]!] : [])));

/** Whether the sign of a node is 0, also where it is NaN. */
const isClear = (place: number, nodes: readonly Node[]): boolean => {
  const node = nodes[place]!;
  if (node.kind !== "operation") return false;
  return node.operation === "abs" || (node.operation === "flush" && isClear(node.inputs[0]!, nodes));
};

const uniformText = (program: Program, uniform: number): string => {
  const place = program.uniforms[uniform]!;
  return isKnown(program, place) ? knownAt(program, place) : constantAt(program, place);
};

/** What a workgroup works on: its place in the table, where it begins in its part, in elements that lie side by side, and how many there are. */
const unitText = (unit: "tile" | "span", width: Width): string => {
  const elements = (unit === "tile" ? TILE : SPAN) / width;
  return `
  let unit = dispatch.first + workgroup;
  let part = table[dispatch.listAt + unit];
  let place = placeOf(part);
  let length = table[place + ${partWord("length")}];
  let begin = (unit - table[place + ${partWord(unit === "tile" ? "firstTile" : "firstSpan")}]) * ${elements}u;
  let end = min(${elements}u, (length + ${width - 1}u) / ${width}u - begin);`;
};

/** Adds up the squares of a span, tile after tile, while `values` are computed. What lies behind the end of the part counts as 0; so does what is not
 *  there of a tile, for which `kept` is emptied by an assignment: a declaration in the loop was seen to empty it only once (Tint, SwiftShader). The
 *  sums of a part that is one span are the part's. */
const sumsText = (nodes: readonly number[], first: number, stride: number, width: Width, values: readonly string[]): string => {
  const each = (text: (sum: number, node: number) => string): string => nodes.map((node, sum) => text(sum, node)).join("\n    ");
  const isInside = "vec4(0, 1, 2, 3) < vec4(i32(length - 4u * (begin + k)))";
  const magnitude = (node: number) =>
    width === 4 ? `select(Bits(0u), n${node} & MAGNITUDE, ${isInside})` : `n${node} & MAGNITUDE`;
  const turn = `(k / ${THREADS}u) & ${VECTORS - 1}u`;
  const place = width === 4 ? turn : `(k / ${4 * THREADS}u) & ${VECTORS - 1}u][(k / ${THREADS}u) & 3u`;
  return `
  ${each((sum) => `var own${sum} = Sum(); var kept${sum}: Kept; var largest${sum}: Bits;`)}
  for (var tile = 0u; tile < end; tile += ${TILE / width}u) {
    ${each((sum) => `kept${sum} = Kept(); largest${sum} = Bits(0u);`)}
    for (var k = tile + thread; k < min(end, tile + ${TILE / width}u); k += ${THREADS}u) {
      ${values.join("\n      ")}
      ${each((sum, node) => `let magnitude${sum} = ${magnitude(node)};`)}
      ${each((sum) => `kept${sum}[${place}] = magnitude${sum};`)}
      ${each((sum) => `largest${sum} = max(largest${sum}, magnitude${sum});`)}
    }
    ${each((sum) => `own${sum} = join(own${sum}, sumOfSquares(${width === 4 ? `largestOf(largest${sum})` : `largest${sum}`}, &kept${sum}));`)}
  }
  ${each((sum) => `let total${sum} = joined(${sum}u, own${sum});`)}
  if (thread == 0u) {
    let at = select(unit * ${stride}u, partSumsOf(part) + ${first}u, length <= ${SPAN}u);
    ${each((sum) => `totals[at + ${sum}u] = total${sum};`)}
  }`;
};
