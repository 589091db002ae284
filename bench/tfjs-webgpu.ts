/** How much faster is our compiled step on TensorFlow.js' webgpu backend than TensorFlow.js' own, and what does it ask of the device? */

import { interleave, quartiles, ratioOf, timeOf } from "./measure.js";
import { type Model, nameOf } from "./model.js";
import type { Answer, Row } from "./report.js";
import { chromiumSide, mnistSide, tensorFlowSide } from "./sides/optional.js";
import type { OptimizerName } from "./tensor-steps.js";
import type { NetworkName } from "./tensor-work.js";

/** And how many times faster it must be at least. */
const MODELS: readonly (Model & { atLeast: number })[] = [
  { tensors: 10, size: 100, atLeast: 40 },
  { tensors: 100, size: 100, atLeast: 40 },
  { tensors: 10, size: 1e5, atLeast: 4 },
  { tensors: 100, size: 1e4, atLeast: 6 },
];
const NETWORKS: readonly NetworkName[] = ["dense", "convolutional"];
const DIGITS = 200;
const AGAIN = "tf.train.adamax again";
/** Calls whose time on the calling thread is taken together, and how often. */
const CALLS = 20;
const SAMPLES = 15;

const TITLE = "TensorFlow.js on webgpu: times faster than its own step";

export const tfjsWebgpu = async (): Promise<Answer> => {
  const leftOut = (why: string): Answer => ({ question: "tfjs-webgpu", title: TITLE, rows: [], lines: [], notes: [why] });
  const side = await tensorFlowSide();
  if (typeof side === "string") return leftOut(side);
  const mnist = await mnistSide();
  if (typeof mnist === "string") return leftOut(mnist);
  const chromiums = await chromiumSide();
  if (typeof chromiums === "string") return leftOut(chromiums);
  const { OURS, OURS_WITH_ALL, THEIRS } = await import("./tensor-steps.js");
  const chromium = await chromiums.startChromium("webgpu");
  const { page, adapter } = chromium;
  const rows: Row[] = [];
  for (const { atLeast, ...model } of MODELS) {
    const names = [OURS, OURS_WITH_ALL, THEIRS];
    const works = new Map<OptimizerName, number>();
    for (const name of names) works.set(name, await page.call("makeSteps", model, name));
    const sides = names.map((name) => chromiums.inChromium(chromium, name, works.get(name)!));
    const measurement = await interleave(sides, { seconds: 20, mostRounds: 100 });
    for (const [name, target] of [[OURS, atLeast] as const, [OURS_WITH_ALL, 2] as const]) {
      const { dispatches, copies } = await page.call("countCalls", works.get(name)!);
      const theirs = await page.call("countCalls", works.get(THEIRS)!);
      rows.push({
        of: nameOf(model),
        ratio: `${THEIRS} / ${name}`,
        value: ratioOf(measurement, THEIRS, name),
        target: { atLeast: target },
        note: `${(timeOf(measurement, name).median / 1e6).toPrecision(3)} ms, ${dispatches} dispatches and ${copies} copies; theirs ${theirs.dispatches}`,
      });
    }
    const calls: number[] = [];
    for (let sample = 0; sample < SAMPLES; sample++)
      calls.push((await page.call("runCalls", works.get(OURS)!, CALLS)) / CALLS / 1e6);
    rows.push({
      of: nameOf(model),
      ratio: "the calling thread, per step",
      value: quartiles(calls),
      unit: "ms",
      ...(model.tensors === 100 ? { target: { atMost: 0.3 } } : {}),
    });
    for (const { dispose } of sides) await dispose?.();
  }
  const training = mnist.digits("train", DIGITS);
  for (const network of NETWORKS) {
    const sides = [];
    for (const [name, optimizer] of [
      [OURS, OURS],
      [THEIRS, THEIRS],
      [AGAIN, THEIRS],
    ] as const)
      sides.push(chromiums.inChromium(chromium, name, await page.call("makeFits", training, network, optimizer)));
    const measurement = await interleave(sides, { seconds: 240, mostRounds: 60 });
    for (const { dispose } of sides) await dispose?.();
    const of = `fit, ${network}`;
    rows.push({
      of,
      ratio: `fit with ${THEIRS} / with ${OURS}`,
      value: ratioOf(measurement, THEIRS, OURS),
      target: { atLeast: 1 },
      note: `${(timeOf(measurement, OURS).median / 1e6).toPrecision(3)} ms`,
    });
    // What the ratio of two equal fits is here: a difference within it is none.
    rows.push({ of, ratio: `fit with ${THEIRS} / with ${AGAIN}`, value: ratioOf(measurement, THEIRS, AGAIN) });
  }
  await page.close();
  return {
    question: "tfjs-webgpu",
    title: TITLE,
    rows,
    lines: [],
    notes: [
      `TensorFlow.js ${side.tensorFlowVersion} in headless Chromium, on ${adapter}. Ready gradients; everything on: weightDecay, globalClipnorm and useEma.`,
      `A fit is one epoch over ${DIGITS} digits in batches of 100, with the networks of examples/mnist.`,
    ],
  };
};
