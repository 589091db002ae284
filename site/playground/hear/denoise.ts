/** Trains the denoiser of the speech example in a worker of the page, and cleans the sound that the visitor listens to with it. */

import * as tf from "@tensorflow/tfjs";
import type { Adamax } from "adamax/tfjs";
import { featureCount, featuresOf, type Scale } from "../../../examples/speech/features.ts";
import { mixClip } from "../../../examples/speech/mixture.ts";
import { disposeBatch, Network, toBatch } from "../../../examples/speech/network.ts";
import { denoiserOptimizer } from "../../../examples/speech/optimizers.ts";
import { hash, seeded } from "../../../examples/speech/random.ts";
import { sampleRate } from "../../../examples/speech/recording.ts";
import { siSdr } from "../../../examples/speech/si-sdr.ts";
import { analyse, masked, power, synthesise } from "../../../examples/speech/spectrogram.ts";
import { scaleFrom, shuffledBatches } from "../../../examples/speech/training.ts";
import { encodeWav } from "../../../examples/speech/wav.ts";
import { useBackend } from "../backends.ts";
import type { HearAnswer, Heard, HearRequest, Listening, Sounds } from "./protocol.ts";
import { loadVoices, type Voices } from "./voices.ts";

const BATCH = 128;
const SEED = 1;
/** Steps between two updates of the sound, and of the curve. */
const [SOUND_EVERY, CURVE_EVERY] = [50, 5];

const say = (answer: HearAnswer) => self.postMessage(answer);

const heard = (samples: Float32Array, clean: Float32Array | null): Heard => ({
  wav: encodeWav({ rate: sampleRate, samples }),
  decibels: clean && siSdr(samples, clean),
  spectrogram: power(analyse(samples)).map((value) => 10 * Math.log10(value + 1e-9)),
});

class Denoiser {
  readonly #voices: Voices;
  readonly #scale: Scale;
  readonly #network = new Network(SEED);
  readonly #optimizer: Adamax;
  readonly #steps: number;
  #done = 0;
  listening: Listening;

  constructor(voices: Voices, steps: number, listening: Listening) {
    this.#voices = voices;
    this.#steps = steps;
    this.listening = listening;
    this.#scale = scaleFrom(this.#trained);
    this.#optimizer = denoiserOptimizer(steps);
  }

  get #trained(): Float32Array[] {
    return this.#voices.train.map(({ samples }) => samples);
  }

  async train(): Promise<void> {
    const batches = shuffledBatches(BATCH, this.#trained, this.#scale, SEED);
    let losses: number[] = [];
    while (this.#done < this.#steps) {
      losses.push(await this.#step(batches.next().value));
      this.#done++;
      if (this.#done % CURVE_EVERY === 0) {
        say({ kind: "losses", done: this.#done, losses });
        losses = [];
      }
      if (this.#done % SOUND_EVERY === 0 || this.#done === this.#steps) await this.listen();
    }
  }

  async #step(frames: Parameters<typeof toBatch>[0]): Promise<number> {
    const batch = toBatch(frames);
    const { variables } = this.#network;
    const { value, grads } = tf.variableGrads(() => this.#network.loss(this.#network.mask(batch.features), batch), variables);
    this.#optimizer.applyGradients(variables.map(({ name }) => ({ name, tensor: grads[name]! })));
    const [loss] = await value.data(); // not dataSync: a GPU is read later
    tf.dispose([value, grads]);
    disposeBatch(batch);
    return loss!;
  }

  /** Sends the sound as the network cleans it now. */
  async listen(): Promise<void> {
    const { noise, recording } = this.listening;
    const { name, samples } = this.#voices.test[recording]!;
    const { clean, noisy } = mixClip(samples, noise, { random: seeded(hash(name, SEED)), voices: this.#trained });
    const last = await this.#clean(noisy);
    let averaged = last;
    if (this.#done > 0) {
      await this.#optimizer.download();
      this.#optimizer.swapAverages();
      averaged = await this.#clean(noisy);
      this.#optimizer.swapAverages();
    }
    const sounds: Sounds = {
      clean: heard(clean, null),
      noisy: heard(noisy, clean),
      last: heard(last, clean),
      averaged: heard(averaged, clean),
    };
    say({ kind: "sounds", step: this.#done, sounds });
  }

  async #clean(noisy: Float32Array): Promise<Float32Array> {
    const spectrogram = analyse(noisy);
    const mask = tf.tidy(() =>
      this.#network.mask(tf.tensor2d(featuresOf(spectrogram, this.#scale), [spectrogram.frames, featureCount])),
    );
    const values = await mask.data();
    mask.dispose();
    return synthesise(masked(spectrogram, values), noisy.length);
  }
}

let denoiser: Denoiser | null = null;

const train = async ({ backend, steps, listening }: HearRequest & { kind: "train" }): Promise<void> => {
  say({ kind: "status", says: "TensorFlow.js and the recordings are loading …" });
  const [, voices] = await Promise.all([useBackend(backend, false), loadVoices()]);
  denoiser = new Denoiser(voices, steps, listening);
  say({ kind: "status", says: `Training on ${tf.getBackend()} …` });
  await denoiser.listen();
  const begin = performance.now();
  await denoiser.train();
  const seconds = (performance.now() - begin) / 1000;
  say({ kind: "done", says: `${steps} steps in ${seconds.toFixed(1)} s on ${tf.getBackend()}.` });
  isTraining = false;
};

let isTraining = false;

const answer = async (request: HearRequest): Promise<void> => {
  if (request.kind === "train") {
    isTraining = true;
    return train(request);
  }
  if (!denoiser) return;
  denoiser.listening = request.listening;
  if (!isTraining) await denoiser.listen(); // else it is heard at the next update
};

export const hear = (request: HearRequest): void => {
  answer(request).catch((error: Error) => say({ kind: "failed", message: error.message }));
};
