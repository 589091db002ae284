/** The comparison behind the example: every optimizer at many learning rates, on five streams. At most 40 minutes on two cores.
 *  Finished runs are kept in out/study; delete that folder to measure them again. */
import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { type Contender, contenders, variants } from "./optimizers.ts";
import { Progress } from "./progress.ts";
import { mean, spread } from "./si-sdr.ts";
import { studyDocument } from "./study-document.ts";
import { type ContenderResult, type Measured, type RateResult, type Study, studyPath } from "./study-result.ts";
import { carryOutAll, type RunResult, type RunTask } from "./study-runs.ts";

const steps = 1000;
const seeds = [1, 2, 3, 4, 5];
const documentPath = new URL("../../docs/speech-study.md", import.meta.url);

const all = [...contenders, ...variants];
const tasks: RunTask[] = seeds.flatMap((seed) =>
  all.flatMap(({ id, rates }) => rates.map((learningRate) => ({ id, learningRate, seed, steps }))),
);
const progress = new Progress(`${tasks.length} runs`, tasks.length);
const results = await carryOutAll(tasks, Math.min(2, availableParallelism()), (done, { id, learningRate, seed, test }) =>
  progress.update(done, `${id} at ${learningRate}, seed ${seed}: ${test?.toFixed(2) ?? "diverged"} dB`),
);

const measured = (values: readonly (number | null)[]): Measured => {
  const numbers = values.map((value) => value ?? Number.NEGATIVE_INFINITY);
  return { mean: mean(numbers), spread: spread(numbers) };
};

function resultFor({ id, label, rates }: Contender): ContenderResult {
  const ofRate = (learningRate: number): RunResult[] =>
    results.filter((result) => result.id === id && result.learningRate === learningRate);
  const byRate = rates.map((learningRate): RateResult => {
    const runs = ofRate(learningRate);
    return {
      learningRate,
      validation: measured(runs.map((run) => run.validation)),
      test: measured(runs.map((run) => run.test)),
    };
  });
  const best = byRate.reduce((a, b) => (b.validation.mean > a.validation.mean ? b : a));
  const bestRuns = ofRate(best.learningRate);
  return {
    id,
    label,
    best,
    rates: byRate,
    bySeed: bestRuns.map((run) => run.test ?? Number.NEGATIVE_INFINITY),
    loss: mean(bestRuns.map((run) => run.loss ?? Number.POSITIVE_INFINITY)),
  };
}

const study: Study = { steps, seeds, contenders: all.map(resultFor) };
writeFileSync(studyPath, `${JSON.stringify(study, null, 2)}\n`);
writeFileSync(documentPath, studyDocument(study));
console.log("Wrote examples/speech/study.json, which npm start takes its learning rates from, and docs/speech-study.md.");
