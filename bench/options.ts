/** What do the options cost, over the plain step? */

import type { AdamaxOptions } from "adamax";
import { interleave, ratioOf, timeOf } from "./measure.js";
import { nameOf } from "./model.js";
import type { Answer, Row } from "./report.js";
import { adamax, type Kind } from "./sides/adamax.js";

interface Case {
  readonly name: string;
  readonly options: AdamaxOptions;
  readonly kind?: Kind;
  readonly atMost?: Readonly<Record<number, number>>;
}

const CASES: readonly Case[] = [
  {
    name: "everything on",
    options: { useEma: true, weightDecay: 0.004, clipvalue: 0.4, lossScaleFactor: 1024 },
    atMost: { 1e6: 1.6, 1e7: 1.35 },
  },
  { name: "globalClipnorm", options: { globalClipnorm: 1 }, atMost: { 1e6: 1.45, 1e7: 1.45 } },
  { name: "clipnorm", options: { clipnorm: 1 } },
  { name: "useEma", options: { useEma: true } },
  { name: "weightDecay", options: { weightDecay: 0.004 } },
  { name: "clipvalue", options: { clipvalue: 0.4 } },
  { name: "lossScaleFactor 1024", options: { lossScaleFactor: 1024 } },
  { name: "lossScaleFactor 1000", options: { lossScaleFactor: 1000 } },
  { name: "foreign gradients", options: {}, kind: { ownGradients: false } },
  { name: "foreign variables", options: {}, kind: { adopt: false } },
  { name: "both foreign", options: {}, kind: { adopt: false, ownGradients: false } },
];

export const options = async (): Promise<Answer> => {
  const rows: Row[] = [];
  for (const size of [1e5, 1e6, 1e7]) {
    const model = { tensors: 1, size };
    const sides = [adamax("plain", model), ...CASES.map(({ name, options, kind }) => adamax(name, model, options, kind))];
    const measurement = await interleave(sides, { seconds: 15, mostRounds: 60 });
    for (const side of sides) await side.dispose?.();
    for (const { name, atMost } of CASES) {
      const limit = atMost?.[size];
      rows.push({
        of: nameOf(model),
        ratio: `${name} / plain`,
        value: ratioOf(measurement, name, "plain"),
        ...(limit === undefined ? {} : { target: { atMost: limit } }),
        note: `${(timeOf(measurement, name).median / 1000).toPrecision(3)} µs`,
      });
    }
  }
  return {
    question: "options",
    title: "Options: time of a step over the plain step",
    rows,
    lines: [],
    notes: [
      "Bytes moved per float32 parameter: plain 28, with a moving average 36, norms read the gradients once more (4).",
      "Foreign: arrays of the caller's, which pass through the backend's memory in chunks.",
    ],
  };
};
