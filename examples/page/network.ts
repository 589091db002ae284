/** Dense layers with tanh between them and a softmax at the end, and their gradients, written by hand. */

import { Variable } from "adamax";

/** What goes in, and the number of the class that should come out. */
export interface Sample {
  readonly input: readonly number[];
  readonly label: number;
}

interface Layer {
  /** [outputs, inputs], row by row. */
  readonly kernel: Variable<Float32Array>;
  readonly bias: Variable<Float32Array>;
}

export class Network {
  readonly #layers: readonly Layer[];

  /** `sizes` are those of the input, of each hidden layer, and the number of classes. `normal` gives numbers of mean 0 and deviation 1. */
  constructor(sizes: readonly number[], normal: () => number) {
    this.#layers = sizes.slice(1).map((outputs, i) => {
      const inputs = sizes[i]!;
      const values = Float32Array.from({ length: outputs * inputs }, () => normal() / Math.sqrt(inputs));
      return {
        kernel: new Variable(values, { shape: [outputs, inputs], name: `layer${i}/kernel` }),
        bias: new Variable(new Float32Array(outputs), { name: `layer${i}/bias` }),
      };
    });
  }

  get variables(): Variable<Float32Array>[] {
    return this.#layers.flatMap(({ kernel, bias }) => [kernel, bias]);
  }

  /** The probability of each class. */
  predict(input: readonly number[]): number[] {
    return this.#activations(input).at(-1)!;
  }

  /** The input, and what each layer makes of it. Values are read anew in each call: the first step of an optimizer moves them. */
  #activations(input: readonly number[]): number[][] {
    const activations = [[...input]];
    for (const [i, layer] of this.#layers.entries()) {
      const [kernel, bias, given] = [layer.kernel.value, layer.bias.value, activations[i]!];
      const sums = Array.from(bias, (sum, o) => given.reduce((total, x, j) => total + kernel[o * given.length + j]! * x, sum));
      activations.push(i === this.#layers.length - 1 ? softmax(sums) : sums.map(Math.tanh));
    }
    return activations;
  }

  /** The mean cross-entropy of a batch. */
  loss(batch: readonly Sample[]): number {
    return batch.reduce((sum, { input, label }) => sum - Math.log(this.predict(input)[label]!), 0) / batch.length;
  }

  /** The same, and its gradient for each variable, in the variable's own array for it. */
  lossAndGradients(batch: readonly Sample[]) {
    const { variables } = this;
    for (const variable of variables) variable.gradient.fill(0);
    let loss = 0;
    for (const { input, label } of batch) {
      const activations = this.#activations(input);
      const probabilities = activations.at(-1)!;
      loss -= Math.log(probabilities[label]!) / batch.length;
      this.#backward(
        activations,
        probabilities.map((p, c) => (p - Number(c === label)) / batch.length),
      );
    }
    return { loss, gradients: variables.map((variable) => [variable.gradient, variable] as const) };
  }

  /** Adds the gradients of one sample. `errors` are those of the last layer's sums. */
  #backward(activations: readonly number[][], errors: number[]): void {
    for (let i = this.#layers.length - 1; i >= 0; i--) {
      const { kernel, bias } = this.#layers[i]!;
      const given = activations[i]!;
      const [weights, kernelGradient, biasGradient] = [kernel.value, kernel.gradient, bias.gradient];
      const back = given.map(() => 0);
      for (const [o, error] of errors.entries()) {
        biasGradient[o]! += error;
        for (const [j, x] of given.entries()) {
          kernelGradient[o * given.length + j]! += error * x;
          back[j]! += error * weights[o * given.length + j]!;
        }
      }
      errors = back.map((error, j) => error * (1 - given[j]! ** 2)); // through the tanh
    }
  }
}

const softmax = (sums: readonly number[]): number[] => {
  const largest = Math.max(...sums);
  const odds = sums.map((sum) => Math.exp(sum - largest));
  const total = odds.reduce((a, b) => a + b);
  return odds.map((odd) => odd / total);
};
