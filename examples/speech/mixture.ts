import { makeNoise, type NoiseKind, noiseKinds } from "./noise.ts";
import { between, normal, pick, type Random, shuffle } from "./random.ts";
import { sampleRate } from "./recording.ts";

export interface NoiseSegment {
  readonly kind: NoiseKind;
  /** First sample and the one after the last. */
  readonly begin: number;
  readonly end: number;
}

export interface Mixture {
  readonly clean: Float32Array;
  readonly noisy: Float32Array;
  /** Which noise was in force when, in order. */
  readonly segments: readonly NoiseSegment[];
}

export interface MixtureOptions {
  readonly random: Random;
  /** What is said, and what babble is made of. */
  readonly voices: readonly Float32Array[];
  readonly kinds?: readonly NoiseKind[];
}

const speechRms = 0.1; // what loadRecordings scales to
const leadIn = 0.5 * sampleRate;
const crossfade = 0.05 * sampleRate;
const walkInterval = 0.25 * sampleRate;
const [lowestSnr, highestSnr] = [-5, 15]; // dB

/** A stream: all voices in a drawn order with pauses between them, under noise that switches every 2 to 5 s. */
export function mixStream(seconds: number, { random, voices, kinds = noiseKinds }: MixtureOptions): Mixture {
  const length = Math.round(seconds * sampleRate);
  const clean = speech(length, random, voices);
  const segments = switching(length, random, kinds);
  return addNoise(clean, segments, random, voices);
}

/** One recording under one kind of noise, which is there half a second before the voice. */
export function mixClip(voice: Float32Array, kind: NoiseKind, { random, voices }: MixtureOptions): Mixture {
  const clean = new Float32Array(leadIn + voice.length);
  clean.set(voice, leadIn);
  const others = voices.filter((other) => other !== voice);
  return addNoise(clean, [{ kind, begin: 0, end: clean.length }], random, others);
}

function speech(length: number, random: Random, voices: readonly Float32Array[]): Float32Array {
  const samples = new Float32Array(length);
  for (let at = 0; at < length; ) {
    for (const voice of inDrawnOrder(random, voices)) {
      if (at >= length) break;
      samples.set(voice.subarray(0, length - at), at);
      at += voice.length + Math.round(between(random, 0.1, 0.6) * sampleRate);
    }
  }
  return samples;
}

function inDrawnOrder(random: Random, voices: readonly Float32Array[]): Float32Array[] {
  const order = shuffle(
    random,
    Array.from(voices, (_, i) => i),
  );
  return order.map((i) => voices[i]!);
}

function switching(length: number, random: Random, kinds: readonly NoiseKind[]): NoiseSegment[] {
  const segments: NoiseSegment[] = [];
  let begin = 0;
  while (begin < length) {
    const end = Math.min(length, begin + Math.round(between(random, 2, 5) * sampleRate));
    const others = kinds.filter((kind) => kind !== segments.at(-1)?.kind);
    segments.push({ kind: pick(random, others.length > 0 ? others : kinds), begin, end });
    begin = end;
  }
  return segments;
}

function addNoise(clean: Float32Array, segments: NoiseSegment[], random: Random, voices: readonly Float32Array[]): Mixture {
  const gains = walkingGains(clean.length, random); // drawn first: equal seeds give every kind the same walk
  const noise = new Float32Array(clean.length);
  for (const { kind, begin, end } of segments) {
    const start = Math.max(0, begin - crossfade); // fades in before its beginning, while the one before fades out
    const samples = makeNoise(kind, end - start, random, voices);
    for (let i = 0; i < samples.length; i++) {
      const fadeIn = begin === 0 ? 1 : Math.min(1, i / crossfade);
      const fadeOut = end === clean.length ? 1 : Math.min(1, (samples.length - i) / crossfade);
      noise[start + i]! += samples[i]! * Math.sqrt(fadeIn * fadeOut); // equal power
    }
  }
  const noisy = clean.slice();
  for (let i = 0; i < noisy.length; i++) noisy[i]! += noise[i]! * gains[i]!;
  return { clean, noisy, segments };
}

/** The noise's RMS at each sample: a signal-to-noise ratio that walks in dB and turns back at its limits. */
function walkingGains(length: number, random: Random): Float32Array {
  const gains = new Float32Array(length);
  let snr = between(random, lowestSnr, highestSnr);
  for (let begin = 0; begin < length; begin += walkInterval) {
    const next = reflected(snr + 1.5 * normal(random));
    const end = Math.min(length, begin + walkInterval);
    const ratio = 10 ** (-(next - snr) / 20 / walkInterval); // even in dB
    let gain = speechRms * 10 ** (-snr / 20);
    for (let at = begin; at < end; at++, gain *= ratio) gains[at] = gain;
    snr = next;
  }
  return gains;
}

function reflected(snr: number): number {
  if (snr < lowestSnr) return 2 * lowestSnr - snr;
  return snr > highestSnr ? 2 * highestSnr - snr : snr;
}
