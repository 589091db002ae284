/** Do gradients that are exactly zero, or underflow, slow a step down? Products with subnormal numbers would. */

import { interleave, ratioOf } from "./measure.js";
import { fill, nameOf } from "./model.js";
import type { Answer, Row } from "./report.js";
import { adamax, type Kind } from "./sides/adamax.js";

type Gradients = NonNullable<Kind["gradients"]>;

const zero: Gradients = (gradient) => gradient.fill(0);
/** Below the least normal number of the dtype. */
const subnormal: Gradients = (gradient, tensor) => {
  const tiny = gradient instanceof Float32Array ? 2 ** -130 : 2 ** -1040;
  fill(gradient, tensor + 9);
  for (let i = 0; i < gradient.length; i++) gradient[i]! *= tiny;
};
/** Normal numbers whose products with 1 - beta1 and the learning rate are not. */
const almost: Gradients = (gradient, tensor) => {
  const tiny = gradient instanceof Float32Array ? 2 ** -120 : 2 ** -1015;
  fill(gradient, tensor + 9);
  for (let i = 0; i < gradient.length; i++) gradient[i]! *= tiny;
};
const CASES = { zero, subnormal, "nearly subnormal": almost };

/** m falls by beta1 in each step: after this many with dead gradients it would be subnormal (0.9 ** 830 is 2 ** -126, 0.9 ** 6724 is
 *  2 ** -1022). Cut short where 5e9 parameters have been stepped over. */
const STEPS_DEAD = { float32: 900, float64: 6800 };
const MOST_WORK = 5e9;

export const deadUnits = async (): Promise<Answer> => {
  const rows: Row[] = [];
  for (const size of [1e4, 1e5, 1e6, 1e7])
    for (const dtype of ["float32", "float64"] as const)
      for (const useEma of [false, true]) {
        const model = { tensors: 1, size };
        const normal = adamax("normal", model, { useEma }, { dtype, stepsBefore: 200 });
        const sides = Object.entries(CASES).map(([name, gradients]) =>
          adamax(name, model, { useEma }, { dtype, gradients, stepsBefore: 200 }),
        );
        const steps = Math.min(STEPS_DEAD[dtype], MOST_WORK / size);
        for (const side of sides) await side.run(steps);
        const measurement = await interleave([normal, ...sides], { seconds: 3, mostRounds: 40 });
        for (const side of [normal, ...sides]) side.dispose?.();
        for (const name of Object.keys(CASES))
          rows.push({
            of: `${nameOf(model)} ${dtype}${useEma ? " average" : ""}`,
            ratio: `${name} / normal`,
            value: ratioOf(measurement, name, "normal"),
            target: { atMost: 1.25 },
            note: `after ${steps} such steps`,
          });
      }
  return {
    question: "dead-units",
    title: "Dead units: time of a step with zero or tiny gradients over a normal step",
    rows,
    lines: [],
    notes: [
      "Dead after 200 normal steps. Unprotected, products with subnormal numbers make such steps many times slower on most processors.",
    ],
  };
};
