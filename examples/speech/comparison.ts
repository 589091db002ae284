import * as tf from "@tensorflow/tfjs";
import { type Clip, networkImprovements } from "./evaluation.ts";
import { type Frames, framesFrom, type Scale, slice } from "./features.ts";
import { type Mixture, mixStream } from "./mixture.ts";
import { disposeBatch, Network, toBatch } from "./network.ts";
import { type Contender, withAverages } from "./optimizers.ts";
import { seeded } from "./random.ts";
import { sampleRate } from "./recordings.ts";
import { analyse, bins, hop, masked, synthesise } from "./spectrogram.ts";
import { trainStep } from "./training.ts";

/** Frames of one step: half a second, so that a step sees little else than the noise of the moment. */
const framesPerStep = 32;
export const secondsPerStep = (framesPerStep * hop) / sampleRate;

/** One pass over noisy speech in the order in which it is heard. */
export interface Stream {
  readonly steps: number;
  readonly mixture: Mixture;
  readonly frames: Frames;
}

/** What one optimizer made of a stream. */
export interface Outcome {
  readonly contender: Contender;
  readonly learningRate: number;
  /** Loss of each step's batch, before the step. */
  readonly losses: readonly number[];
  /** Time of the optimizer's own part of each step, in ms. */
  readonly stepTimes: readonly number[];
  /** SI-SDR gained on each clip with the weights of the end, in dB. */
  readonly improvements: readonly number[];
  /** The stream as cleaned while learning, each half second by the weights of the moment before. Empty if not asked for. */
  readonly heard: Float32Array;
}

export function makeStream(steps: number, voices: readonly Float32Array[], scale: Scale, seed: number): Stream {
  const mixture = mixStream(steps * secondsPerStep, { random: seeded(seed), voices });
  return { steps, mixture, frames: framesFrom(mixture, scale) };
}

/** One optimizer on its way through a stream. Equal seeds give equal first weights. */
export class Run {
  private readonly network: Network;
  private readonly optimizer: tf.Optimizer;
  private readonly losses: number[] = [];
  private readonly stepTimes: number[] = [];
  private readonly mask: Float32Array;

  constructor(
    readonly contender: Contender,
    readonly learningRate: number,
    private readonly stream: Stream,
    seed: number,
    private readonly listen = false,
  ) {
    this.network = new Network(seed);
    this.optimizer = contender.create(learningRate);
    this.mask = new Float32Array(listen ? stream.frames.count * bins : 0);
  }

  step(step: number): void {
    const batch = toBatch(slice(this.stream.frames, step * framesPerStep, (step + 1) * framesPerStep));
    if (this.listen) {
      const mask = withAverages(this.optimizer, () => tf.tidy(() => this.network.mask(batch.features).dataSync()));
      this.mask.set(mask, step * framesPerStep * bins);
    }
    const { loss, stepTime } = trainStep(this.network, this.optimizer, batch);
    this.losses.push(loss);
    this.stepTimes.push(stepTime);
    disposeBatch(batch);
  }

  /** How far it came, measured with the averages where there are any. */
  outcome(clips: readonly Clip[]): Outcome {
    const { contender, learningRate, losses, stepTimes } = this;
    const improvements = withAverages(this.optimizer, () => networkImprovements(this.network, clips));
    return { contender, learningRate, losses, stepTimes, improvements, heard: this.listen ? this.heard() : new Float32Array() };
  }

  private heard(): Float32Array {
    const { noisy } = this.stream.mixture;
    return synthesise(masked(analyse(noisy), this.mask), noisy.length);
  }

  dispose(): void {
    this.optimizer.dispose();
    this.network.dispose();
  }
}

/** All contenders abreast: each step is taken by every one of them on the same batch before the next begins. */
export function compare(runs: readonly Run[], steps: number, onStep: (done: number) => void): void {
  for (let step = 0; step < steps; step++) {
    for (const run of runs) run.step(step);
    onStep(step + 1);
  }
}
