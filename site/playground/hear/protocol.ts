/** What the page of the denoiser and its worker say to each other. */

import type { NoiseKind } from "../../../examples/speech/noise.ts";
import type { BackendName } from "../backends.ts";

/** What is listened to. */
export interface Listening {
  readonly noise: NoiseKind;
  /** Which of the recordings that are never trained on. */
  readonly recording: number;
}

export type HearRequest =
  | { readonly kind: "train"; readonly backend: BackendName; readonly steps: number; readonly listening: Listening }
  | { readonly kind: "listen"; readonly listening: Listening };

/** A sound, with what there is to say of it. */
export interface Heard {
  readonly wav: Uint8Array<ArrayBuffer>;
  /** SI-SDR in dB; null: it is the reference. */
  readonly decibels: number | null;
  /** Power of each bin in dB, frame by frame. */
  readonly spectrogram: Float32Array;
}

export interface Sounds {
  readonly clean: Heard;
  readonly noisy: Heard;
  /** Cleaned with the weights of the last step, and with their averages. */
  readonly last: Heard;
  readonly averaged: Heard;
}

export type HearAnswer =
  | { readonly kind: "status"; readonly says: string }
  /** Losses of the steps up to `done`. */
  | { readonly kind: "losses"; readonly done: number; readonly losses: readonly number[] }
  | { readonly kind: "sounds"; readonly step: number; readonly sounds: Sounds }
  | { readonly kind: "done"; readonly says: string }
  | { readonly kind: "failed"; readonly message: string };

/** Recordings that are never trained on: how many there are to choose from. */
export const CHOICES = 6;
