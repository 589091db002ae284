import * as tf from "@tensorflow/tfjs";
import { type Clip, networkImprovements } from "./evaluation.ts";
import { type Frames, framesFrom, type Scale, slice } from "./features.ts";
import { type Mixture, mixStream } from "./mixture.ts";
import { type Batch, disposeBatch, Network, toBatch } from "./network.ts";
import { type Contender, keepsAverages, withAverages } from "./optimizers.ts";
import { seeded } from "./random.ts";
import { sampleRate } from "./recording.ts";
import { mean } from "./si-sdr.ts";
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

export interface Checkpoint {
  /** Steps done. */
  readonly step: number;
  /** In dB. */
  readonly gained: number;
}

/** What one optimizer made of a stream. */
export interface Outcome {
  readonly contender: Contender;
  readonly learningRate: number;
  /** Loss of each step's batch, before the step. */
  readonly losses: readonly number[];
  /** Time of the optimizer's own part of each step, in ms. */
  readonly stepTimes: readonly number[];
  /** Mean SI-SDR gained on a few clips, measured now and then. */
  readonly onTheWay: readonly Checkpoint[];
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
  readonly losses: number[] = [];
  readonly stepTimes: number[] = [];
  private readonly onTheWay: Checkpoint[] = [];
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
    const averaged = this.listen && keepsAverages(this.optimizer) ? this.averagedMask(batch) : null;
    const { loss, mask, time } = trainStep(this.network, this.optimizer, batch);
    if (this.listen) this.mask.set(averaged ?? mask, step * framesPerStep * bins);
    this.losses.push(loss);
    this.stepTimes.push(time);
    disposeBatch(batch);
  }

  private averagedMask({ features }: Batch): Float32Array {
    return withAverages(this.optimizer, () => tf.tidy(() => this.network.mask(features).dataSync())) as Float32Array;
  }

  /** SI-SDR gained on each of these clips by now, in dB, with the averages where there are any. */
  improvements(clips: readonly Clip[]): number[] {
    return withAverages(this.optimizer, () => networkImprovements(this.network, clips));
  }

  /** Notes how good it is on these clips after `step` steps. */
  measure(step: number, clips: readonly Clip[]): void {
    this.onTheWay.push({ step, gained: mean(this.improvements(clips)) });
  }

  /** How far it came. */
  outcome(clips: readonly Clip[]): Outcome {
    const { contender, learningRate, losses, stepTimes, onTheWay } = this;
    const heard = this.listen ? this.heard() : new Float32Array();
    return { contender, learningRate, losses, stepTimes, onTheWay, improvements: this.improvements(clips), heard };
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

/** All contenders abreast: each step is taken by every one of them on the same batch before the next begins. Every `interval`
 *  steps, and before the first, all are measured on `clips`. */
export function compare(
  runs: readonly Run[],
  steps: number,
  { clips, interval, onStep }: { clips: readonly Clip[]; interval: number; onStep: (done: number) => void },
): void {
  for (const run of runs) run.measure(0, clips);
  for (let step = 0; step < steps; step++) {
    for (const run of runs) run.step(step);
    if ((step + 1) % interval === 0) for (const run of runs) run.measure(step + 1, clips);
    onStep(step + 1);
  }
}
