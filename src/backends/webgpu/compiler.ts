/** Compiles the passes of step programs to WGSL, a shader each: a workgroup takes a tile of a part of a variable, as the table says, so that one
 *  dispatch serves any number of variables. */

import type { Pass, Program } from "../../rule/program.js";
import { arithmetic, type Corrections, operate, type Width } from "./arithmetic.js";
import { BINDING, constantAt, header, isKnown, knownAt, MAIN, partWord, type Shader, TILE } from "./layout.js";
import { sumsOfSquares, THREADS } from "./norms.js";
import { INTEGERS } from "./wide.js";

/** `sums`: how many each pass of the step makes at most. */
export const compilePass = (program: Program, index: number, width: Width, sums: number, corrections: Corrections): Shader => {
  const pass = program.passes[index]!;
  const { nodes, stores } = pass;
  const isSum = pass.sums.length > 0;
  const usesConstants = nodes.some((node) => node.kind === "uniform" && !isKnown(program, program.uniforms[node.uniform]!));
  const arrays = touched(pass).map((buffer) => new BoundArray(program, buffer));
  const arrayOf = (buffer: number): BoundArray => arrays.find((array) => array.buffer === buffer)!;

  const declarations = arrays.map((array, i) => {
    const access = stores.some(({ buffer }) => buffer === array.buffer) ? "read_write" : "read";
    const binding = `@group(0) @binding(${BINDING.arrays + i})`;
    return `${binding} var<storage, ${access}> ${array.name}: array<Bits>;`;
  });
  const places = [...new Set(arrays.map(({ offset }) => offset))].map(
    (offset) => `let ${offset}At = table[place + ${partWord(offset)}] / ${width}u + begin;`,
  );
  const uniforms = nodes.flatMap((node, i) =>
    node.kind === "uniform" ? [`let n${i} = Bits(${uniformText(program, node.uniform)});`] : [],
  );
  const values = nodes.flatMap((node, i) => {
    if (node.kind === "uniform") return [];
    if (node.kind === "load") return [`let n${i} = ${arrayOf(node.buffer).element};`];
    return [`let n${i} = ${operate(node.operation, node.inputs.map(nameOf))};`];
  });
  const written = stores.map(({ buffer, node }) => `${arrayOf(buffer).element} = n${node};`);
  const added = pass.sums.map((node, sum) => `sum${sum} = join(sum${sum}, squares(${countedText(`n${node}`, width)}));`);

  const text = `
${header(isSum ? "read_write" : usesConstants ? "read" : "none")}
${arithmetic(width, corrections)}
${declarations.join("\n")}
${isSum ? INTEGERS + sumsOfSquares(pass.sums.length) : ""}
${MAIN}
  if (workgroup >= dispatch.count) { return; }
  let tile = dispatch.first + workgroup;
  let part = table[dispatch.listAt + tile];
  let place = placeOf(part);
  let length = table[place + ${partWord("length")}];
  let begin = (tile - table[place + ${partWord("firstTile")}]) * ${TILE / width}u;
  let end = min(${TILE / width}u, (length + ${width - 1}u) / ${width}u - begin);
  ${isSum ? pass.sums.map((_, sum) => `var sum${sum} = Sum();`).join(" ") : "if (thread >= end) { return; }"}
  ${places.join("\n  ")}
  ${uniforms.join("\n  ")}
  for (var k = thread; k < end; k += ${THREADS}u) {
    ${[...values, ...written, ...added].join("\n    ")}
  }
  ${isSum ? totalsText(pass.sums.length, index * sums, sums) : ""}
}
`;
  return { text, usesTotals: isSum || usesConstants, arrays: arrays.map(({ buffer }) => program.buffers[buffer]!) };
};

/** The arrays that a pass touches, by their place in the program. */
const touched = ({ nodes, stores }: Pass): number[] => {
  const loaded = nodes.flatMap((node) => (node.kind === "load" ? [node.buffer] : []));
  return [...new Set([...loaded, ...stores.map(({ buffer }) => buffer)])].sort((a, b) => a - b);
};

/** An array as the text of a shader names it. */
class BoundArray {
  readonly name: string;
  /** The word of a part that says where it begins. */
  readonly offset: "w" | "g" | "state";

  constructor(
    { buffers }: Program,
    readonly buffer: number,
  ) {
    const own = buffers[buffer]!;
    this.name = `array${buffer}_${own.replace(/[^A-Za-z0-9]/g, "_")}`; // a slot's name may be any text
    this.offset = own === "w" || own === "g" ? own : "state";
  }

  get element(): string {
    return `${this.name}[${this.offset}At + k]`;
  }
}

const nameOf = (node: number): string => `n${node}`;

const uniformText = (program: Program, uniform: number): string => {
  const place = program.uniforms[uniform]!;
  return isKnown(program, place) ? knownAt(program, place) : constantAt(program, place);
};

/** Elements to be squared. What lies behind the end of the part counts as 0. */
const countedText = (value: string, width: Width): string =>
  width === 1
    ? `vec4(${value}, 0u, 0u, 0u)`
    : `select(vec4(0u), ${value}, vec4(4u * (begin + k)) + vec4(0u, 1u, 2u, 3u) < vec4(length))`;

/** Writes the sums of a tile; those of a part that is one tile are the part's. */
const totalsText = (own: number, first: number, stride: number): string => {
  const sums = Array.from({ length: own }, (_, sum) => sum);
  return `
  ${sums.map((sum) => `let total${sum} = joined(${sum}u, sum${sum}, thread);`).join("\n  ")}
  if (thread == 0u) {
    let at = select(tile * ${stride}u, partSumsOf(part) + ${first}u, length <= ${TILE}u);
    ${sums.map((sum) => `totals[at + ${sum}u] = total${sum};`).join("\n    ")}
  }`;
};
