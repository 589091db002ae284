/** Lays the listed rows of IndexedSlices into a dense window, a block at a time, so that no dense gradient is ever made. */

import type { SparseGradient, Values } from "../../backend.js";

export class SparseWindow {
  readonly #rowSize: number;
  #values: ArrayLike<number> = [];
  #indices: Int32Array | readonly number[] = [];
  /** The places in `indices`, in order of the rows they name, equal rows in the order given; null where they stand in this order. */
  #order: Int32Array | null = null;
  /** Windows are asked for in ascending order; the search for the first row goes on from here. */
  #next = 0;

  /** `rowSize`: elements in one row along the variable's first axis. */
  constructor(rowSize: number) {
    this.#rowSize = rowSize;
  }

  /** Prepares for windows over `slices`. */
  open({ values, indices }: SparseGradient): void {
    this.#values = values;
    this.#indices = indices;
    this.#order = null;
    this.#next = 0;
    const count = indices.length;
    let i = 1;
    while (i < count && indices[i - 1]! <= indices[i]!) i++;
    if (i >= count) return;
    // One number per index, the row in front of the place: a native sort of numbers, and stable.
    const keys = new Float64Array(count);
    for (let k = 0; k < count; k++) keys[k] = indices[k]! * count + k;
    keys.sort();
    this.#order = new Int32Array(count);
    for (let k = 0; k < count; k++) this.#order[k] = keys[k]! % count;
  }

  /** The slices are the caller's: they are not kept alive. */
  close(): void {
    this.#values = this.#indices = [];
  }

  #place(i: number): number {
    return this.#order ? this.#order[i]! : i;
  }

  rewind(): void {
    this.#next = 0;
  }

  /** Whether a listed row reaches into elements [begin, end). */
  touches(begin: number, end: number): boolean {
    const rowSize = this.#rowSize;
    while (this.#next < this.#indices.length && (this.#indices[this.#place(this.#next)]! + 1) * rowSize <= begin) this.#next++;
    return this.#next < this.#indices.length && this.#indices[this.#place(this.#next)]! * rowSize < end;
  }

  /** Writes elements [begin, end) of the dense gradient to `target` at `offset`. Call `touches` for the same window first. */
  write(begin: number, end: number, target: Values, offset: number): void {
    target.fill(0, offset, offset + end - begin);
    const rowSize = this.#rowSize;
    for (let i = this.#next; i < this.#indices.length; i++) {
      const place = this.#place(i);
      const rowBegin = this.#indices[place]! * rowSize;
      if (rowBegin >= end) break;
      const from = Math.max(begin, rowBegin);
      const to = Math.min(end, rowBegin + rowSize);
      const shift = place * rowSize - rowBegin;
      for (let k = from; k < to; k++) target[offset + k - begin]! += this.#values[k + shift]!;
    }
  }
}
