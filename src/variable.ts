/** What an optimizer trains, and the form of a gradient that names only some rows. */

import type { SparseGradient, Values } from "./backends/backend.js";
import { BackendError, OptionError, ShapeError, show } from "./errors.js";
import { ARRAYS, type DType } from "./rule/program.js";

/** What a variable may be told besides its value. */
export interface VariableOptions {
  /** Sizes of the axes, outermost first; [] for a scalar. Default: one axis, as long as the value. */
  shape?: readonly number[];
  /** For patterns, error messages and the names of the optimizer's state. */
  name?: string;
  /** Called after every update with the value; changes it in place, or returns the value to take. */
  constraint?: (value: Values) => Values | void;
  /** false: the array you passed stays the variable's memory and is updated in place (staged through the backend, which
   *  costs 1.6 to 2.4 times a step). Default true: `build` moves the value into the backend's memory. */
  adopt?: boolean;
}

/** Where a variable's arrays are once an optimizer has taken them over. */
export interface Adoption {
  readonly owner: string;
  /** The value or the gradient. */
  array(name: "w" | "g"): Values;
}

export const isValues = (value: unknown): value is Values => value instanceof Float32Array || value instanceof Float64Array;

/** A trainable array of float32 or float64 values, in row-major order; `V` is the type of the array.
 *  @throws ShapeError when the shape does not hold as many elements as the value. */
export class Variable<V extends Values = Values> {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly length: number;
  /** Called after every update; see VariableOptions. */
  readonly constraint: ((value: Values) => Values | void) | undefined;
  readonly adoptable: boolean;
  #value: V;
  #gradient: V | undefined;
  #adoption: Adoption | undefined;

  constructor(value: V, options: VariableOptions = {}) {
    if (!isValues(value))
      throw new ShapeError(
        "A variable's value is a Float32Array or a Float64Array",
        show(value),
        "Convert it, for example by Float32Array.from(values).",
      );
    const { shape = [value.length], name = "variable", constraint, adopt = true } = options;
    const elements = shape.reduce((product, size) => product * size, 1);
    if (!shape.every((size) => Number.isInteger(size) && size >= 0) || elements !== value.length)
      throw new ShapeError(
        `The shape of variable ${show(name)} must hold as many elements as its value`,
        `shape [${shape}] (${elements} elements) for ${value.length} values`,
        "Correct the one that is wrong.",
      );
    this.name = name;
    this.shape = [...shape];
    this.dtype = value instanceof Float32Array ? "float32" : "float64";
    this.length = value.length;
    this.constraint = constraint;
    this.adoptable = adopt;
    this.#value = value;
  }

  /** The elements now. A view that updates change in place; one taken before `build` is stale once the optimizer has adopted it. */
  get value(): V {
    return this.#adoption && this.adoptable ? (this.#adoption.array("w") as V) : this.#value;
  }

  /** As it stands in errors: with its name, shape and dtype. */
  toString(): string {
    return `variable ${show(this.name)} (shape [${this.shape}], ${this.dtype})`;
  }

  /** @internal The elements are in this array from now on. For variables that are not adopted. */
  relocate(value: V): void {
    this.#value = value;
  }

  /** @internal Where a step writes a variable that is not adopted. */
  target(): Values {
    return this.#value;
  }

  /** An array of the variable's length to write a gradient into; in the backend's memory, so that passing it to applyGradients
   *  copies nothing. Made on first use, zeros at first. Like `value`, stale if it was taken before `build`. */
  get gradient(): V {
    if (this.#adoption) return this.#adoption.array("g") as V;
    this.#gradient ??= new ARRAYS[this.dtype](this.length) as V;
    return this.#gradient;
  }

  /** The optimizer that owns this variable's memory, by name, or null. */
  get owner(): string | null {
    return this.#adoption?.owner ?? null;
  }

  /** @internal Whether something keeps its value where it belongs. */
  get isConstrained(): boolean {
    return this.constraint !== undefined;
  }

  /** @internal Applies the constraint, if there is one. */
  constrain(): void {
    if (!this.constraint) return;
    const { value } = this;
    const constrained = this.constraint(value);
    if (!constrained || constrained === value) return;
    if (constrained.length !== value.length)
      throw new ShapeError(
        `The constraint of ${this} must return as many values as it got, or nothing`,
        show(constrained),
        "Change the values in place, or return all of them.",
      );
    value.set(constrained);
  }

  /** @internal Moves the values into an optimizer's memory. */
  adopt(adoption: Adoption): void {
    this.assertFree();
    if (this.adoptable) {
      adoption.array("w").set(this.#value);
      this.#value = this.#value.slice(0, 0) as V; // the old memory is free to go
    }
    if (this.#gradient) adoption.array("g").set(this.#gradient);
    this.#gradient = undefined;
    this.#adoption = adoption;
  }

  /** @internal */
  assertFree(): void {
    if (this.#adoption)
      throw new BackendError(
        "A variable's memory belongs to one optimizer",
        `${this}, which is trained by another optimizer (${this.#adoption.owner})`,
        "Dispose that optimizer first (the values come back into an ordinary array), or give each optimizer variables of its own.",
      );
  }

  /** @internal Takes the values back into an ordinary array. */
  release(): void {
    if (!this.#adoption) return;
    if (this.adoptable) this.#value = this.#adoption.array("w").slice() as V;
    this.#adoption = undefined;
  }
}

/** A gradient that names only some rows (along the first axis) of its variable; all other rows are zero.
 *  A row given twice counts as the sum. Row-major: row `indices[i]` is `values[i * rowSize .. (i + 1) * rowSize)`. */
export class IndexedSlices implements SparseGradient {
  constructor(
    /** As many rows as there are indices; of the variable's dtype. */
    readonly values: Values,
    /** Rows of the variable, each in [0, shape[0]). */
    readonly indices: Int32Array | readonly number[],
  ) {
    if (!isValues(values))
      throw new ShapeError("The values of IndexedSlices are a Float32Array or a Float64Array", show(values), "Convert them.");
    if (!(indices instanceof Int32Array || Array.isArray(indices)))
      throw new OptionError(
        "The indices of IndexedSlices are an Int32Array or an array of numbers",
        show(indices),
        "Convert them.",
      );
  }

  /** @throws ShapeError unless this is a gradient for `variable`. */
  assertFits(variable: Variable): void {
    const { values, indices } = this;
    const [rows = 0] = variable.shape;
    const wanted = indices.length * (variable.length / (rows || 1));
    const refuse = (wrong: string, received: string, remedy: string): never => {
      throw new ShapeError(`The sparse gradient of ${variable} ${wrong}`, received, remedy);
    };
    if (variable.shape.length === 0) refuse("has no rows to name", "IndexedSlices", "Give a dense gradient.");
    if (!(values instanceof ARRAYS[variable.dtype])) refuse(`must be ${variable.dtype}`, show(values), "Convert the values.");
    if (values.length !== wanted)
      refuse(
        "must have a row of values per index",
        `${indices.length} indices and ${values.length} values`,
        `Give ${wanted} values.`,
      );
    for (let i = 0; i < indices.length; i++) {
      const row = indices[i]!;
      if (!Number.isInteger(row) || row < 0 || row >= rows)
        refuse("names a row that is not there", `indices[${i}] = ${show(row)}`, `Rows are integers from 0 to ${rows - 1}.`);
    }
  }
}
