/** A curve through measured points: how strong, how damped, how fast and in which phase was this oscillation?
 *  y = strength * exp(-damping * t) * cos(pulse * t + phase), with gradients written by hand. */

import { Adamax, fit, schedules, Variable } from "adamax";

interface Point {
  t: number;
  y: number;
}

const truth = { strength: 1.5, damping: 0.25, pulse: 2.5, phase: 0.75 };
const points: Point[] = Array.from({ length: 400 }, (_, i) => {
  const t = i / 50;
  const noise = 0.1 * Math.sin(12.9898 * i * i); // as irregular as noise, and the same in every run
  return { t, y: truth.strength * Math.exp(-truth.damping * t) * Math.cos(truth.pulse * t + truth.phase) + noise };
});
const batches = Array.from({ length: 10 }, (_, i) => points.filter((_, j) => j % 10 === i));

const parameters = new Variable(Float32Array.of(1, 0.1, 2.2, 0), { name: "strength, damping, pulse, phase" });

/** Half the mean squared error over the points, and its gradient. */
const loss = (batch: Point[]) => {
  const [strength, damping, pulse, phase] = parameters.value as unknown as [number, number, number, number];
  const gradient = new Float32Array(4);
  let sum = 0;
  for (const { t, y } of batch) {
    const envelope = Math.exp(-damping * t) / batch.length;
    const [cosine, sine] = [envelope * Math.cos(pulse * t + phase), envelope * Math.sin(pulse * t + phase)];
    const error = strength * cosine * batch.length - y;
    sum += (error * error) / (2 * batch.length);
    gradient[0]! += error * cosine;
    gradient[1]! -= error * strength * cosine * t;
    gradient[2]! -= error * strength * sine * t;
    gradient[3]! -= error * strength * sine;
  }
  return { loss: sum, gradients: [[gradient, parameters]] as const };
};

const epochs = 100;
const optimizer = new Adamax({
  learningRate: new schedules.CosineDecay({ initialLearningRate: 0.05, decaySteps: epochs * batches.length }),
  useEma: true, // when fit returns, the parameters are their moving averages
});
const { epochs: results } = await fit({ optimizer, data: batches, loss, epochs, progress: "none" });

console.log(`loss ${results[0]!.loss.toFixed(4)} in the first epoch, ${results.at(-1)!.loss.toFixed(4)} in the last`);
Object.entries(truth).forEach(([name, value], i) => {
  console.log(`${name.padEnd(8)} found ${parameters.value[i]!.toFixed(3)}, true ${value.toFixed(3)}`);
});
