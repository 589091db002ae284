/** What TensorFlow.js logs of an epoch is of this rank's part of the data. Made that of all, so that callbacks which decide by it (early stopping) decide
 *  alike everywhere, or some ranks would wait for others that have stopped. */

import { dispose, type Scalar } from "@tensorflow/tfjs-core";
import type { Ranks } from "../backend.js";

/** By name, numbers or scalars, as the list of callbacks hands them from one to the next. */
export type Logs = Record<string, number | Scalar>;

const isOfValidation = (name: string): boolean => name.startsWith("val_");

/** In the place of this rank's numbers, the means over all ranks, weighted by the examples that each has trained in the epoch. Where only some ranks validate,
 *  what they find stays theirs. Every rank must call it. */
export const shareLogs = async (ranks: Ranks, logs: Logs, examples: number, label: string): Promise<void> => {
  const scalars = Object.entries(logs).filter((entry): entry is [string, Scalar] => typeof entry[1] !== "number");
  for (const [name, scalar] of scalars) logs[name] = (await scalar.data())[0]!;
  dispose(scalars.map(([, scalar]) => scalar));
  const names = Object.keys(logs).sort();
  const [trained, validated] = [names.filter((name) => !isOfValidation(name)), names.filter(isOfValidation)];
  const counts = await ranks.meet(label, 3, async () => [examples, trained.length, validated.length]);
  const isAlike = (i: number) => counts.every((count) => count[i] === counts[0]![i]);
  const shared = [...(isAlike(1) ? trained : []), ...(isAlike(2) ? validated : [])];
  const what = `${label}, ${shared.join(", ").replaceAll(":", " ")}`; // ranks that measure something else are in another call
  const told = await ranks.meet(what, shared.length, async () => shared.map((name) => logs[name] as number));
  const total = counts.reduce((sum, [examples]) => sum + examples!, 0);
  for (const [i, name] of shared.entries())
    logs[name] = told.reduce((sum, numbers, r) => (counts[r]![0]! > 0 ? sum + (counts[r]![0]! / total) * numbers[i]! : sum), 0);
};
