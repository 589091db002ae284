/** Compiles step programs to WGSL. A pass is one shader: a workgroup takes a tile of one part of a variable, as the table of parts says
 *  (table.ts), so that one dispatch serves any number of variables. What follows from norms is computed between two passes, by two more
 *  shaders: one joins the sums of each part, one evaluates the scalars. */

import { BLOCK, type Node, type Pass, type Program } from "../../rule/program.js";
import { arithmetic, type Corrections, operate, type Width } from "./arithmetic.js";
import { SUMS, THREADS, WIDE_SUMS } from "./norms.js";
import { INTEGERS, operateWide, WIDE } from "./wide.js";

/** Elements of a variable that one workgroup works on. */
export const TILE = BLOCK;

/** What a dispatch is told, as words in this order. */
export const DISPATCH = [
  "zero", //           0, which no compiler knows
  "tiles", //          how many it works on,
  "firstTile", //      and the first of them, counted over the step
  "parts", //          likewise parts
  "firstPart",
  "allParts", //       of the step
  "partsAt", //        where in the table the parts begin,
  "tilesAt", //        and the numbers of the part to which each tile belongs
  "partSumsAt", //     where in the totals the sums of parts begin (those of tiles come first),
  "constantsAt", //    and what elements meet of the scalars that come from norms
  "sumsPerPart",
  "constantsPerPart",
] as const;

/** The words of a part in the table. */
export const PART = [
  "length", //         in elements
  "scalars", //        where in the table those of its class begin
  "firstTile",
  "firstSibling", //   the first of the parts that its variable consists of,
  "siblings", //       and how many those are
  "state", //          where it begins in its state arrays, in elements,
  "w", //              in the array of values,
  "g", //              and in that of gradients
] as const;

/** A shader, and what it has to be given: 0 is what the dispatch is told, 1 the table. */
export interface Shader {
  readonly text: string;
  /** Whether 2 is the totals. */
  readonly usesTotals: boolean;
  /** Arrays of the variables, from 3 on. */
  readonly arrays: readonly string[];
}

/** Where a program finds its scalars: those known before the step lie in the table, those that come from norms in the totals. */
export const known = ({ scalars }: Program): number[] => scalars.flatMap(({ stage }, place) => (stage === 0 ? [place] : []));
export const constants = ({ scalars, uniforms }: Program): number[] => uniforms.filter((place) => scalars[place]!.stage > 0);

const MAIN = `@compute @workgroup_size(${THREADS})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let workgroup = group.x + group.y * groups.x;`;

const header = (totals: "none" | "read" | "read_write"): string => `
struct Dispatch { ${DISPATCH.map((name) => `${name}: u32`).join(", ")} }
@group(0) @binding(0) var<uniform> dispatch: Dispatch;
@group(0) @binding(1) var<storage, read> table: array<u32>;
${totals === "none" ? "" : `@group(0) @binding(2) var<storage, ${totals}> totals: array<vec4<u32>>;`}
fn zero() -> u32 { return dispatch.zero; }
${PART.map((name, word) => `const ${partWord(name)} = ${word}u;`).join(" ")}
fn placeOf(part: u32) -> u32 { return dispatch.partsAt + ${PART.length}u * part; }
`;

/** The name of a part's word in shaders. */
const partWord = (name: (typeof PART)[number]): string => `PART_${name.toUpperCase()}`;

/** `sums`: how many each pass of the step writes for a tile at most. */
export const compilePass = (program: Program, pass: number, width: Width, sums: number, corrections: Corrections): Shader => {
  const { nodes, stores, sums: summed } = program.passes[pass]!;
  const buffers = touched(program.passes[pass]!);
  const stored = new Set(stores.map(({ buffer }) => buffer));
  const usesConstants = nodes.some(
    (node) => node.kind === "uniform" && program.scalars[program.uniforms[node.uniform]!]!.stage > 0,
  );
  const isWritten = summed.length > 0;
  const element = width === 4 ? "vec4<u32>" : "u32";
  const declared = buffers.map(
    (buffer, i) =>
      `@group(0) @binding(${3 + i}) var<storage, ${stored.has(buffer) ? "read_write" : "read"}> ${arrayOf(program, buffer)}: array<${element}>;`,
  );
  const places = [...new Set(buffers.map((buffer) => offsetOf(program, buffer)))];
  const text = `
${header(isWritten ? "read_write" : usesConstants ? "read" : "none")}
${declared.join("\n")}
${arithmetic(width, corrections)}
${isWritten ? INTEGERS + SUMS : ""}
${MAIN}
  if (workgroup >= dispatch.tiles) { return; }
  let tile = dispatch.firstTile + workgroup;
  let part = table[dispatch.tilesAt + tile];
  let place = placeOf(part);
  let length = table[place + PART_LENGTH];
  let begin = (tile - table[place + PART_FIRSTTILE]) * ${TILE / width}u;
  let end = min(${TILE / width}u, (length + ${width - 1}u) / ${width}u - begin);
  ${places.map((word) => `let ${atOf(word)} = table[place + ${partWord(word)}] / ${width}u + begin;`).join("\n  ")}
  ${nodes.flatMap((node, i) => (node.kind === "uniform" ? [`let n${i} = Bits(${uniformText(program, node.uniform)});`] : [])).join("\n  ")}
  ${summed.map((_, sum) => `var sum${sum} = Sum();`).join(" ")}
  for (var k = thread; k < end; k += ${THREADS}u) {
    ${nodes.flatMap((node, i) => (node.kind === "uniform" ? [] : [`let n${i} = ${nodeText(program, node)};`])).join("\n    ")}
    ${stores.map(({ buffer, node }) => `${arrayOf(program, buffer)}[${atOf(offsetOf(program, buffer))} + k] = n${node};`).join("\n    ")}
    ${summed.map((node, sum) => `sum${sum} = join(sum${sum}, squares(${fourOf(`n${node}`, width)}));`).join("\n    ")}
  }
  ${summed.map((_, sum) => `let total${sum} = joined(sum${sum}, thread);`).join("\n  ")}
  ${isWritten ? `if (thread == 0u) { ${summed.map((_, sum) => `totals[tile * ${sums}u + ${sum}u] = total${sum};`).join(" ")} }` : ""}
}
`;
  return { text, usesTotals: isWritten || usesConstants, arrays: buffers.map((buffer) => program.buffers[buffer]!) };
};

/** The arrays that a pass touches, by their place in the program. */
const touched = ({ nodes, stores }: Pass): number[] => {
  const loaded = nodes.flatMap((node) => (node.kind === "load" ? [node.buffer] : []));
  return [...new Set([...loaded, ...stores.map(({ buffer }) => buffer)])].sort((a, b) => a - b);
};

/** Names of arrays are those of slots, which may be any text. */
const arrayOf = ({ buffers }: Program, buffer: number): string => `array${buffer}_${buffers[buffer]!.replace(/\W/g, "_")}`;
/** The word of a part that says where it begins in this array. */
const offsetOf = ({ buffers }: Program, buffer: number): "w" | "g" | "state" => {
  const name = buffers[buffer]!;
  return name === "w" || name === "g" ? name : "state";
};
const atOf = (word: "w" | "g" | "state"): string => `${word}At`;

const uniformText = (program: Program, uniform: number): string => {
  const place = program.uniforms[uniform]!;
  if (program.scalars[place]!.stage === 0) return `table[table[place + PART_SCALARS] + ${known(program).indexOf(place)}u]`;
  const constant = constants(program).indexOf(place);
  return `totals[dispatch.constantsAt + part * dispatch.constantsPerPart + ${constant >> 2}u][${constant & 3}]`;
};

const nodeText = (program: Program, node: Exclude<Node, { kind: "uniform" }>): string =>
  node.kind === "load"
    ? `${arrayOf(program, node.buffer)}[${atOf(offsetOf(program, node.buffer))} + k]`
    : operate(
        node.operation,
        node.inputs.map((input) => `n${input}`),
      );

/** Elements to be squared; what lies behind the end of the part counts as 0. */
const fourOf = (value: string, width: Width): string =>
  width === 1
    ? `vec4(${value}, 0u, 0u, 0u)`
    : `select(vec4(0u), ${value}, vec4(4u * (begin + k)) + vec4(0u, 1u, 2u, 3u) < vec4(length))`;

/** After a pass: a workgroup for each part, which joins the sums of its tiles. */
export const compileJoin = (pass: number, sums: number): Shader => ({
  text: `
${header("read_write")}
${INTEGERS}
${SUMS}
${MAIN}
  if (workgroup >= dispatch.allParts) { return; }
  let place = placeOf(workgroup);
  let first = table[place + PART_FIRSTTILE];
  let tiles = (table[place + PART_LENGTH] + ${TILE - 1}u) / ${TILE}u;
  for (var sum = 0u; sum < ${sums}u; sum++) {
    var own = Sum();
    for (var tile = thread; tile < tiles; tile += ${THREADS}u) { own = join(own, totals[(first + tile) * ${sums}u + sum]); }
    let total = joined(own, thread);
    if (thread == 0u) { totals[dispatch.partSumsAt + workgroup * dispatch.sumsPerPart + ${pass * sums}u + sum] = total; }
  }
}
`,
  usesTotals: true,
  arrays: [],
});

/** Before pass `stage`: a thread for each part of a program's variables, which evaluates the scalars that became known by the pass before. Null
 *  when no element meets such a scalar. */
export const compileScalars = (program: Program, stage: number, sums: number): Shader | null => {
  const { scalars } = program;
  const wanted = constants(program).filter((place) => scalars[place]!.stage === stage);
  if (wanted.length === 0) return null;
  const ofModel: string[] = [];
  const ofParts: string[] = [];
  const written = new Set<number>();
  const need = (place: number): void => {
    if (written.has(place)) return;
    written.add(place);
    const scalar = scalars[place]!;
    const name = `s${place}`;
    if (scalar.stage === 0)
      ofParts.push(`let ${name} = wideOf(table[table[place + PART_SCALARS] + ${known(program).indexOf(place)}u]);`);
    else if (scalar.kind === "norm") {
      const of = (part: string): string =>
        `totals[dispatch.partSumsAt + (${part}) * dispatch.sumsPerPart + ${scalar.pass * sums + scalar.sum}u]`;
      if (scalar.scope === "model")
        ofModel.push(
          `var own${place} = Sum();`,
          `for (var i = thread; i < dispatch.allParts; i += ${THREADS}u) { own${place} = join(own${place}, ${of("i")}); }`,
          `let model${place} = joined(own${place}, thread);`,
        );
      else
        ofParts.push(
          `var sum${place} = Sum();`,
          `for (var i = 0u; i < table[place + PART_SIBLINGS]; i++) {`,
          `  sum${place} = join(sum${place}, ${of("table[place + PART_FIRSTSIBLING] + i")});`,
          "}",
        );
      ofParts.push(`let ${name} = wideRoot(wideOfSum(${scalar.scope === "model" ? "model" : "sum"}${place}));`);
    } else if (scalar.kind === "operation") {
      scalar.inputs.forEach(need);
      const inputs = scalar.inputs.map((input) => `s${input}`);
      ofParts.push(`let ${name} = ${operateWide(scalar.operation, inputs)};`);
    }
  };
  wanted.forEach(need);
  const stores = wanted.map((place) => {
    const constant = constants(program).indexOf(place);
    return `totals[constantsAt + ${constant >> 2}u][${constant & 3}] = narrow(s${place});`;
  });
  const text = `
${header("read_write")}
${INTEGERS}
${SUMS}
${WIDE}
${WIDE_SUMS}
${MAIN}
  ${ofModel.join("\n  ")}
  let index = workgroup * ${THREADS}u + thread;
  if (index >= dispatch.parts) { return; }
  let part = dispatch.firstPart + index;
  let place = placeOf(part);
  let constantsAt = dispatch.constantsAt + part * dispatch.constantsPerPart;
  ${ofParts.join("\n  ")}
  ${stores.join("\n  ")}
}
`;
  return { text, usesTotals: true, arrays: [] };
};
