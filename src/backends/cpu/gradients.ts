/** What a gradient in main memory must be like. */

import type { Described, Gradient, Values } from "../../backend.js";
import { ShapeError, show } from "../../errors.js";
import { ARRAYS } from "../../rule/program.js";
import { IndexedSlices, refuseResized } from "../../variable.js";
import type { CpuRow } from "./memory.js";

/** @throws ShapeError unless `gradient` has the variable's dtype and length, or names rows of it. */
export const checkGradient = (gradient: unknown, variable: Described): void => {
  const Wanted = ARRAYS[variable.dtype];
  if (gradient instanceof Wanted && gradient.length === variable.length) return;
  if (gradient instanceof IndexedSlices) gradient.assertFits(variable);
  else
    throw new ShapeError(
      `The gradient of ${variable} must be a ${Wanted.name} of length ${variable.length}, IndexedSlices or null`,
      show(gradient),
      "Pass one value per element, in the variable's dtype.",
    );
};

/** The array that a gradient's numbers are in. */
const elementsOf = (gradient: Exclude<Gradient, null>): Values =>
  ArrayBuffer.isView(gradient) ? gradient : (gradient as IndexedSlices).values;

/** A step must not write where it still reads a gradient, since variables are updated one after the other; and what the caller keeps must be as long as
 *  it was. */
export class Overlaps {
  /** Of each row, the buffer of its segment and the foreign value that others have, as they were in the last step that was checked. */
  readonly #known: unknown[] = [];
  /** The buffers of all of these. */
  readonly #written = new Set<unknown>();

  /** @throws ShapeError where a gradient lies in the value or the state of a variable of the same call, and for an array that was resized or detached. */
  refuse(rows: readonly CpuRow[], count: number): void {
    let first = 0; // with an array of the caller's
    while (first < count && rows[first]!.gradient === rows[first]!.ownGradient && rows[first]!.request.foreign === null) first++;
    if (first === count) return;
    this.#look(rows, count);
    for (let i = first; i < count; i++) {
      const { gradient, ownGradient } = rows[i]!;
      if (gradient === null || gradient === ownGradient) continue;
      const elements = elementsOf(gradient);
      if (this.#written.has(elements.buffer)) for (let k = 0; k < count; k++) refuseOverlap(elements, rows[k]!, rows[i]!);
    }
  }

  /** Asking arrays for their buffers is slow: only where something is not as in the step before. */
  #look(rows: readonly CpuRow[], count: number): void {
    const known = this.#known;
    let isNew = known.length !== 2 * count;
    for (let i = 0; i < count; i++) {
      const { segment, request } = rows[i]!;
      const { foreign, variable } = request;
      const value = foreign?.isShared ? foreign.value : undefined;
      if (value && value.length !== variable.length) {
        known.length = 0;
        refuseResized(variable, value.length);
      }
      if (known[2 * i] === segment.buffer && known[2 * i + 1] === value) continue;
      known[2 * i] = segment.buffer;
      known[2 * i + 1] = value;
      isNew = true;
    }
    if (!isNew) return;
    known.length = 2 * count;
    this.#written.clear();
    for (const part of known) this.#written.add(ArrayBuffer.isView(part) ? part.buffer : part);
  }
}

const refuseOverlap = (elements: Values, row: CpuRow, of: CpuRow): void => {
  const name = row.writtenArrayAt(elements);
  if (name === null) return;
  throw new ShapeError(
    `The gradient of ${of.request.variable} must not lie where the same step writes`,
    `${show(elements)} in ${name === "w" ? "the value" : `the state (${name})`} of ${row.request.variable}`,
    "Pass a copy: gradient.slice().",
  );
};
