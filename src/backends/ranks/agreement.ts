/** Whether all ranks do the same: a checksum is compared, and only where it differs are words exchanged, to say what. */

import { OptionError } from "../../errors.js";
import type { Exchange } from "./exchange.js";
import type { Refusals } from "./refusals.js";

/** What must be the same on every rank, by name. */
export type Facts = Readonly<Record<string, unknown>>;

/** A sum with one whole number more (FNV-1a). */
export const mixed = (sum: number, next: number): number => Math.imul(sum ^ next, 0x01000193) >>> 0;

/** A whole number that stands for a text. */
export const checksum = (text: string): number => {
  let sum = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) sum = mixed(sum, text.charCodeAt(i));
  return sum;
};

const SHOWN = 120;
const brief = (value: unknown): string => {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}...` : text;
};

/** `count`: of the numbers that ranks compare.
 *  @throws OptionError, on every rank, where a fact is not the same on all: the first that differs, and on which rank. */
export const agree = (exchange: Exchange, refusals: Refusals, count: number, what: string, facts: Facts): void => {
  const text = JSON.stringify({ ...facts, compared: what });
  const own = new Float64Array(count);
  own.set([checksum(text), text.length]);
  const sums = refusals.compare(own, `these ${what}`, what);
  const [[first, length]] = sums as [Float64Array, ...Float64Array[]] & [[number, number]];
  if (sums.every(([sum, size]) => sum === first && size === length)) return;
  refuseDifference(exchange, what, what, text);
};

/** Names what differs: called by all ranks, with their facts. `call`: which one this rank is in. */
export const refuseDifference = (exchange: Exchange, what: string, call: string, facts: string): never => {
  const [mine, ...others] = exchange.gatherTexts(facts, call).map((text) => JSON.parse(text) as Facts) as [Facts, ...Facts[]];
  for (const [i, other] of others.entries())
    for (const name of new Set([...Object.keys(mine), ...Object.keys(other)]))
      if (JSON.stringify(mine[name]) !== JSON.stringify(other[name])) {
        const [here, there] = difference(mine[name], other[name]);
        throw new OptionError(
          `Every rank must have the same ${what}`,
          `${name}${here.at}: ${brief(here.value)} on rank 0, ${brief(there.value)} on rank ${i + 1}`,
          "Run the same program on each, with the same options and the same variables in the same order.",
        );
      }
  throw new OptionError(`Every rank must have the same ${what}`, "checksums that differ", "Run the same program on each.");
};

/** Of two lists, the first element that differs. */
const difference = (here: unknown, there: unknown) => {
  if (Array.isArray(here) && Array.isArray(there)) {
    const i = here.findIndex((value, i) => JSON.stringify(value) !== JSON.stringify(there[i]));
    const at = i < 0 ? here.length : i;
    return [
      { at: ` ${at}`, value: here[at] },
      { at: ` ${at}`, value: there[at] },
    ] as const;
  }
  return [
    { at: "", value: here },
    { at: "", value: there },
  ] as const;
};
