/** Where the commands of steps are encoded, and when they are submitted. */

export interface Commands {
  /** How many steps may wait to be submitted. What is uploaded arrives before all that waits, so each of them needs a place of its own. */
  readonly waiting: number;
  /** An encoder, in which no pass is open. */
  encoder(): GPUCommandEncoder;
  /** All commands of a step are in it, with so many dispatches. */
  encoded(dispatches: number): void;
  /** Submits what waits. */
  submit(): void;
  /** @throws BackendError, once, where the device refused what others had encoded beside steps, and the steps with it. */
  assertMade(): void;
  /** Likewise, after something has been read: of all steps before that. */
  made(): Promise<void>;
}

/** For each step an encoder, which is submitted at once. */
export class OwnCommands implements Commands {
  readonly waiting = 1;
  readonly #gpu: GPUDevice;
  #encoder: GPUCommandEncoder | undefined;

  constructor(gpu: GPUDevice) {
    this.#gpu = gpu;
  }

  encoder(): GPUCommandEncoder {
    this.#encoder = this.#gpu.createCommandEncoder();
    return this.#encoder;
  }

  encoded(): void {
    this.#gpu.queue.submit([this.#encoder!.finish()]);
    this.#encoder = undefined;
  }

  submit(): void {}

  /** Nobody else encodes here. */
  assertMade(): void {}

  async made(): Promise<void> {}
}
