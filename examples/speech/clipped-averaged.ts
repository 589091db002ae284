import * as tf from "@tensorflow/tfjs";

/**
 * What a user of TensorFlow.js would write around one of its optimizers, which clip and average nothing themselves: each
 * gradient clipped to an L2 norm of `clipnorm`, and a moving average of the weights. Only the study uses it, so that the
 * update rules can be told from what is around them.
 */
export class ClippedAveraged extends tf.Optimizer {
  static readonly className = "ClippedAveraged";
  readonly useEma = true;
  private readonly averages = new Map<string, tf.Variable>();

  constructor(
    private readonly inner: tf.Optimizer,
    private readonly clipnorm: number,
    private readonly momentum: number,
  ) {
    super();
  }

  applyGradients(gradients: { name: string; tensor: tf.Tensor }[]): void {
    const clipped = gradients.map(({ name, tensor }) => ({ name, tensor: tf.tidy(() => this.clip(tensor)) }));
    for (const variable of variablesOf(gradients))
      if (!this.averages.has(variable.name)) this.averages.set(variable.name, tf.variable(variable.clone(), false));
    this.inner.applyGradients(clipped);
    tf.dispose(clipped.map(({ tensor }) => tensor));
    for (const variable of variablesOf(gradients)) {
      const average = this.averages.get(variable.name)!;
      tf.tidy(() => average.assign(average.mul(this.momentum).add(variable.mul(1 - this.momentum))));
    }
  }

  /** Exchanges weights and averages; twice changes nothing. */
  swapAverages(): void {
    for (const variable of variablesOf([...this.averages.keys()].map((name) => ({ name })))) {
      const average = this.averages.get(variable.name)!;
      const weights = variable.clone();
      variable.assign(average.clone());
      average.assign(weights);
    }
  }

  override dispose(): void {
    tf.dispose([...this.averages.values()]);
    this.inner.dispose();
  }

  getConfig(): tf.serialization.ConfigDict {
    return { clipnorm: this.clipnorm, momentum: this.momentum };
  }

  private clip(gradient: tf.Tensor): tf.Tensor {
    return gradient.mul(tf.div(this.clipnorm, tf.maximum(tf.norm(gradient), this.clipnorm)));
  }
}

function variablesOf(named: readonly { name: string }[]): tf.Variable[] {
  const registered = tf.engine().registeredVariables;
  return named.map(({ name }) => registered[name]!);
}
