/** Lays the listed rows of IndexedSlices into a dense window, a block at a time, so that no dense gradient is ever made. */

import type { SparseGradient, Values } from "../../backend.js";

export class SparseWindow {
  readonly #rowSize: number;
  #values: ArrayLike<number> = [];
  #indices: Int32Array | readonly number[] = [];
  /** The places in `indices`, in order of the rows they name; equal rows in the order given. */
  #order = new Int32Array(0);
  #sorted = true;
  /** Windows are asked for in ascending order; the search for the first row goes on from here. */
  #next = 0;

  /** `rowSize`: elements in one row along the variable's first axis. */
  constructor(rowSize: number) {
    this.#rowSize = rowSize;
  }

  /** Prepares for windows over `slices`. */
  open(slices: SparseGradient): void {
    this.#values = slices.values;
    this.#indices = slices.indices;
    this.#sort();
    this.#next = 0;
  }

  /** The slices are the caller's: they are not kept alive. */
  close(): void {
    this.#values = this.#indices = [];
  }

  #sort(): void {
    const indices = this.#indices;
    this.#sorted = true;
    for (let i = 1; i < indices.length && this.#sorted; i++) this.#sorted = indices[i - 1]! <= indices[i]!;
    if (this.#sorted) return;
    // One number per index, the row in front of the place: a native sort of numbers, and stable.
    const count = indices.length;
    const keys = new Float64Array(count);
    for (let i = 0; i < count; i++) keys[i] = indices[i]! * count + i;
    keys.sort();
    if (this.#order.length < count) this.#order = new Int32Array(count);
    for (let i = 0; i < count; i++) this.#order[i] = keys[i]! % count;
  }

  #place(i: number): number {
    return this.#sorted ? i : this.#order[i]!;
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
