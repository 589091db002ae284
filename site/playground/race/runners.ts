/** Who is in the picture: the contenders that are known by name, and the visitor's own rule. */

import type { Contender, Equation } from "./contenders.ts";
import { CONTENDERS, equationsOf } from "./contenders.ts";
import { OWN, type Race } from "./race.ts";
import type { Result, Track } from "./track.ts";

/** The rule that the visitor wrote, as far as it ran. */
export interface OwnRule {
  readonly name: string;
  readonly slots: readonly string[];
  readonly result: Result;
}

export interface Runner {
  readonly id: string;
  readonly name: string;
  readonly equations: readonly Equation[];
  readonly track: Track | null;
  readonly problem: string | null;
  readonly isHidden: boolean;
}

/** `asked`: how many of the contenders are asked for what they do, which takes time. */
export const runnersOf = ({ choices, results }: Race, own: OwnRule | null, asked: number): Runner[] => {
  const runner = ({ id, name, equations }: Pick<Contender, "id" | "name" | "equations">, result: Result | null): Runner => ({
    id,
    name,
    equations,
    track: result && "track" in result ? result.track : null,
    problem: result && "problem" in result ? result.problem : null,
    isHidden: choices.hidden.includes(id),
  });
  const named = (contender: Contender) =>
    contender.id === "adamax" && choices.chosen.name ? { ...contender, name: String(choices.chosen.name) } : contender;
  return [
    ...CONTENDERS.map((contender, i) => runner(named(contender), i < asked ? results.get(contender.id)!.value : null)),
    ...(own ? [runner({ id: OWN, name: own.name, equations: equationsOf(own.slots) }, own.result)] : []),
  ];
};

/** What is drawn at the end of a path, so that color is not all that tells them apart: around (0, 0), 10 wide. */
export const MARKS: Readonly<Record<string, string>> = {
  adamax: "M0-5.500A5.500 5.500 0 1 1 0 5.500A5.500 5.500 0 1 1 0-5.500Z",
  adam: "M-4.800-4.800H4.800V4.800H-4.800Z",
  sgd: "M0-6L5.800 4.500H-5.800Z",
  lion: "M0-6.500L6.500 0L0 6.500L-6.500 0Z",
  own: "M0-7L1.900-2.200L7-2.200L2.900 1L4.300 6L0 3L-4.300 6L-2.900 1L-7-2.200L-1.900-2.200Z",
};
