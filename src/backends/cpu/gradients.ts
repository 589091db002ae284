/** What a gradient in main memory must be like. */

import type { Described, Gradient, Values } from "../../backend.js";
import { refuseResized, ShapeError, show } from "../../errors.js";
import { IndexedSlices } from "../../indexed-slices.js";
import { ARRAYS, wordsFor } from "../../rule/program.js";
import type { CpuRow, Segment } from "./memory.js";

/** @throws ShapeError unless `gradient` has the variable's dtype and length, or names rows of it. */
export const checkGradient = (gradient: unknown, variable: Described): void => {
  const Wanted = ARRAYS[variable.dtype];
  if (gradient instanceof Wanted && gradient.length === variable.length) return;
  if (gradient instanceof IndexedSlices) gradient.assertFits(variable);
  else
    throw new ShapeError(
      `The gradient of ${variable} must be a ${Wanted.name} of length ${variable.length}, IndexedSlices or null`,
      show(gradient),
      "Convert it.",
    );
};

/** The array that a gradient's numbers are in. */
const elementsOf = (gradient: Exclude<Gradient, null>): Values =>
  ArrayBuffer.isView(gradient) ? gradient : (gradient as IndexedSlices).values;

/** A step must not write where it still reads a gradient, nor twice in one place, since variables are updated one after the other, or on several threads
 *  at once; and what the caller keeps must be as long as it was. */
export class Overlaps {
  /** The buffers of everything that steps have written so far. */
  readonly #written = new WeakSet<ArrayBufferLike>();
  /** Values that others have, by row, as in the call before, whose buffers are among these: asking arrays for their buffers is slow. */
  readonly #values: (Values | undefined)[] = [];

  /** @throws ShapeError where a gradient lies in the value or the state of a variable of the same call, a value in that of another, and for an array that
   *  was resized or detached. */
  refuse(rows: readonly CpuRow[], count: number): void {
    let first = 0; // with an array of the caller's
    while (first < count && rows[first]!.gradient === rows[first]!.ownGradient && rows[first]!.request.foreign === null) first++;
    if (first === count) return;
    let segment: Segment | undefined;
    this.#values.length = count;
    for (let i = 0; i < count; i++) {
      const row = rows[i]!;
      if (row.segment !== segment) {
        segment = row.segment;
        this.#written.add(segment.buffer);
      }
      const { foreign, variable } = row.request;
      const value = foreign?.isShared ? foreign.value : undefined;
      if (value && value.length !== variable.length) refuseResized(variable, value.length);
      if (this.#values[i] === value) continue;
      if (value) {
        this.#refuse("value", value, i, rows, count);
        this.#written.add(value.buffer);
      }
      this.#values[i] = value;
    }
    for (let i = first; i < count; i++) {
      const { gradient, ownGradient } = rows[i]!;
      if (gradient === null || gradient === ownGradient) continue;
      this.#refuse("gradient", elementsOf(gradient), i, rows, count);
    }
  }

  /** @throws ShapeError where the elements lie, if only in part, in what the call writes for one of its variables: for a value, one of the others. */
  #refuse(what: "gradient" | "value", elements: Values, place: number, rows: readonly CpuRow[], count: number): void {
    if (!this.#written.has(elements.buffer)) return;
    for (let k = 0; k < count; k++) {
      const name = rows[k]!.writtenArrayAt(elements);
      if (!name || (what === "value" && k === place)) continue;
      this.#values.length = 0; // no call was made
      throw new ShapeError(
        `The ${what} of ${rows[place]!.request.variable} must not lie where the step writes`,
        `${show(elements)} in ${wordsFor(name)} of ${rows[k]!.request.variable}`,
        "Pass a copy.",
      );
    }
  }
}
