/** Does a step allocate? Heap and memory of the process over 100 000 steps of a small model. */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { AdamaxOptions } from "adamax";
import type { Answer, Row } from "./report.js";
import { build } from "./sides/adamax.js";

const STEPS = 100_000;
const CASES: Readonly<Record<string, AdamaxOptions>> = {
  plain: {},
  "average and globalClipnorm": { useEma: true, globalClipnorm: 1 },
  "average and clipnorm": { useEma: true, clipnorm: 1 },
};

export const memory = async (): Promise<Answer> => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const rows: Row[] = [];
  for (const [name, options] of Object.entries(CASES)) {
    const { optimizer, step } = build({ tensors: 10, size: 100 }, options);
    for (let k = 0; k < 5000; k++) step();
    collect();
    const before = process.memoryUsage();
    for (let k = 0; k < STEPS; k++) step();
    collect();
    const after = process.memoryUsage();
    for (let k = 0; k < 1000; k++) step();
    const garbage = (process.memoryUsage().heapUsed - after.heapUsed) / 1000; // too few steps for a collection to come in between
    optimizer.dispose();
    const row = (ratio: string, amount: number, target?: Row["target"], note = ""): Row => ({
      of: `10 x 100, ${name}`,
      ratio,
      value: { low: amount, median: amount, high: amount },
      ...(target ? { target } : {}),
      unit: "bytes",
      note,
    });
    rows.push(
      row(
        "heap after - before",
        after.heapUsed - before.heapUsed,
        { atMost: 100_000 },
        `before: ${before.heapUsed}, after: ${after.heapUsed}`,
      ),
      row(
        "process after - before",
        after.rss - before.rss,
        { atMost: 4 * 2 ** 20 },
        `before: ${before.rss}, after: ${after.rss}`,
      ),
      row("garbage in one step", garbage),
    );
  }
  return {
    question: "memory",
    title: `Memory over ${STEPS.toLocaleString("en")} steps`,
    rows,
    lines: [],
    notes: ["Heap is measured after a full collection, before and after the steps."],
  };
};
