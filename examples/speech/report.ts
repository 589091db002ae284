import { type Band, barChart, escaped, type Line, lineChart, spectrogram } from "./charts.ts";
import type { Outcome, Stream } from "./comparison.ts";
import { byKind, type Clip } from "./evaluation.ts";
import { loudestBin, spectrogramImage } from "./images.ts";
import type { Mixture } from "./mixture.ts";
import { noiseKinds } from "./noise.ts";
import { sampleRate } from "./recording.ts";
import { style } from "./report-style.ts";
import { mean, meanGain, siSdr, siSdrOverTime, smoothed } from "./si-sdr.ts";
import { resultOf, type Study } from "./study-result.ts";
import { decibels, median } from "./text.ts";
import { encodeWav } from "./wav.ts";

/** One clip before and after. */
export interface Example {
  readonly clip: Clip;
  readonly denoised: Float32Array;
  readonly filtered: Float32Array;
}

/** Everything that `npm start` measured. */
export interface Results {
  readonly denoiser: {
    readonly losses: readonly number[];
    readonly seconds: number;
    readonly clips: readonly Clip[];
    readonly byNetwork: readonly number[];
    readonly byWiener: readonly number[];
    readonly examples: readonly Example[];
  };
  readonly testStream: { readonly mixture: Mixture; readonly denoised: Float32Array; readonly filtered: Float32Array };
  readonly comparison: { readonly stream: Stream; readonly outcomes: readonly Outcome[]; readonly winner: Outcome };
  readonly study: Study;
  /** Whether this was the short run. */
  readonly quick: boolean;
  /** Whose voice it is. */
  readonly credit: string;
}

/** One page that needs nothing else. */
export function reportPage(results: Results): string {
  const body = [headline(results), listening(results), overTime(results), comparison(results), study(results), method(results)];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Speech under noise that changes all the time</title>
<style>${style}</style>
</head>
<body><main>${body.join("\n")}</main></body>
</html>
`;
}

function headline({ denoiser, testStream, comparison, quick }: Results): string {
  const { winner, outcomes } = comparison;
  const stepOf = (id: string) => median(outcomes.find(({ contender }) => contender.id === id)!.stepTimes);
  const { mixture, denoised, filtered } = testStream;
  const switching = (samples: Float32Array) => decibels(meanGain(samples, mixture.noisy, mixture.clean, sampleRate));
  const tiles = [
    [
      `${decibels(mean(denoiser.byNetwork))} dB`,
      `SI-SDR gained on recordings never heard before, under one noise each. A tuned Wiener filter: ${decibels(mean(denoiser.byWiener))} dB`,
    ],
    [`${switching(denoised)} dB`, `where the noise keeps switching. The Wiener filter: ${switching(filtered)} dB`],
    [
      `${decibels(mean(winner.improvements))} dB`,
      `after one unshuffled pass: ${winner.contender.label}, the best of ${outcomes.length} on this stream`,
    ],
    [
      `${stepOf("adamax").toFixed(2)} ms`,
      `for a step of Adamax. TensorFlow.js' own Adamax: ${stepOf("tfjs-adamax").toFixed(2)} ms`,
    ],
  ];
  return `<header>
<p class="kicker">adamax · examples/speech${quick ? " · quick run: far too short to judge by" : ""}</p>
<h1>Speech under noise that changes all the time</h1>
<p class="lead">A small causal network learns to clean one voice, frame by frame, while the noise behind it switches every few seconds: 115,841 parameters, ${denoiser.losses.length} steps of Adamax, ${denoiser.seconds.toFixed(0)} s.</p>
<div class="tiles">${tiles.map(([value, text]) => `<div class="tile"><strong>${value}</strong><span>${escaped(text!)}</span></div>`).join("")}</div>
</header>`;
}

function listening({ denoiser }: Results): string {
  const { clips, byNetwork, byWiener, examples } = denoiser;
  const values = (of: readonly number[]) => [mean(of), ...Object.values(byKind(clips, of))];
  const chart = barChart(
    "SI-SDR gained by kind of noise",
    {
      label: "SI-SDR gained, dB",
      from: Math.min(0, Math.floor(Math.min(...values(byWiener), ...values(byNetwork)))),
      to: Math.ceil(Math.max(...values(byNetwork), ...values(byWiener)) + 0.5),
    },
    ["all", ...noiseKinds],
    [
      { label: "network", className: "network", values: values(byNetwork) },
      { label: "Wiener filter", className: "wiener", values: values(byWiener) },
    ],
  );
  return `<section><h2>Before and after</h2>
${chart}${legend([
  ["network", "Network"],
  ["wiener", "Wiener filter, tuned but nothing learned"],
])}
<p class="note">Means over ${clips.length} test clips of −5 to 15 dB. No test recording, and no piece of its noise, was trained on.</p>
${examples.map(card).join("")}</section>`;
}

function card({ clip, denoised, filtered }: Example): string {
  const loudest = loudestBin(clip.clean);
  const versions: [string, Float32Array][] = [
    ["Noisy", clip.noisy],
    ["Wiener filter", filtered],
    ["Network", denoised],
    ["Clean", clip.clean],
  ];
  const figures = versions.map(([name, samples]) => {
    const ratio = name === "Clean" ? "what was recorded" : `SI-SDR ${siSdr(samples, clip.clean).toFixed(1).replace("-", "−")} dB`;
    const sound = `data:audio/wav;base64,${Buffer.from(encodeWav({ rate: sampleRate, samples })).toString("base64")}`;
    return `<figure>${spectrogram(name, spectrogramImage(samples, loudest), samples.length / sampleRate)}
<audio controls preload="none" src="${sound}" aria-label="${name}, ${clip.kind}"></audio><figcaption>${ratio}</figcaption></figure>`;
  });
  return `<article class="card"><h3>${clip.kind} <small>${escaped(clip.name)}</small></h3><div class="versions">${figures.join("")}</div></article>`;
}

function overTime({ testStream }: Results): string {
  const { mixture, denoised, filtered } = testStream;
  const line = (label: string, className: string, samples: Float32Array): Line => ({
    label,
    className,
    points: siSdrOverTime(samples, mixture.clean, sampleRate).map((value, second) => [second + 0.5, value]),
  });
  const seconds = mixture.clean.length / sampleRate;
  const gain = (samples: Float32Array) => decibels(meanGain(samples, mixture.noisy, mixture.clean, sampleRate));
  return `<section><h2>While the noise keeps switching</h2>
${lineChart(
  "SI-SDR over time",
  { label: "time, s", from: 0, to: seconds },
  { label: "SI-SDR, dB", from: -10, to: 20 },
  [line("noisy", "noisy", mixture.noisy), line("Wiener filter", "wiener", filtered), line("network", "network", denoised)],
  bandsOf(mixture),
)}${legend([
  ["network", "Network"],
  ["wiener", "Wiener filter"],
  ["noisy", "Noisy"],
])}
<p class="note">Test recordings, one second at a time; the strip names the noise in force. Mean gain: network ${gain(denoised)} dB, Wiener filter ${gain(filtered)} dB.</p></section>`;
}

function comparison({ comparison: { stream, outcomes, winner } }: Results): string {
  const { mixture, steps } = stream;
  const seconds = mixture.clean.length / sampleRate;
  const windowSeconds = 2;
  const before = siSdrOverTime(mixture.noisy, mixture.clean, windowSeconds * sampleRate);
  const gains = outcomes.map(({ heard }) =>
    siSdrOverTime(heard, mixture.clean, windowSeconds * sampleRate).map((value, i) => value - before[i]!),
  );
  const lines = (values: readonly (readonly number[])[], secondsEach: number): Line[] =>
    values.map((points, i) => ({
      label: outcomes[i]!.contender.label,
      className: `optimizer${i}`,
      points: points.map((value, at) => [(at + 0.5) * secondsEach, value]),
    }));
  const names = legend(outcomes.map(({ contender }, i) => [`optimizer${i}`, contender.label]));
  const losses = outcomes.map(({ losses }) => smoothed(losses, Math.ceil(steps / 25)));
  const highest = Math.max(...losses.flatMap((values) => values.slice(Math.ceil(steps / 25))));
  const onTheWay = outcomes.map(
    ({ contender, onTheWay }, i): Line => ({
      label: contender.label,
      className: `optimizer${i}`,
      points: onTheWay.map(({ step, gained }) => [step, gained]),
    }),
  );
  const rows = outcomes.map(
    ({ contender, learningRate, losses, stepTimes, improvements }, i) =>
      `<tr${contender === winner.contender ? ' class="winner"' : ""}><th scope="row"><i class="swatch optimizer${i}"></i>${escaped(contender.label)}</th><td>${learningRate}</td><td>${mean(losses).toFixed(4)}</td><td>${decibels(mean(gains[i]!.filter((gain) => !Number.isNaN(gain))))}</td><td>${decibels(mean(improvements))}</td><td>${median(stepTimes).toFixed(2)}</td></tr>`,
  );
  const zoom = { label: "time, s", from: Math.max(0, seconds - 60), to: seconds };
  return `<section><h2>${outcomes.length} optimizers, one pass, the same batches</h2>
<p>One unshuffled pass over ${Math.round(seconds)} s of noisy speech in ${steps} steps: a step sees half a second and never sees it again. All start from the same weights. <strong>${escaped(winner.contender.label)}</strong> ends best on the test clips of this run.</p>
<div class="scroll"><table><thead><tr><th></th><th>learning rate</th><th>mean loss</th><th>gained while learning, dB</th><th>gained on test clips, dB</th><th>its own step, ms</th></tr></thead><tbody>${rows.join("")}</tbody></table></div>
<h3>Loss</h3>
${lineChart("Loss of each batch before its step", { label: "step", from: 0, to: steps }, { label: "weighted squared error of the mask, smoothed", from: 0, to: highest * 1.05 }, lines(losses, 1))}
<h3>On unseen clips, on the way</h3>
${lineChart("SI-SDR gained on unseen clips, on the way", { label: "step", from: 0, to: steps }, { label: "SI-SDR gained, dB", from: -4, to: 6 }, onTheWay)}
<p class="note">Weights follow the noise of the moment, so what they do for other noise goes up and down; their average follows it less.</p>
<h3>While learning: the last minute</h3>
${lineChart("SI-SDR gained in the last minute", zoom, { label: "SI-SDR gained, dB", from: -6, to: 14 }, lines(gains, windowSeconds), bandsOf(mixture))}
${names}
<p class="note">Each half second is cleaned by the weights (or their average) of the moment before, then learned from.</p></section>`;
}

function study({ study, comparison }: Results): string {
  const lines = comparison.outcomes.map(({ contender }, i): Line => {
    const { rates, best } = resultOf(study, contender.id);
    const points = rates.map(({ learningRate, test }) => [Math.log2(learningRate / best.learningRate), test.mean] as const);
    return { label: contender.label, className: `optimizer${i}`, points };
  });
  const rows = [...study.contenders]
    .sort((a, b) => b.best.test.mean - a.best.test.mean)
    .map(
      ({ label, best }) =>
        `<tr><th scope="row">${escaped(label)}</th><td>${best.learningRate}</td><td>${decibels(best.test.mean)}</td><td>±${best.test.spread.toFixed(2)}</td></tr>`,
    );
  return `<section><h2>The study behind it</h2>
<p>The same task with ${study.seeds.length} seeds and ${study.steps} steps, each optimizer at the learning rate that was best on validation recordings.</p>
<div class="scroll"><table><thead><tr><th></th><th>learning rate</th><th>gained on test clips, dB</th><th>spread</th></tr></thead><tbody>${rows.join("")}</tbody></table></div>
<h3>How much the learning rate matters</h3>
${lineChart("SI-SDR gained against the learning rate", { label: "learning rate over the best one, powers of two", from: -4, to: 5 }, { label: "SI-SDR gained, dB", from: 0, to: 7 }, lines)}
${legend(comparison.outcomes.map(({ contender }, i) => [`optimizer${i}`, contender.label]))}</section>`;
}

const method = ({ quick, credit }: Results): string => `<footer><h2>What this is</h2>
<p>Features: log power of three frames and two running means (645 numbers); network 645-128-128-129; the mask is applied to a short-time spectrum of 256 samples, 128 apart, at 8 kHz. Nothing looks ahead. SI-SDR: scale-invariant signal-to-distortion ratio. White, pink, hum, engine and babble noise are synthesised. There is one voice, so nothing here says how well others are cleaned.${quick ? " This was <code>--quick</code>: leave it out for numbers that mean something." : ""}</p>
<p>${escaped(credit)}</p></footer>`;

const bandsOf = ({ segments }: Mixture): Band[] =>
  segments.map(({ kind, begin, end }) => ({
    from: begin / sampleRate,
    to: end / sampleRate,
    label: kind,
    className: `noise-${kind}`,
  }));

const legend = (entries: readonly (readonly [className: string, label: string])[]): string =>
  `<p class="legend">${entries.map(([className, label]) => `<span><i class="swatch ${className}"></i>${escaped(label)}</span>`).join("")}</p>`;
