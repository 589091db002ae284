/** Compiles the passes of step programs to WGSL, a shader each: a workgroup takes a tile of a part of a variable, as the table says, so that one
 *  dispatch serves any number of variables. */

import type { Pass, Program } from "../../rule/program.js";
import { arithmetic, type Corrections, operate, type Width } from "./arithmetic.js";
import { NARROWED, PACKED, UNPACKED, WIDENED } from "./halves.js";
import { BINDING, constantAt, header, isKnown, knownAt, MAIN, partWord, type Shader, TILE } from "./layout.js";
import { squaresOfTile, THREADS } from "./norms.js";
import { INTEGERS } from "./wide.js";

/** What arrays are made of where it is not float32. */
export interface Halves {
  /** The gradient is float16. */
  readonly gradient: boolean;
  /** The new value is also written as float16, to the array "half". Elements four at a time only. */
  readonly copy: boolean;
}
const NO_HALVES: Halves = { gradient: false, copy: false };

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
  const { nodes, stores } = pass;
  const isSum = pass.sums.length > 0;
  const usesConstants = nodes.some((node) => node.kind === "uniform" && !isKnown(program, program.uniforms[node.uniform]!));
  const arrays = touched(pass).map((buffer) => new BoundArray(program, buffer, width, halves.gradient));
  const arrayOf = (buffer: number): BoundArray => arrays.find((array) => array.buffer === buffer)!;

  const declarations = arrays.map((array, i) => {
    const access = stores.some(({ buffer }) => buffer === array.buffer) ? "read_write" : "read";
    const binding = `@group(0) @binding(${BINDING.arrays + i})`;
    return `${binding} var<storage, ${access}> ${array.name}: array<${array.type}>;`;
  });
  const newValue = stores.find(({ buffer }) => program.buffers[buffer] === "w");
  const copies = halves.copy && newValue !== undefined;
  if (copies)
    declarations.push(`@group(0) @binding(${BINDING.arrays + arrays.length}) var<storage, read_write> half: array<vec2<u32>>;`);
  const offsets = new Set([...arrays.map(({ offset }) => offset), ...(copies ? (["state"] as const) : [])]);
  const places = [...offsets].map((offset) => `let ${offset}At = table[place + ${partWord(offset)}] / ${width}u + begin;`);
  const uniforms = nodes.flatMap((node, i) =>
    node.kind === "uniform" ? [`let n${i} = Bits(${uniformText(program, node.uniform)});`] : [],
  );
  const values = nodes.flatMap((node, i) => {
    if (node.kind === "uniform") return [];
    if (node.kind === "load") return [`let n${i} = ${arrayOf(node.buffer).loaded};`];
    return [`let n${i} = ${operate(node.operation, node.inputs.map(nameOf))};`];
  });
  const written = stores.map(({ buffer, node }) => `${arrayOf(buffer).element} = n${node};`);
  if (copies) written.push(`half[stateAt + k] = packed(narrowed(n${newValue.node}));`);
  const kept = pass.sums.flatMap((node, sum) => keptText(sum, `n${node}`, width));

  const text = `
${header(isSum ? "read_write" : usesConstants ? "read" : "none")}
${arithmetic(width, corrections)}
${halves.gradient ? WIDENED + (width === 4 ? UNPACKED : "") : ""}
${copies ? NARROWED + PACKED : ""}
${declarations.join("\n")}
${isSum ? INTEGERS + squaresOfTile(pass.sums.length) : ""}
${MAIN}
  if (workgroup >= dispatch.count) { return; }
  let tile = dispatch.first + workgroup;
  let part = table[dispatch.listAt + tile];
  let place = placeOf(part);
  let length = table[place + ${partWord("length")}];
  let begin = (tile - table[place + ${partWord("firstTile")}]) * ${TILE / width}u;
  let end = min(${TILE / width}u, (length + ${width - 1}u) / ${width}u - begin);
  ${isSum ? pass.sums.map((_, sum) => `var kept${sum}: Kept; var largest${sum} = Bits(0u);`).join(" ") : "if (thread >= end) { return; }"}
  ${places.join("\n  ")}
  ${uniforms.join("\n  ")}
  for (var k = thread; k < end; k += ${THREADS}u) {
    ${[...values, ...written, ...kept].join("\n    ")}
  }
  ${isSum ? totalsText(pass.sums.length, index * sums, sums, width) : ""}
}
`;
  const names = arrays.map(({ buffer }) => program.buffers[buffer]!);
  return { text, usesTotals: isSum || usesConstants, arrays: copies ? [...names, "half"] : names };
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
  /** What the text of a shader calls its elements, and how they are loaded. */
  readonly type: string;
  readonly loaded: string;

  constructor(
    { buffers }: Program,
    readonly buffer: number,
    width: Width,
    gradientIsHalf: boolean,
  ) {
    const own = buffers[buffer]!;
    const isHalf = gradientIsHalf && own === "g";
    this.name = `array${buffer}_${own.replace(/[^A-Za-z0-9]/g, "_")}`; // a slot's name may be any text
    this.offset = own === "w" || own === "g" ? own : "state";
    this.type = !isHalf ? "Bits" : width === 4 ? "vec2<u32>" : "u32";
    if (!isHalf) this.loaded = this.element;
    else if (width === 4) this.loaded = `widened(unpacked(${this.element}))`;
    else this.loaded = `widened((${this.name}[(gAt + k) >> 1u] >> (((gAt + k) & 1u) * 16u)) & 0xffffu)`;
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

/** Keeps what is to be squared, without its sign. What lies behind the end of the part counts as 0. */
const keptText = (sum: number, value: string, width: Width): string[] => {
  const isInside = "vec4(4u * (begin + k)) + vec4(0u, 1u, 2u, 3u) < vec4(length)";
  const place = width === 4 ? `k / ${THREADS}u` : `k / ${4 * THREADS}u][(k / ${THREADS}u) & 3u`;
  return [
    `let magnitude${sum} = ${width === 4 ? `select(Bits(0u), ${value} & MAGNITUDE, ${isInside})` : `${value} & MAGNITUDE`};`,
    `kept${sum}[${place}] = magnitude${sum};`,
    `largest${sum} = max(largest${sum}, magnitude${sum});`,
  ];
};

/** Writes the sums of a tile; those of a part that is one tile are the part's. */
const totalsText = (own: number, first: number, stride: number, width: Width): string => {
  const sums = Array.from({ length: own }, (_, sum) => sum);
  const largest = (sum: number) => (width === 4 ? `largestOf(largest${sum})` : `largest${sum}`);
  return `
  ${sums.map((sum) => `let total${sum} = sumOfTile(${sum}u, ${largest(sum)}, &kept${sum});`).join("\n  ")}
  if (thread == 0u) {
    let at = select(tile * ${stride}u, partSumsOf(part) + ${first}u, length <= ${TILE}u);
    ${sums.map((sum) => `totals[at + ${sum}u] = total${sum};`).join("\n    ")}
  }`;
};
