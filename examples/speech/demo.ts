/** Trains a speech denoiser on real recordings, then compares optimizers on speech whose noise keeps changing. */
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { useWasm } from "../tfjs-wasm.ts";
import { compare, makeStream, type Outcome, Run } from "./comparison.ts";
import { trainDenoiser } from "./denoiser.ts";
import { byKind, type Clip, denoise, hear, improvements, makeClips, networkImprovements } from "./evaluation.ts";
import { mixStream } from "./mixture.ts";
import { noiseKinds } from "./noise.ts";
import { contenders } from "./optimizers.ts";
import { Progress } from "./progress.ts";
import { seeded } from "./random.ts";
import { sampleRate } from "./recording.ts";
import { recordedVoice, type Voice, voiceOf } from "./recordings.ts";
import { type Example, type Results, reportPage } from "./report.ts";
import { mean, meanGain } from "./si-sdr.ts";
import { readStudy, resultOf } from "./study-result.ts";
import { decibels, median, table } from "./text.ts";
import { scaleFrom } from "./training.ts";
import { synthesisedVoice } from "./voice.ts";
import { writeWav } from "./wav-files.ts";
import { wienerFilter } from "./wiener.ts";

const seed = 1; // of the first weights and the training material
const testSeed = 1001; // of the noise in the test clips

export interface DemoOptions {
  /** Twenty seconds instead of one or two minutes. */
  readonly quick: boolean;
  /** The repository's recordings, a folder with others, or null for a synthesised voice. */
  readonly recordings: "repository" | { readonly folder: string } | null;
  /** The folder for the page and the sounds. */
  readonly out: string;
}

const voiceFrom = (recordings: DemoOptions["recordings"]): Voice =>
  recordings === null ? synthesisedVoice() : recordings === "repository" ? recordedVoice() : voiceOf(recordings.folder);

/** Of a short run: TensorFlow.js' Adamax, ours, and ours with what theirs does not have. */
const few = new Set(["tfjs-adamax", "adamax", "adamax-clipped-averaged"]);

export const demo = async ({ quick, out, recordings: source }: DemoOptions): Promise<void> => {
  const plan = quick
    ? { denoiserSteps: 600, streamSteps: 300, checkpoints: 3, testRecordings: 2, clipsOnTheWay: 5, streamSeconds: 20 }
    : { denoiserSteps: 3500, streamSteps: 1000, checkpoints: 10, testRecordings: 20, clipsOnTheWay: 20, streamSeconds: 60 };
  const start = performance.now();
  await useWasm();
  const { recordings, papers, credit } = voiceFrom(source);
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
  const testStream = mixStream(plan.streamSeconds, { random: seeded(testSeed), voices: testVoices });
  const denoised = denoise(network, hear(testStream.noisy, scale), testStream.clean.length);
  const filtered = wienerFilter(testStream.noisy);
  const streamGain = (samples: Float32Array) => meanGain(samples, testStream.noisy, testStream.clean, sampleRate);
  console.log(
    `Where the noise switches, second by second over ${plan.streamSeconds} s: network ${decibels(streamGain(denoised))}, Wiener filter ${decibels(streamGain(filtered))}.\n`,
  );

  // Then the comparison, on one pass in the order in which it is heard.
  const study = readStudy();
  const stream = makeStream(plan.streamSteps, voices, scale, seed);
  const runs = contenders
    .filter(({ id }) => !quick || few.has(id))
    .map((contender) => new Run(contender, resultOf(study, contender.id).best.learningRate, stream, seed, true));
  const learning = new Progress(`${runs.length} optimizers on one stream`, plan.streamSteps);
  compare(runs, plan.streamSteps, {
    clips: clips.slice(0, plan.clipsOnTheWay),
    interval: plan.streamSteps / plan.checkpoints,
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
    ...(quick ? [] : [decibels(resultOf(study, contender.id).best.test.mean)]),
  ];
  const head = ["", "rate", "mean loss", "SI-SDR gained", "its step", ...(quick ? [] : ["in the study"])];
  console.log(table([head, ...outcomes.map(row)]));
  const ranked = [...outcomes].sort((a, b) => mean(b.improvements) - mean(a.improvements));
  const [winner, second] = [ranked[0]!, ranked[1]!];
  const lead = mean(winner.improvements) - mean(second.improvements);
  console.log(`Best on this stream: ${winner.contender.label}, ${lead.toFixed(2)} dB before ${second.contender.label}.`);
  if (quick)
    console.log(
      "(10 dB: a tenth of the noise is left. Adamax is this library's; clipping and averaging are its options clipnorm and useEma. Its step: from gradients to new weights.)",
    );
  const best = study.contenders.reduce((a, b) => (b.best.test.mean > a.best.test.mean ? b : a));
  console.log(
    `That is one stream. Over the ${study.seeds.length} of the study (docs/speech-study.md in the repository) the best was: ${best.label}, ${decibels(best.best.test.mean)} dB.\n`,
  );

  // And what it sounds and looks like.
  mkdirSync(out, { recursive: true });
  for (const paper of papers) copyFileSync(paper, join(out, basename(paper)));
  const examples: Example[] = [];
  for (const kind of noiseKinds) {
    // Of each kind the clip nearest to 0 dB, and as far as there are enough, another recording each time.
    const heardBefore = (clip: Clip) => Number(examples.some((other) => other.clip.name === clip.name));
    const [clip] = clips
      .filter((one) => one.kind === kind)
      .sort((a, b) => heardBefore(a) - heardBefore(b) || Math.abs(a.noisySdr) - Math.abs(b.noisySdr));
    examples.push({ clip: clip!, denoised: denoise(network, clip!, clip!.clean.length), filtered: wienerFilter(clip!.noisy) });
  }
  for (const { clip, denoised, filtered } of examples)
    for (const [what, samples] of Object.entries({ noisy: clip.noisy, denoised, wiener: filtered, clean: clip.clean }))
      writeWav(join(out, `${clip.kind}-${what}.wav`), { rate: sampleRate, samples });
  const results: Results = {
    denoiser: { losses, seconds, clips, byNetwork, byWiener, examples },
    testStream: { mixture: testStream, denoised, filtered },
    comparison: { stream, outcomes, winner },
    study,
    quick,
    credit,
  };
  writeFileSync(join(out, "report.html"), reportPage(results));
  network.dispose();
  const here = relative(process.cwd(), out);
  console.log(
    `${join(here, "report.html")} shows all of it; the sounds are beside it: ${join(here, "*.wav")}. ${papers.length > 0 ? `Whose voice it is: ${join(here, basename(papers[0]!))}` : credit}`,
  );
  console.log(`Done in ${((performance.now() - start) / 1000).toFixed(0)} s.`);
};
