/** `PYTHON=<interpreter> npm run bench python`: our step against the optimizers of Python. Asked by name only: it needs their packages. */

import { interleave, ratioOf, type Side, timeOf } from "./measure.js";
import { type Model, nameOf, parametersOf } from "./model.js";
import type { Answer, Line, Row } from "./report.js";
import { adamax } from "./sides/adamax.js";
import { compileC, cSide } from "./sides/c.js";
import { PEERS, pythonSide } from "./sides/python.js";

const MODELS: readonly Model[] = [...[1e3, 1e5, 1e6, 1e7].map((size) => ({ tensors: 1, size })), { tensors: 100, size: 1e4 }];
const OURS = "adamax wasm";

/** Time of a peer over ours, from 1e7 parameters up. Below 1e5, ten times all of them. */
const atLeast = (peer: string, parameters: number): number | null => {
  if (parameters < 1e5) return 10;
  if (parameters < 1e7) return null;
  if (peer === "PyTorch compiled") return 1;
  return peer.startsWith("PyTorch") ? 3.5 : 1.5;
};

export const python = async (): Promise<Answer> => {
  const interpreter = process.env.PYTHON ?? "python3";
  const c = compileC();
  const rows: Row[] = [];
  const lines = new Map<string, Line["points"][number][]>();
  const notes = new Set<string>(typeof c === "string" ? [c] : []);
  for (const model of MODELS) {
    const parameters = parametersOf(model);
    const sides: Side[] = [adamax(OURS, model)];
    if (typeof c !== "string") sides.push(cSide("C", c.path, "adamax", model));
    for (const peer of PEERS) {
      const made = await pythonSide(interpreter, peer, model);
      if (typeof made === "string") notes.add(made);
      else {
        sides.push(made.side);
        notes.add(`${peer}: ${made.version}`);
      }
    }
    const measurement = await interleave(sides, { seconds: 20, mostRounds: 40 });
    for (const side of sides) await side.dispose?.();
    for (const peer of measurement.names.slice(1)) {
      const target = peer === "C" ? null : atLeast(peer, parameters);
      rows.push({
        of: nameOf(model),
        ratio: `${peer} / ${OURS}`,
        value: ratioOf(measurement, peer, OURS),
        ...(target === null ? {} : { target: { atLeast: target } }),
        note: [
          `${(timeOf(measurement, peer).median / 1000).toPrecision(3)} µs`,
          ...(measurement.names.includes("C") ? [`${ratioOf(measurement, peer, "C").median.toPrecision(3)} of C's time`] : []),
        ].join(", "),
      });
    }
    if (model.tensors > 1) continue;
    for (const name of measurement.names) {
      const { low, median, high } = timeOf(measurement, name);
      const points = lines.get(name) ?? [];
      points.push({ parameters, time: { low: low / parameters, median: median / parameters, high: high / parameters } });
      lines.set(name, points);
    }
  }
  return {
    question: "python",
    title: "Python: time of the peer's step over ours (above 1: we are faster)",
    rows,
    lines: [...lines].map(([name, points]) => ({ name, points })),
    notes: ["One thread on every side, float32, gradients ready, results there when the time stops.", ...notes],
  };
};
