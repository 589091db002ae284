import { below, between, normal, pick, type Random } from "./random.ts";
import { sampleRate } from "./recording.ts";

export const noiseKinds = ["white", "pink", "hum", "engine", "babble"] as const;
export type NoiseKind = (typeof noiseKinds)[number];

type Generator = (length: number, random: Random, voices: readonly Float32Array[]) => Float32Array;

const generators: Record<NoiseKind, Generator> = { white, pink, hum, engine, babble };

/** `length` samples of a noise with RMS 1. `voices` are what babble is made of. */
export function makeNoise(kind: NoiseKind, length: number, random: Random, voices: readonly Float32Array[]): Float32Array {
  return withUnitPower(generators[kind](length, random, voices));
}

/** `Float32Array.from({ length }, next)`, but ten times as fast. */
function generate(length: number, next: (t: number) => number): Float32Array {
  const samples = new Float32Array(length);
  for (let t = 0; t < length; t++) samples[t] = next(t);
  return samples;
}

function white(length: number, random: Random): Float32Array {
  return generate(length, () => normal(random));
}

/** White noise through first-order low-passes an octave apart: about 1 / f from 30 Hz up. */
function pink(length: number, random: Random): Float32Array {
  const corners = [30, 60, 120, 240, 480, 960, 1920, 3840]; // Hz
  const poles = corners.map((corner) => Math.exp((-2 * Math.PI * corner) / sampleRate));
  const gains = corners.map((corner, i) => (1 - poles[i]!) / Math.sqrt(corner));
  const states = new Float64Array(corners.length);
  return generate(length, () => {
    const input = normal(random);
    let sum = 0;
    for (let i = 0; i < states.length; i++) {
      states[i] = poles[i]! * states[i]! + gains[i]! * input;
      sum += states[i]!;
    }
    return sum;
  });
}

/** Mains hum: 50 or 60 Hz with harmonics whose strengths are drawn, over a floor of noise 30 dB below. */
function hum(length: number, random: Random): Float32Array {
  const mains = pick(random, [50, 60]) * between(random, 0.998, 1.002);
  const tone = cycle(
    Array.from({ length: 12 }, (_, i) => between(random, 0.2, 1) / (i + 1)),
    random,
  );
  return generate(length, (t) => tone((mains * t) / sampleRate) + 0.04 * normal(random));
}

/** A motor: harmonics of a firing rate of 20 to 60 Hz that drifts, and rough noise below about 800 Hz that pulses with it. */
function engine(length: number, random: Random): Float32Array {
  const tone = cycle(
    Array.from({ length: 24 }, (_, i) => between(random, 0.1, 1) / (1 + i / 6)),
    random,
  );
  const pulse = cycle([0.8], random);
  const roughness = between(random, 0.6, 1.6);
  let firingRate = between(random, 20, 60);
  let drift = 0;
  let turns = 0;
  let rough = 0;
  return generate(length, () => {
    drift = 0.9998 * drift + 6e-6 * normal(random);
    firingRate = Math.min(70, Math.max(18, firingRate + drift));
    turns += firingRate / sampleRate;
    rough = 0.55 * rough + normal(random);
    return tone(turns) + roughness * rough * (1 + pulse(turns));
  });
}

/** A periodic wave, read at a number of turns: harmonics of the given strengths at drawn phases, from a table of one turn. */
function cycle(strengths: readonly number[], random: Random): (turns: number) => number {
  const points = 4096;
  const phases = strengths.map(() => between(random, 0, 2 * Math.PI));
  const table = Float64Array.from({ length: points }, (_, at) =>
    strengths.reduce((sum, strength, i) => sum + strength * Math.sin(((i + 1) * 2 * Math.PI * at) / points + phases[i]!), 0),
  );
  return (turns) => table[Math.floor(turns * points) % points]!;
}

/** Four to six people at once, each a loop over recordings that start anywhere. */
function babble(length: number, random: Random, voices: readonly Float32Array[]): Float32Array {
  const sum = new Float32Array(length);
  for (let talker = 4 + below(random, 3); talker > 0; talker--) {
    let voice = pick(random, voices);
    let at = below(random, voice.length);
    for (let t = 0; t < length; t++, at++) {
      if (at >= voice.length) [voice, at] = [pick(random, voices), 0];
      sum[t]! += voice[at]!;
    }
  }
  return sum;
}

function withUnitPower(samples: Float32Array): Float32Array {
  let power = 0;
  for (let t = 0; t < samples.length; t++) power += samples[t]! ** 2 / samples.length;
  for (let t = 0; t < samples.length; t++) samples[t]! /= Math.sqrt(power);
  return samples;
}
