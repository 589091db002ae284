/** Digits as a network sees them: pixels that are 0 or 1, drawn anew in each epoch, and noise for the latent numbers. */

import * as tf from "@tensorflow/tfjs";
import { digits } from "../mnist/data.ts";
import { draws, normals } from "./draws.ts";

const pixels = 784;

/** One batch on the backend. Whoever makes it, disposes it. */
export interface Batch {
  readonly images: tf.Tensor2D;
  readonly noise: tf.Tensor2D;
}

/** Some digits, and the draws of one epoch. */
export class Epoch {
  readonly #greys: Uint8Array;
  readonly #latent: number;
  readonly #pixel: (index: number) => number;
  readonly #noise: (index: number) => number;

  /** `greys`: brightness from 0 to 255, 784 bytes for each digit: the chance, in 255ths, that a pixel is 1. */
  constructor(greys: Uint8Array, latent: number, seed: number, epoch: number) {
    this.#greys = greys;
    this.#latent = latent;
    this.#pixel = draws(seed, "pixels", epoch);
    this.#noise = normals(draws(seed, "noise", epoch));
  }

  /** The digits of these numbers. What is drawn for a digit depends on its number, not on its place. */
  batch(numbers: Uint32Array): Batch {
    const [images, noise] = [new Float32Array(numbers.length * pixels), new Float32Array(numbers.length * this.#latent)];
    for (const [row, number] of numbers.entries()) {
      for (let i = 0; i < pixels; i++) {
        const index = number * pixels + i;
        images[row * pixels + i] = this.#pixel(index) * 255 < this.#greys[index]! * 2 ** 32 ? 1 : 0;
      }
      for (let i = 0; i < this.#latent; i++) noise[row * this.#latent + i] = this.#noise(number * this.#latent + i);
    }
    return {
      images: tf.tensor2d(images, [numbers.length, pixels]),
      noise: tf.tensor2d(noise, [numbers.length, this.#latent]),
    };
  }
}

export const trainingGreys = (count: number): Uint8Array => digits("train", count).pixels;

/** The digits for testing, drawn once, alike for every seed. */
export const testBatch = (count: number, latent: number): Batch =>
  new Epoch(digits("t10k", count).pixels, latent, 0, 0).batch(Uint32Array.from({ length: count }, (_, i) => i));

export const disposeBatch = ({ images, noise }: Batch): void => tf.dispose([images, noise]);
