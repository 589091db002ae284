/** How much faster is our step than TensorFlow.js' own, for the same tensors on the same backend? */

import { interleave, ratioOf, timeOf } from "./measure.js";
import { type Model, nameOf, parametersOf } from "./model.js";
import type { Answer, Row } from "./report.js";
import { chromiumSide, tensorFlowSide } from "./sides/optional.js";
import type { OptimizerName } from "./tensor-steps.js";

const MODELS: readonly Model[] = [
  { tensors: 10, size: 100 },
  { tensors: 1, size: 1000 },
  { tensors: 1, size: 10_000 },
  { tensors: 1, size: 100_000 },
  { tensors: 100, size: 10_000 },
  { tensors: 1, size: 1_000_000 },
];

const TITLE = "The optimizer step in TensorFlow.js: times faster than its own";

export const tfjs = async (): Promise<Answer> => {
  const side = await tensorFlowSide();
  if (typeof side === "string") return { question: "tfjs", title: TITLE, rows: [], lines: [], notes: [side] };
  const { tensorFlow, tensorFlowVersion } = side;
  const { OURS, THEIRS } = await import("./tensor-steps.js");
  const chromiums = await chromiumSide();
  const rows: Row[] = [];
  // First: where there is none, nothing is measured in vain.
  const chromium = typeof chromiums === "string" ? null : { ...(await chromiums.startChromium("webgl")), ...chromiums };
  for (const backend of ["cpu", "wasm", ...(chromium ? (["webgl"] as const) : [])] as const)
    for (const model of MODELS) {
      const side = async (name: OptimizerName) =>
        backend === "webgl"
          ? chromium!.inChromium(chromium!, name, await chromium!.page.call("makeSteps", model, name))
          : tensorFlow(name, backend, model, name);
      const sides = [await side(OURS), await side(THEIRS)];
      const measurement = await interleave(sides, { seconds: 2, mostRounds: 50 });
      for (const side of sides) await side.dispose?.();
      rows.push({
        of: `${backend}, ${nameOf(model)}`,
        ratio: `${THEIRS} / ${OURS}`,
        value: ratioOf(measurement, THEIRS, OURS),
        // On the CPU from 1e5 parameters up; below, and on a GPU, never slower.
        target: { atLeast: backend !== "webgl" && parametersOf(model) >= 1e5 ? 5 : 1 },
        note: `${(timeOf(measurement, OURS).median / 1000).toPrecision(3)} µs`,
      });
    }
  await chromium?.page.close();
  return {
    question: "tfjs",
    title: TITLE,
    rows,
    lines: [],
    notes: [
      `TensorFlow.js ${tensorFlowVersion}, ready gradients. On wasm the step runs in TensorFlow.js' memory; on cpu values go to a new array.`,
      chromium ? `webgl: in headless Chromium, on ${chromium.adapter}.` : `${chromiums}`,
    ],
  };
};
