/** The form of a gradient that names only some rows. */

import type { Described, SparseGradient, Values } from "./backend.js";
import { ShapeError, show } from "./errors.js";
import { ARRAYS, isValues } from "./rule/program.js";

/** A gradient that names only some rows (along the first axis) of its variable; all other rows are zero.
 *  A row given twice counts as the sum. Row-major: row `indices[i]` is `values[i * rowSize .. (i + 1) * rowSize)`. */
export class IndexedSlices implements SparseGradient {
  constructor(
    /** As many rows as there are indices; of the variable's dtype. */
    readonly values: Values,
    /** Rows of the variable, each in [0, shape[0]). */
    readonly indices: Int32Array | readonly number[],
  ) {
    if (!isValues(values) || !(indices instanceof Int32Array || Array.isArray(indices)))
      throw new ShapeError(
        "IndexedSlices are made of a Float32Array or a Float64Array and an array of indices",
        `${show(values)} and ${show(indices)}`,
        "Convert them.",
      );
  }

  /** @throws ShapeError unless this is a gradient for `variable`. */
  assertFits(variable: Described): void {
    const { values, indices } = this;
    const [rows = 0] = variable.shape;
    const Wanted = ARRAYS[variable.dtype];
    const wanted = indices.length * (variable.length / (rows || 1));
    const gradient = `The sparse gradient of ${variable}`;
    if (!(values instanceof Wanted) || values.length !== wanted)
      throw new ShapeError(
        `${gradient} must have a row of values per index`,
        `${show(values)} for ${indices.length} indices`,
        `Give a ${Wanted.name} of length ${wanted}.`,
      );
    for (let i = 0; i < indices.length; i++) {
      const row = indices[i]!;
      if (!Number.isInteger(row) || row < 0 || row >= rows)
        throw new ShapeError(`${gradient} names a row that is not there`, `indices[${i}] = ${show(row)}`, `It has ${rows} rows.`);
    }
  }
}
