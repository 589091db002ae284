/** How much faster is our step than TensorFlow.js' own, for the same tensors on the same backend? */

import { interleave, ratioOf, timeOf } from "./measure.js";
import { BETA1, BETA2, EPSILON, LEARNING_RATE, type Model, nameOf } from "./model.js";
import type { Answer, Row } from "./report.js";
import { tensorFlowSide } from "./sides/optional.js";

const BACKENDS = ["cpu", "wasm"] as const;
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
  const { Adamax } = await import("adamax/tfjs");
  const rows: Row[] = [];
  for (const backend of BACKENDS)
    for (const model of MODELS) {
      const ours = () => new Adamax({ learningRate: LEARNING_RATE, beta1: BETA1, beta2: BETA2, epsilon: EPSILON });
      const sides = [await tensorFlow("adamax/tfjs", backend, model, ours), await tensorFlow("tf.train.adamax", backend, model)];
      const measurement = await interleave(sides, { seconds: 2, mostRounds: 50 });
      for (const side of sides) side.dispose?.();
      rows.push({
        of: `${backend}, ${nameOf(model)}`,
        ratio: "tf.train.adamax / adamax/tfjs",
        value: ratioOf(measurement, "tf.train.adamax", "adamax/tfjs"),
        // From 1e5 parameters up; below, never slower.
        target: { atLeast: model.tensors * model.size >= 1e5 ? 5 : 1 },
        note: `${(timeOf(measurement, "adamax/tfjs").median / 1000).toPrecision(3)} µs`,
      });
    }
  return {
    question: "tfjs",
    title: TITLE,
    rows,
    lines: [],
    notes: [
      `TensorFlow.js ${tensorFlowVersion}, ready gradients. On wasm the step runs in TensorFlow.js' memory; on cpu values go to a new array.`,
    ],
  };
};
