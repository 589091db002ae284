/** Trains a speech denoiser on real recordings, then compares optimizers on speech whose noise keeps changing. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { compare, makeStream, type Outcome, Run } from "./comparison.ts";
import { trainDenoiser } from "./denoiser.ts";
import { byKind, denoise, hear, improvements, makeClips, networkImprovements } from "./evaluation.ts";
import { mixStream } from "./mixture.ts";
import { useWasm } from "./network.ts";
import { noiseKinds } from "./noise.ts";
import { contenders } from "./optimizers.ts";
import { Progress } from "./progress.ts";
import { seeded } from "./random.ts";
import { loadRecordings, sampleRate } from "./recordings.ts";
import { type Example, type Results, reportPage } from "./report.ts";
import { mean } from "./si-sdr.ts";
import { readStudy, resultOf } from "./study-result.ts";
import { decibels, median, table } from "./text.ts";
import { scaleFrom } from "./training.ts";
import { writeWav } from "./wav.ts";
import { wienerFilter } from "./wiener.ts";

const quick = process.argv.includes("--quick");
const plan = quick
  ? { denoiserSteps: 300, streamSteps: 80, testRecordings: 5 }
  : { denoiserSteps: 4000, streamSteps: 1000, testRecordings: Number.POSITIVE_INFINITY };
const seed = 1; // of the first weights and the training material
const testSeed = 1001; // of the noise in the test clips
const out = fileURLToPath(new URL("out", import.meta.url));

const start = performance.now();
await useWasm();
const recordings = loadRecordings();
const voices = recordings.train.map(({ samples }) => samples);
const testRecordings = recordings.test.slice(0, plan.testRecordings);
const testVoices = recordings.test.map(({ samples }) => samples);
const scale = scaleFrom(voices);
const clips = makeClips(testRecordings, scale, testSeed);
console.log(
  `${voices.length} recordings to train on, ${testRecordings.length} others to test on, each under ${noiseKinds.length} kinds of noise.\n`,
);

// First the denoiser.
const training = new Progress("Training the denoiser with Adamax", plan.denoiserSteps);
const { network, losses, seconds } = trainDenoiser(plan.denoiserSteps, voices, scale, seed, (done, loss) =>
  training.update(done, `loss ${loss.toFixed(4)}`),
);
const byNetwork = networkImprovements(network, clips);
const byWiener = improvements(clips, ({ noisy }) => wienerFilter(noisy));
console.log("\nSI-SDR gained on unseen recordings and noise, in dB:");
const gains = (label: string, values: readonly number[]) => [
  label,
  decibels(mean(values)),
  ...Object.values(byKind(clips, values)).map(decibels),
];
console.log(table([["", "mean", ...noiseKinds], gains("network", byNetwork), gains("Wiener filter", byWiener)]));

// Then the comparison, on one pass in the order in which it is heard.
const study = readStudy();
const stream = makeStream(plan.streamSteps, voices, scale, seed);
const runs = contenders.map(
  (contender) => new Run(contender, resultOf(study, contender.id).best.learningRate, stream, seed, true),
);
const learning = new Progress(`${runs.length} optimizers on one stream`, plan.streamSteps);
compare(runs, plan.streamSteps, {
  clips: clips.slice(0, 4 * noiseKinds.length),
  interval: plan.streamSteps / 20,
  onStep: (done) => learning.update(done, "all on the same batches"),
});
const outcomes = runs.map((run) => run.outcome(clips));
for (const run of runs) run.dispose();

console.log(
  `\nAfter one unshuffled pass over ${Math.round(stream.mixture.clean.length / sampleRate)} s, on the same test clips:`,
);
const row = ({ contender, learningRate, losses, stepTimes, improvements }: Outcome) => [
  contender.label,
  String(learningRate),
  mean(losses).toFixed(4),
  decibels(mean(improvements)),
  `${median(stepTimes).toFixed(2)} ms`,
  decibels(resultOf(study, contender.id).best.test.mean),
];
console.log(table([["", "rate", "mean loss", "SI-SDR gained", "its step", "in the study"], ...outcomes.map(row)]));
const ranked = [...outcomes].sort((a, b) => mean(b.improvements) - mean(a.improvements));
const [winner, second] = [ranked[0]!, ranked[1]!];
const lead = mean(winner.improvements) - mean(second.improvements);
console.log(`Best on this stream: ${winner.contender.label}, ${lead.toFixed(2)} dB before ${second.contender.label}.`);
console.log("One stream and one seed. docs/speech-study.md has five seeds and the spread between them.\n");

// And what it sounds and looks like.
mkdirSync(out, { recursive: true });
const examples: Example[] = noiseKinds.map((kind, i) => {
  const clip = clips.filter((other) => other.kind === kind)[i % testRecordings.length]!;
  return { clip, denoised: denoise(network, clip, clip.clean.length), filtered: wienerFilter(clip.noisy) };
});
for (const { clip, denoised, filtered } of examples)
  for (const [what, samples] of Object.entries({ noisy: clip.noisy, denoised, wiener: filtered, clean: clip.clean }))
    writeWav(join(out, `${clip.kind}-${what}.wav`), { rate: sampleRate, samples });
const testStream = mixStream(quick ? 20 : 60, { random: seeded(testSeed), voices: testVoices });
const results: Results = {
  denoiser: { losses, seconds, clips, byNetwork, byWiener, examples },
  testStream: {
    mixture: testStream,
    denoised: denoise(network, hear(testStream.noisy, scale), testStream.clean.length),
    filtered: wienerFilter(testStream.noisy),
  },
  comparison: { stream, outcomes, winner },
  study,
  quick,
};
writeFileSync(join(out, "report.html"), reportPage(results));
network.dispose();
const here = relative(process.cwd(), out);
console.log(`${join(here, "report.html")} shows all of it; the sounds are beside it: ${join(here, "*.wav")}`);
console.log(`Done in ${((performance.now() - start) / 1000).toFixed(0)} s.`);
