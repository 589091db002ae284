import * as tf from "@tensorflow/tfjs";
import { dataMatMul, matMul } from "../tfjs-wasm.ts";
import { draws } from "./draws.ts";

const pixels = 784;

/** Sizes of the layers between. */
export interface Sizes {
  readonly hidden: number;
  readonly latent: number;
}

/** A variational autoencoder (Kingma and Welling 2013): pixels - hidden - mean and log variance of the latent numbers, and back to the logits
 *  of pixels that are 0 or 1. */
export class Autoencoder {
  readonly variables: tf.Variable[] = [];

  /** Equal seeds give equal weights (Glorot and Bengio 2010), zero biases. */
  constructor({ hidden, latent }: Sizes, seed: number) {
    this.#addLayer("encoder/hidden", [pixels, hidden], seed);
    this.#addLayer("encoder/latent", [hidden, 2 * latent], seed);
    this.#addLayer("decoder/hidden", [latent, hidden], seed);
    this.#addLayer("decoder/pixels", [hidden, pixels], seed);
  }

  /** Where the latent numbers of each image lie: mean and log variance, a row for each. */
  encode(images: tf.Tensor2D): [mean: tf.Tensor2D, logVariance: tf.Tensor2D] {
    const [kernel1, bias1, kernel2, bias2] = this.#tensors();
    const hidden = tf.relu(dataMatMul(images, kernel1!).add(bias1!)) as tf.Tensor2D;
    return tf.split(matMul(hidden, kernel2!).add(bias2!), 2, 1) as [tf.Tensor2D, tf.Tensor2D];
  }

  /** Logits of the pixels. */
  decode(latent: tf.Tensor2D): tf.Tensor2D {
    const [kernel3, bias3, kernel4, bias4] = this.#tensors().slice(4);
    const hidden = tf.relu(matMul(latent, kernel3!).add(bias3!)) as tf.Tensor2D;
    return matMul(hidden, kernel4!).add(bias4!) as tf.Tensor2D;
  }

  /** The negative evidence lower bound: nats for one image, the mean over the rows. `noise` is normal, one number for each latent one. */
  loss(images: tf.Tensor2D, noise: tf.Tensor2D): tf.Scalar {
    const [mean, logVariance] = this.encode(images);
    const latent = mean.add(logVariance.mul(0.5).exp().mul(noise)) as tf.Tensor2D;
    const logits = this.decode(latent);
    const reconstruction = tf.softplus(logits).sub(images.mul(logits)).sum(1);
    const divergence = logVariance.exp().add(mean.square()).sub(logVariance).sub(1).sum(1).mul(0.5); // from N(0, 1)
    return tf.mean(reconstruction.add(divergence)); // row by row: the backend adds one number after the other, and 784,000 would lose a thousandth
  }

  dispose(): void {
    tf.dispose(this.variables);
  }

  #addLayer(name: string, [from, to]: [number, number], seed: number): void {
    const draw = draws(seed, "kernel", this.variables.length);
    const limit = Math.sqrt(6 / (from + to));
    const kernel = Float32Array.from({ length: from * to }, (_, i) => ((2 * draw(i)) / 2 ** 32 - 1) * limit);
    this.variables.push(tf.variable(tf.tensor2d(kernel, [from, to]), true, `${name}/kernel`));
    this.variables.push(tf.variable(tf.zeros([to]), true, `${name}/bias`));
  }

  #tensors(): tf.Tensor2D[] {
    return this.variables as tf.Tensor[] as tf.Tensor2D[];
  }
}
