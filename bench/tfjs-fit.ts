/** How much faster is a whole `fit` on MNIST with our optimizer than with TensorFlow.js' own? The step is a small part of it. */

import { interleave, ratioOf, timeOf } from "./measure.js";
import type { Answer, Row } from "./report.js";
import { chromiumSide, mnistSide, tensorFlowSide } from "./sides/optional.js";
import type { OptimizerName } from "./tensor-steps.js";
import type { NetworkName } from "./tensor-work.js";

const DIGITS = 1000;
const CASES: readonly { backend: "cpu" | "wasm" | "webgl"; network: NetworkName }[] = [
  { backend: "cpu", network: "dense" },
  { backend: "wasm", network: "dense" },
  { backend: "webgl", network: "dense" },
  { backend: "webgl", network: "convolutional" }, // on wasm, TensorFlow.js cannot train one
];

const TITLE = "A whole fit on MNIST in TensorFlow.js: times faster than with its own Adamax";

export const tfjsFit = async (): Promise<Answer> => {
  const leftOut = (why: string): Answer => ({ question: "tfjs-fit", title: TITLE, rows: [], lines: [], notes: [why] });
  const side = await tensorFlowSide();
  if (typeof side === "string") return leftOut(side);
  const mnist = await mnistSide();
  if (typeof mnist === "string") return leftOut(mnist);
  const { tensorFlowAsync, tensorFlowVersion } = side;
  const { OURS, THEIRS } = await import("./tensor-steps.js");
  const { fits } = await import("./tensor-work.js");
  const chromiums = await chromiumSide();
  const rows: Row[] = [];
  // First: where there is none, nothing is measured in vain.
  const chromium = typeof chromiums === "string" ? null : { ...(await chromiums.startChromium("webgl")), ...chromiums };
  const training = mnist.digits("train", DIGITS);
  for (const { backend, network } of CASES) {
    if (backend === "webgl" && !chromium) continue;
    const side = async (name: OptimizerName) =>
      backend === "webgl"
        ? chromium!.inChromium(chromium!, name, await chromium!.page.call("makeFits", training, network, name))
        : tensorFlowAsync(name, backend, () => fits(training, network, name));
    const sides = [await side(OURS), await side(THEIRS)];
    const measurement = await interleave(sides, { seconds: 12, mostRounds: 30 });
    for (const side of sides) await side.dispose?.();
    rows.push({
      of: `${backend}, ${network}`,
      ratio: `fit with ${THEIRS} / with ${OURS}`,
      value: ratioOf(measurement, THEIRS, OURS),
      note: `${(timeOf(measurement, OURS).median / 1e6).toPrecision(3)} ms`,
    });
  }
  await chromium?.page.close();
  return {
    question: "tfjs-fit",
    title: TITLE,
    rows,
    lines: [],
    notes: [
      `TensorFlow.js ${tensorFlowVersion}; one epoch over ${DIGITS} digits in batches of 100, with the networks of examples/mnist.`,
      chromium ? `webgl: in headless Chromium, on ${chromium.adapter}.` : `${chromiums}`,
    ],
  };
};
