/** What follows from norms, computed between two passes without reading anything back: one shader joins the sums of parts that have several
 *  spans, another evaluates the scalars of a program for each part. */

import type { Program } from "../../rule/program.js";
import { constantAt, constants, header, isKnown, knownAt, MAIN, partWord, type Shader, SPAN } from "./layout.js";
import { joiningSums, THREADS, WIDE_SUMS } from "./norms.js";
import { INTEGERS, operateWide, WIDE } from "./wide.js";

/** After pass `pass`, of which a span has `sums` sums: a workgroup for each of the parts that are listed. */
export const compileJoin = (pass: number, sums: number): Shader => ({
  text: `
${header("read_write")}
${INTEGERS}
${joiningSums(sums)}
${MAIN}
  if (workgroup >= dispatch.count) { return; }
  let part = table[dispatch.listAt + dispatch.first + workgroup];
  let place = placeOf(part);
  let first = table[place + ${partWord("firstSpan")}];
  let spans = (table[place + ${partWord("length")}] + ${SPAN - 1}u) / ${SPAN}u;
  for (var sum = 0u; sum < ${sums}u; sum++) {
    var own = Sum();
    for (var span = thread; span < spans; span += ${THREADS}u) { own = join(own, totals[(first + span) * ${sums}u + sum]); }
    let total = joined(sum, own);
    if (thread == 0u) { totals[partSumsOf(part) + ${pass * sums}u + sum] = total; }
  }
}
`,
  usesTotals: true,
  arrays: [],
});

/** Before pass `stage`: a thread for each part, which evaluates the scalars that have become known. Null when no element meets any of them. */
export const compileScalars = (program: Program, stage: number, sums: number): Shader | null => {
  const { scalars } = program;
  const wanted = constants(program).filter((place) => scalars[place]!.stage === stage);
  if (wanted.length === 0) return null;
  const needed = neededFor(program, wanted);
  // Not by their places: programs that differ in something else have the same text.
  const numberOf = (place: number): number => needed.indexOf(place);
  const nameOf = (place: number): string => `s${numberOf(place)}`;
  const sumAt = (part: string, place: number): string => {
    const { pass, sum } = scalars[place] as { pass: number; sum: number };
    return `totals[partSumsOf(${part}) + ${pass * sums + sum}u]`;
  };
  const ofModel = needed.filter((place) => {
    const scalar = scalars[place]!;
    return scalar.kind === "norm" && scalar.scope === "model";
  });
  const evaluated = needed.flatMap((place) => {
    const scalar = scalars[place]!;
    const value = `let ${nameOf(place)} =`;
    if (isKnown(program, place)) return [`${value} wideOf(${knownAt(program, place)});`];
    if (scalar.kind === "operation") return [`${value} ${operateWide(scalar.operation, scalar.inputs.map(nameOf))};`];
    if (ofModel.includes(place)) return [`${value} wideRoot(wideOfSum(model${ofModel.indexOf(place)}));`];
    return [
      `var sum${numberOf(place)} = Sum();`,
      `for (var i = 0u; i < table[place + ${partWord("siblings")}]; i++) {`,
      `  sum${numberOf(place)} = join(sum${numberOf(place)}, ${sumAt(`table[place + ${partWord("firstSibling")}] + i`, place)});`,
      "}",
      `${value} wideRoot(wideOfSum(sum${numberOf(place)}));`,
    ];
  });
  const text = `
${header("read_write")}
${INTEGERS}
${joiningSums(Math.max(1, ofModel.length))}
${WIDE}
${WIDE_SUMS}
${MAIN}
  ${ofModel.flatMap((place, number) => joinModel(number, sumAt("i", place))).join("\n  ")}
  let index = workgroup * ${THREADS}u + thread;
  if (index >= dispatch.count) { return; }
  let part = dispatch.first + index;
  let place = placeOf(part);
  _ = table[place]; // what a shader does not name cannot be bound to it
  ${evaluated.join("\n  ")}
  ${wanted.map((place) => `${constantAt(program, place)} = narrow(${nameOf(place)});`).join("\n  ")}
}
`;
  return { text, usesTotals: true, arrays: [] };
};

/** Every workgroup adds the sums of all parts: fewer dispatches, and far less than a pass reads. */
const joinModel = (number: number, sum: string): string[] => [
  `var own${number} = Sum();`,
  `for (var i = thread; i < dispatch.allParts; i += ${THREADS}u) { own${number} = join(own${number}, ${sum}); }`,
  `let model${number} = joined(${number}u, own${number});`,
];

/** The scalars that are needed to evaluate the `wanted` ones, in an order in which each can be evaluated. */
const neededFor = ({ scalars }: Program, wanted: readonly number[]): number[] => {
  const needed = new Set<number>();
  const need = (place: number): void => {
    const scalar = scalars[place]!;
    if (scalar.kind === "operation" && scalar.stage > 0) scalar.inputs.forEach(need);
    needed.add(place);
  };
  wanted.forEach(need);
  return [...needed];
};
