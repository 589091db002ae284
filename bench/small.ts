/** How long does a step of a small model take, and where does the time go? */

import { type NearStep, WasmBackend } from "adamax";
import { inProcess, interleave, ratioOf, timeOf } from "./measure.js";
import { type Model, nameOf } from "./model.js";
import type { Answer, Row } from "./report.js";
import { build } from "./sides/adamax.js";
import { compileC, cSide } from "./sides/c.js";

const CASES: readonly { model: Model; target?: { atMost: number } }[] = [
  { model: { tensors: 1, size: 1 }, target: { atMost: 1 } },
  { model: { tensors: 10, size: 100 }, target: { atMost: 3 } },
  { model: { tensors: 100, size: 100 } },
];

/** Places variables as the wasm backend does, and makes no step. */
class IdleBackend extends WasmBackend {
  override compile(): NearStep {
    const nothing = () => {};
    return {
      passes: 0,
      begin: nothing,
      runPass: nothing,
      joinSums: nothing,
      end: nothing,
      blockSums: () => [],
    };
  }
}

export const small = async (): Promise<Answer> => {
  const rows: Row[] = [];
  const c = compileC();
  for (const { model, target } of CASES) {
    const ours = build(model);
    // The same work without what happens once per call: one tensor of the same length.
    const whole = build({ tensors: 1, size: model.tensors * model.size });
    const perCall = build({ tensors: 1, size: 1 });
    // What surrounds the backend: checks, the list of rows, the choice of a program.
    const idle = build(model, { backend: new IdleBackend() });
    const sides = [
      inProcess("applyGradients", ours.step),
      inProcess("one tensor of the same size", whole.step),
      inProcess("one scalar", perCall.step),
      inProcess("without the backend", idle.step),
      ...(typeof c === "string" ? [] : [cSide("C", c.path, "adamax", model)]),
    ];
    const measurement = await interleave(sides, { seconds: 4, mostRounds: 100 });
    for (const side of sides) await side.dispose?.();
    for (const { optimizer } of [ours, whole, perCall, idle]) optimizer.dispose();
    const { low, median, high } = timeOf(measurement, "applyGradients");
    rows.push({
      of: nameOf(model),
      ratio: "applyGradients, whole",
      value: { low: low / 1000, median: median / 1000, high: high / 1000 },
      unit: "µs",
      ...(target ? { target } : {}),
    });
    for (const part of measurement.names.slice(1))
      rows.push({
        of: nameOf(model),
        ratio: `${part} / whole`,
        value: ratioOf(measurement, part, "applyGradients"),
        note: `${(timeOf(measurement, part).median / 1000).toPrecision(3)} µs`,
      });
  }
  return {
    question: "small",
    title: "Small models: microseconds for one applyGradients, and shares of it",
    rows,
    lines: [],
    notes: [
      ...(typeof c === "string" ? [c] : []),
      "Adopted variables and gradients, checks included. 'without the backend': the same call to a backend that does nothing.",
    ],
  };
};
