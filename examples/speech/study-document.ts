import { mean, spread } from "./si-sdr.ts";
import { type ContenderResult, resultOf, type Study } from "./study-result.ts";
import { decibels } from "./text.ts";

/** docs/speech-study.md: how it was measured, what came out, and sentences that only the numbers decide. */
export function studyDocument(study: Study): string {
  const ranked = [...study.contenders].sort((a, b) => b.best.test.mean - a.best.test.mean);
  return `# Optimizers on speech under noise that changes all the time
<!-- Written by npm run study. Edit examples/speech/study-document.ts instead. -->

## Method
A network of 115,841 parameters learns a mask that cleans speech (\`examples/speech\`). It gets **one unshuffled pass** over a stream
of real recordings under noise that switches every 2 to 5 s between white, pink, hum, engine and babble, at a signal-to-noise ratio that
walks between −5 and 15 dB. A step sees half a second (32 frames) and never sees it again: ${study.steps} steps, ${Math.round(study.steps * 0.512)} s.

- Equal data, equal first weights and equal steps for all within a seed; a seed draws the stream and the weights. ${study.seeds.length} seeds.
- Constant learning rates, each twice the one before. Each optimizer is judged at the rate whose mean over the seeds is best on
  **validation** recordings. All numbers below are from **test** recordings, which neither training nor this choice saw.
- What is measured: SI-SDR gained by the weights at the end of the stream (by their average where there is one), mean over all test
  recordings under each of the five kinds of noise. Spread: standard deviation over the seeds.
- Clipping is \`clipnorm: 0.05\`, averaging is \`useEma\` with \`emaMomentum: 0.99\`, the same for all. TensorFlow.js' optimizers have neither; "by
  hand" means that clipping and averaging were written around them for this study, so that the update rules can be compared alike.
- One voice, one network, short streams, synthetic noise: nothing here says what happens elsewhere. With shuffled
  batches and a falling rate, Adam and Adamax came out alike in the one trial that was made (+7.60 and +7.56 dB).

## Result
${table(
  ["", "best rate", "gained on test, dB", "spread", "ahead of plain Adamax, dB", "mean loss on the way"],
  ranked.map((result) => [
    result.label,
    String(result.best.learningRate),
    decibels(result.best.test.mean),
    result.best.test.spread.toFixed(2),
    result.id === "adamax" ? "" : difference(result, resultOf(study, "adamax")),
    result.loss.toFixed(4),
  ]),
)}

"Ahead" is the mean of the differences seed by seed, ± its standard error.

${findings(study, ranked)
  .map((finding) => `- ${finding}`)
  .join("\n")}

## Sensitivity to the learning rate
SI-SDR gained on test recordings in dB, mean over the seeds, at multiples of each optimizer's best rate. "Good within": how far the rates lie apart
whose means are at most 0.5 dB below that of the best rate; it is counted in powers of two, so coarsely.

${sensitivity(study)}

Seed by seed, at the best rate:

${table(
  ["", ...study.seeds.map((seed) => `seed ${seed}`)],
  ranked.map(({ label, bySeed }) => [label, ...bySeed.map(decibels)]),
)}
`;
}

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map((_, column) => (column === 0 ? "---" : "---:")), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");

/** Mean and standard error of the differences seed by seed, in dB. */
function paired(a: ContenderResult, b: ContenderResult): { readonly mean: number; readonly error: number } {
  const differences = a.bySeed.map((value, seed) => value - b.bySeed[seed]!);
  return { mean: mean(differences), error: spread(differences) / Math.sqrt(differences.length) };
}

function difference(a: ContenderResult, b: ContenderResult): string {
  const { mean, error } = paired(a, b);
  return `${decibels(mean)} ± ${error.toFixed(2)}`;
}

function findings(study: Study, ranked: readonly ContenderResult[]): string[] {
  const result = (id: string) => resultOf(study, id);
  const [first, second] = [ranked[0]!, ranked[1]!];
  const lead = paired(first, second);
  const plain = ["adamax", "tfjs-adam", "tfjs-sgd"].map(result).sort((a, b) => b.best.test.mean - a.best.test.mean);
  const plainLead = paired(plain[0]!, plain[1]!);
  const both = result("adamax-clipped-averaged");
  const place = ranked.indexOf(both) + 1;
  return [
    `Best of all: **${first.label}**, ${decibels(lead.mean)} ± ${lead.error.toFixed(2)} dB ahead of ${second.label}: ${verdict(lead)}.`,
    `Adamax with clipping and averaging is number ${place} of ${ranked.length}${place === 1 ? "" : `, ${difference(both, first)} dB from the best`}.`,
    `Of the plain update rules the best is **${plain[0]!.label}**, ${decibels(plainLead.mean)} ± ${plainLead.error.toFixed(2)} dB ahead of ${plain[1]!.label}: ${verdict(plainLead)}.`,
    `To Adamax clipping alone is worth ${difference(result("adamax-clipped"), result("adamax"))} dB, averaging alone ${difference(result("adamax-averaged"), result("adamax"))} dB, both ${difference(both, result("adamax"))} dB.`,
    `Both are worth ${difference(result("handmade-adam"), result("tfjs-adam"))} dB to Adam and ${difference(result("handmade-sgd"), result("tfjs-sgd"))} dB to SGD, when they are written by hand.`,
    `TensorFlow.js' Adamax and ours, both plain, differ by ${difference(result("adamax"), result("tfjs-adamax"))} dB.`,
  ];
}

const verdict = ({ mean, error }: { readonly mean: number; readonly error: number }): string =>
  Math.abs(mean) > 3 * error ? "more than chance" : "too little to tell from chance with so few seeds";

/** Highest over lowest of the rates around the best one whose test means are at most 0.5 dB below it. */
function tolerance({ rates, best }: ContenderResult): number {
  const good = rates.filter(({ test }) => test.mean >= best.test.mean - 0.5).map(({ learningRate }) => learningRate);
  return Math.max(...good) / Math.min(...good);
}

function sensitivity({ contenders }: Study): string {
  const powers = [-4, -3, -2, -1, 0, 1, 2, 3, 4, 5];
  const cell = ({ rates, best }: ContenderResult, power: number): string => {
    const rate = rates.find(({ learningRate }) => Math.abs(Math.log2(learningRate / best.learningRate) - power) < 0.01);
    return rate ? decibels(rate.test.mean) : "";
  };
  const name = (power: number): string => (power < 0 ? `1/${2 ** -power}` : `×${2 ** power}`);
  return table(
    ["", ...powers.map(name), "good within"],
    contenders.map((result) => [result.label, ...powers.map((power) => cell(result, power)), `a factor of ${tolerance(result)}`]),
  );
}
