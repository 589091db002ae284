/** How far is a step from what memory allows, and from what a user could take instead? One thread everywhere, float32. */

import { interleave, type Measurement, type Quartiles, ratioOf, type Side, timeOf } from "./measure.js";
import { type Model, nameOf, parametersOf } from "./model.js";
import type { Answer, Line, Row } from "./report.js";
import { adamax } from "./sides/adamax.js";
import { type Compiled, compileC, cSide, sameBits } from "./sides/c.js";
import { jaxSide, tensorFlowSide } from "./sides/optional.js";

const MODELS: readonly Model[] = [
  ...[1e3, 1e4, 1e5, 1e6, 1e7].map((size) => ({ tensors: 1, size })),
  { tensors: 100, size: 1e4 },
];
const OURS = "adamax wasm";

/** Time of the other side over ours: above 1, we are faster. */
const TARGETS: readonly { side: string; model: string; atLeast: number }[] = [
  { side: "C", model: "1e5", atLeast: 0.5 },
  { side: "C", model: "1e6", atLeast: 0.92 },
  { side: "C", model: "1e7", atLeast: 0.92 },
  { side: "TensorFlow.js wasm", model: "1e7", atLeast: 9 },
  { side: "TensorFlow.js wasm", model: "100 x 1e4", atLeast: 30 },
];

export const step = async (): Promise<Answer> => {
  const c = compileC();
  const [tensorFlow, jax] = [await tensorFlowSide(), await jaxSide()];
  const there: Others = {
    c: typeof c === "string" ? null : c,
    tensorFlow: typeof tensorFlow === "string" ? null : tensorFlow,
    jax: typeof jax === "string" ? null : jax,
  };
  const rows: Row[] = [];
  const lines = new Map<string, Line["points"][number][]>();
  let disturbed = 0;
  for (const model of MODELS) {
    const measurement = await measure(model, there);
    disturbed += measurement.disturbed / MODELS.length;
    const [ours, ...others] = measurement.names;
    for (const side of others) rows.push(row(measurement, model, side, ours!));
    if (model.tensors > 1) continue;
    for (const side of measurement.names) {
      const points = lines.get(side) ?? [];
      points.push({ parameters: parametersOf(model), time: perParameter(timeOf(measurement, side), model) });
      lines.set(side, points);
    }
  }
  const same = typeof c === "string" ? null : await sameBits(c.path, { tensors: 3, size: 1003 }, 200);
  return {
    question: "step",
    title: "One step: time of the other side over ours (above 1: we are faster)",
    rows,
    lines: [...lines].map(([name, points]) => ({ name, points })),
    notes: [
      "One thread on every side (but for the row that says two), float32, variables and gradients where each side wants them, results there when the time stops.",
      typeof c === "string" ? c : `C: ${c.about}. After 200 steps, C and we hold the same bits: ${same ? "yes" : "NO"}.`,
      typeof tensorFlow === "string"
        ? tensorFlow
        : `TensorFlow.js ${tensorFlow.tensorFlowVersion}: optimizer.applyGradients with ready tensors.`,
      typeof jax === "string" ? jax : "jax-js: the rule under jit, wasm backend.",
      `Samples that others on this machine disturbed, after up to five tries: ${Math.round(disturbed * 100)} %. They count with their processor time.`,
    ],
  };
};

/** The other sides, as far as they are here. */
interface Others {
  readonly c: Compiled | null;
  readonly tensorFlow: typeof import("./sides/tensorflow.js") | null;
  readonly jax: typeof import("./sides/jax.js") | null;
}

const measure = async (model: Model, { c, tensorFlow: tf, jax }: Others): Promise<Measurement> => {
  const sides: Side[] = [adamax(OURS, model)];
  if (c) {
    sides.push(cSide("C", c.path, "adamax", model), cSide("C, stream", c.path, "stream", model));
    if (c.path128) sides.push(cSide("C, 128-bit vectors", c.path128, "adamax", model));
    if (parametersOf(model) >= 1e5) sides.push(cSide("C, two threads", c.path, "adamax", model, 2));
  }
  if (tf)
    sides.push(await tf.tensorFlow("TensorFlow.js wasm", "wasm", model), await tf.tensorFlow("TensorFlow.js cpu", "cpu", model));
  if (jax) sides.push(await jax.jax("jax-js wasm", model));
  sides.push(adamax("adamax interpreter", model, { backend: "interpreter" }));
  const measurement = await interleave(sides, { seconds: 10, mostRounds: 60 });
  for (const side of sides) await side.dispose?.();
  return measurement;
};

const row = (measurement: Measurement, model: Model, side: string, ours: string): Row => {
  const target = TARGETS.find((target) => target.side === side && target.model === nameOf(model));
  const microseconds = timeOf(measurement, side).median / 1000;
  const own = timeOf(measurement, ours).median / 1000;
  return {
    of: nameOf(model),
    ratio: `${side} / ${ours}`,
    value: ratioOf(measurement, side, ours),
    ...(target ? { target: { atLeast: target.atLeast } } : {}),
    note: `${microseconds.toPrecision(3)} µs / ${own.toPrecision(3)} µs`,
  };
};

const perParameter = ({ low, median, high }: Quartiles, model: Model): Quartiles => {
  const count = parametersOf(model);
  return { low: low / count, median: median / count, high: high / count };
};
