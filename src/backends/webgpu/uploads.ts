/** Brings arrays from main memory to the device. Each call of WebGPU takes microseconds, so small arrays that lie side by side go together. */

import type { Place } from "./memory.js";
import { uploadable } from "./uploadable.js";

/** Elements that go together at most: 1 MiB. */
const PIECE = 2 ** 18;
/** What is as long as this goes alone, and is copied once less. */
const LARGE = 2 ** 15;
/** Arrays that lie side by side may be this far apart. */
const GAP = 64;

export class Uploads {
  readonly #queue: GPUQueue;
  readonly #piece = new Float32Array(PIECE);
  #buffer: GPUBuffer | undefined;
  #begin = 0;
  #end = 0;

  constructor(queue: GPUQueue) {
    this.#queue = queue;
  }

  /** The values are copied before this returns; they arrive with `flush`. */
  add({ buffer, offset }: Place, values: Float32Array): void {
    if (values.length >= LARGE) {
      this.#queue.writeBuffer(buffer, offset * 4, uploadable(values) as Float32Array<ArrayBuffer>);
      return;
    }
    const continues =
      buffer === this.#buffer && offset >= this.#end && offset < this.#end + GAP && offset + values.length <= this.#begin + PIECE;
    if (!continues) {
      this.flush();
      this.#buffer = buffer;
      this.#begin = this.#end = offset;
    }
    this.#piece.fill(0, this.#end - this.#begin, offset - this.#begin);
    this.#piece.set(values, offset - this.#begin);
    this.#end = offset + values.length;
  }

  flush(): void {
    if (this.#buffer && this.#end > this.#begin)
      this.#queue.writeBuffer(this.#buffer, this.#begin * 4, this.#piece, 0, this.#end - this.#begin);
    this.#buffer = undefined;
  }
}
