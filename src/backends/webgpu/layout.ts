/** What shaders and the code that feeds them agree on: the words that a dispatch is told, those of a part in the table, and where each array is
 *  bound. */

import { BLOCK, type Program } from "../../rule/program.js";
import { THREADS, TILES } from "./norms.js";

/** Elements of a variable that one workgroup works on. */
export const TILE = BLOCK;
/** Elements whose squares one workgroup adds up. */
export const SPAN = TILES * TILE;

/** What a dispatch is told. */
export const DISPATCH = [
  "zero", //             0, which no compiler knows
  "count", //            how many it works on: tiles, spans or parts,
  "first", //            and the first of them,
  "listAt", //           of a list of parts in the table, which begins here
  "allParts", //         parts in the step
  "partsAt", //          where in the table their words begin;
  "partSumsAt", //       where in the totals their sums begin (those of spans come first),
  "constantsAt", //      and the scalars that come from norms and meet elements,
  "sumsPerPart", //      as many of each as are said here
  "constantsPerPart",
] as const;
export type DispatchWords = Readonly<Record<(typeof DISPATCH)[number], number>>;

/** What the table says about a part of a variable. */
export const PART = [
  "length", //           in elements
  "scalars", //          where in the table those of its class begin
  "firstTile", //        of the tiles of all parts,
  "firstSpan", //        and of their spans
  "firstSibling", //     the first part of its variable,
  "siblings", //         and how many there are
  "state", //            where it begins in its state arrays, in elements,
  "w", //                in that of values,
  "g", //                and in that of gradients
  "element", //          what its random numbers begin with
] as const;
export type PartWords = Record<(typeof PART)[number], number>;

/** A shader. It is bound to what the dispatch is told, the table, the totals if it uses them, and then its arrays. */
export interface Shader {
  readonly text: string;
  readonly usesTotals: boolean;
  readonly arrays: readonly string[];
}
export const BINDING = { dispatch: 0, table: 1, totals: 2, arrays: 3 } as const;

/** Whether a scalar of a program is known before the step. Those lie in the table; what comes from norms and meets elements, in the totals. */
export const isKnown = ({ scalars }: Program, place: number): boolean => scalars[place]!.stage === 0;
/** The scalars in the table, and in the totals, in the order in which they lie there. First those that enter what comes from norms, then those of
 *  the first pass: so the shaders of both, which are the largest, are the same for whatever else a program does. */
export const known = (program: Program): number[] => {
  const entering = program.scalars.flatMap((scalar) => (scalar.kind === "operation" && scalar.stage > 0 ? scalar.inputs : []));
  return [...new Set([...entering, ...program.uniforms, ...program.scalars.keys()])].filter((place) => isKnown(program, place));
};
export const constants = (program: Program): number[] => program.uniforms.filter((place) => !isKnown(program, place));

/** A scalar in the text of a shader, for the part at hand: its bits. */
export const knownAt = (program: Program, place: number): string =>
  `table[table[place + ${partWord("scalars")}] + ${known(program).indexOf(place)}u]`;
export const constantAt = (program: Program, place: number): string => {
  const index = constants(program).indexOf(place);
  return `totals[constantsOf(part) + ${index >> 2}u][${index & 3}]`;
};

/** The name of a part's word in shaders. */
export const partWord = (name: (typeof PART)[number]): string => `PART_${name.toUpperCase()}`;

/** How every shader begins. */
export const header = (totals: "none" | "read" | "read_write"): string => `
struct Dispatch { ${DISPATCH.map((name) => `${name}: u32`).join(", ")} }
@group(0) @binding(${BINDING.dispatch}) var<uniform> dispatch: Dispatch;
@group(0) @binding(${BINDING.table}) var<storage, read> table: array<u32>;
${totals === "none" ? "" : `@group(0) @binding(${BINDING.totals}) var<storage, ${totals}> totals: array<vec4<u32>>;`}
fn zero() -> u32 { return dispatch.zero; }
${PART.map((name, word) => `const ${partWord(name)} = ${word}u;`).join(" ")}
fn placeOf(part: u32) -> u32 { return dispatch.partsAt + ${PART.length}u * part; }
fn partSumsOf(part: u32) -> u32 { return dispatch.partSumsAt + dispatch.sumsPerPart * part; }
fn constantsOf(part: u32) -> u32 { return dispatch.constantsAt + dispatch.constantsPerPart * part; }
`;

/** And how its main function does. There may be more workgroups than fit along one axis. */
export const MAIN = `@compute @workgroup_size(${THREADS})
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
) {
  let workgroup = group.x + group.y * groups.x;`;
