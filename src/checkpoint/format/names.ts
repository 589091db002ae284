/** Names of arrays in a file: no two are alike. */

import { CheckpointError, show } from "../../errors.js";

/** Gives names one after the other, each once: the first of a name keeps it, each other one gets the next number that is free. `numbered` says how
 *  the second of "w" is called; none gets a name of `reserved` but the first that is called so. Linear, however many are alike. */
export const namer = (numbered: (name: string, count: number) => string, reserved: Iterable<string> = []) => {
  const chosen = new Set(reserved);
  const given = new Set<string>();
  const counts = new Map<string, number>();
  return (name: string): string => {
    let free = name;
    for (let count = counts.get(name) ?? 2; given.has(free); count++) {
      const next = numbered(name, count);
      if (!chosen.has(next)) free = next;
      counts.set(name, count + 1);
    }
    given.add(free);
    return free;
  };
};

/** A name for each, in this order: those that are not the first of their name get their number, `w#2`. */
export const numbered = (names: readonly string[]): string[] => names.map(namer((name, count) => `${name}#${count}`, names));

/** @throws CheckpointError where two are alike: of two arrays of one name, a file would hold one. */
export const refuseTwice = (names: Iterable<string>, remedy = "Give each a name of its own."): void => {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) throw new CheckpointError("No two arrays of a file may have one name", `${show(name)} twice`, remedy);
    seen.add(name);
  }
};
