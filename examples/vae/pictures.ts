/** What the network makes, in rows of digits. */

import * as tf from "@tensorflow/tfjs";
import { type Colour, encodePng } from "../png.ts";
import type { Batch } from "./data.ts";
import { draws, normals } from "./draws.ts";
import type { Autoencoder } from "./network.ts";

const [side, gap] = [28, 2];

export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly png: Buffer;
}

/** Digits that never were: from latent numbers out of N(0, 1), equal for equal seeds. */
export const samples = (network: Autoencoder, latent: number, columns: number, rows: number, seed: number): Picture => {
  const normal = normals(draws(seed, "noise", 0));
  const numbers = Float32Array.from({ length: columns * rows * latent }, (_, i) => normal(i));
  return grid(columns, () => chances(network, tf.tensor2d(numbers, [columns * rows, latent])));
};

/** The first digits of a batch in the upper row of each pair, and below them what the network makes of the means of their latent numbers. */
export const reconstructions = (network: Autoencoder, { images }: Batch, columns: number, pairs: number): Picture =>
  grid(columns, () => {
    const given = images.slice([0, 0], [columns * pairs, -1]);
    const [mean] = network.encode(given);
    const rows = [given, chances(network, mean)].map((digits) => digits.reshape([pairs, 1, columns, -1]));
    return tf.concat(rows, 1).reshape([2 * pairs * columns, -1]);
  });

/** From one digit of a batch to the next, in equal steps between the means of their latent numbers: a row for each pair. */
export const walks = (network: Autoencoder, { images }: Batch, columns: number, rows: number): Picture =>
  grid(columns, () => {
    const [mean] = network.encode(images.slice([0, 0], [2 * rows, -1]));
    const [from, to] = tf.split(mean.reshape([rows, 2, -1]), 2, 1); // rows of one digit each
    const share = tf.linspace(0, 1, columns).reshape([1, columns, 1]);
    return chances(network, from!.add(to!.sub(from!).mul(share)).reshape([rows * columns, -1]));
  });

/** The chance that a pixel is 1. */
const chances = (network: Autoencoder, latent: tf.Tensor2D): tf.Tensor => tf.sigmoid(network.decode(latent));

/** Ink on paper. */
const palette = Array.from({ length: 256 }, (_, i) => [255 - i, 255 - i, 255 - i] as Colour);

/** Of 784 numbers from 0 to 1 for each digit. */
const grid = (columns: number, draw: () => tf.Tensor): Picture => {
  const digits = tf.tidy(draw);
  const greys = digits.dataSync();
  const rows = digits.shape[0]! / columns;
  digits.dispose();
  const [width, height] = [columns, rows].map((count) => count * (side + gap) - gap) as [number, number];
  const pixels = new Uint8Array(width * height);
  for (let i = 0; i < greys.length; i++) {
    const [digit, y, x] = [Math.floor(i / side ** 2), Math.floor(i / side) % side, i % side];
    const [top, left] = [Math.floor(digit / columns), digit % columns].map((at) => at * (side + gap)) as [number, number];
    pixels[(top + y) * width + left + x] = Math.round(255 * greys[i]!);
  }
  return { width, height, png: encodePng(width, height, pixels, palette) };
};
