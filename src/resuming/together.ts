/** What goes wrong on one rank of a mesh goes wrong on all: else the others would wait for it. */

import type { Ranks } from "../backend.js";

/** Runs what every rank runs; when it throws on one, it throws on all. Between ranks, `work` must do the same until it throws. null: one machine. */
export const together = async <Result>(
  ranks: Ranks | null,
  label: string,
  work: () => Result | Promise<Result>,
): Promise<Result> => {
  if (!ranks) return work();
  let result: Result;
  await ranks.meet(label, 0, async () => {
    result = await work();
    return [];
  });
  return result!;
};
