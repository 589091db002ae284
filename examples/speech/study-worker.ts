/** A process of the study: takes runs one by one from its parent and answers each with what it measured. */

import { useWasm } from "../tfjs-wasm.ts";
import { makeStream, Run, type Stream } from "./comparison.ts";
import { makeClips } from "./evaluation.ts";
import { contenders, variants } from "./optimizers.ts";
import { loadRecordings } from "./recordings.ts";
import { mean } from "./si-sdr.ts";
import type { RunResult, RunTask } from "./study-runs.ts";
import { median } from "./text.ts";
import { scaleFrom } from "./training.ts";

await useWasm();
const recordings = loadRecordings();
const voices = recordings.train.map(({ samples }) => samples);
const scale = scaleFrom(voices);
const validation = makeClips(recordings.validation, scale, 2001);
const test = makeClips(recordings.test, scale, 1001);

let stream: { readonly seed: number; readonly of: Stream } | undefined;

function carryOut({ id, learningRate, seed, steps }: RunTask): RunResult {
  if (stream?.seed !== seed) stream = { seed, of: makeStream(steps, voices, scale, seed) };
  const contender = [...contenders, ...variants].find((one) => one.id === id)!;
  const run = new Run(contender, learningRate, stream.of, seed);
  for (let step = 0; step < steps; step++) run.step(step);
  const [onValidation, onTest] = [mean(run.improvements(validation)), mean(run.improvements(test))];
  const { losses, stepTimes } = run;
  run.dispose();
  return {
    id,
    learningRate,
    seed,
    steps,
    validation: onValidation,
    test: onTest,
    loss: mean(losses),
    stepTime: median(stepTimes),
  };
}

process.on("message", (task: RunTask) => process.send!(carryOut(task)));
process.send!("ready");
