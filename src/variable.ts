/** What an optimizer trains. */

import type { Described, DeviceBuffer, PartOfShape, Row, Values } from "./backend.js";
import { BackendError, refuseResized, ShapeError, show } from "./errors.js";
import { callable, checkKinds, flag, type Kind, type Kinds, numbers, object, optional, sizes } from "./kinds.js";
import type { Lifecycle } from "./lifecycle.js";
import { ARRAYS, type DType, isValues } from "./rule/program.js";

/** Keeps a value where it belongs. */
export type Constraint = (value: Values, variable: Described) => Values | void;

/** What a variable may be told besides its value. */
export interface VariableOptions {
  /** Sizes of the axes, outermost first; [] for a scalar. Default: one axis, as long as the value. */
  shape?: readonly number[];
  /** For patterns, error messages and the names of the optimizer's state. */
  name?: string;
  /** Called after every update with the value and its variable; changes it in place, or returns the value to take. Keras' are in `constraints`. */
  constraint?: Constraint;
  /** false: the array you passed stays the variable's memory and is updated in place (staged through the backend, which
   *  costs 1.6 to 2.4 times a step). Default true: `build` moves the value into the backend's memory. */
  adopt?: boolean;
  /** Where the ranks of a mesh hold parts of the variable: then `shape` is that of the whole, and the value and its gradients are this rank's part. */
  layout?: PartOfShape | null;
}

/** What a variable knows of the optimizer that has taken it over. */
interface Adoption {
  readonly owner: string;
  readonly row: Row;
  /** Says whether the value can be read or written to now, and is told of it. */
  readonly life: Lifecycle;
}

/** The name of a variable that is given none. */
export const UNNAMED = "variable";

/** How many elements an array of this shape has. */
export const elementsIn = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** Numbers as an array of this dtype; undefined for what is none, or beyond its range. */
export const valuesFrom = (dtype: DType, given: unknown): Values | undefined => {
  const Wanted = ARRAYS[dtype];
  if (given instanceof Wanted) return given;
  if (!numbers.holds(given) || typeof (given as ArrayLike<unknown>)[0] === "bigint") return undefined;
  const values = Wanted.from(given as ArrayLike<number>);
  return values.some((value, i) => Math.abs(value - (given as ArrayLike<number>)[i]!) === Infinity) ? undefined : values;
};

const OPTIONS: Kinds<VariableOptions> = {
  shape: optional(sizes, undefined!),
  name: optional({ wanted: "a string", holds: (value) => typeof value === "string" } as Kind<string>, UNNAMED),
  constraint: optional({ ...callable, wanted: "a function, such as constraints.nonNeg()" } as Kind<Constraint>, undefined!),
  adopt: optional(flag, true),
  layout: optional(object as Kind<PartOfShape>, undefined!),
};

/** A trainable array of float32 or float64 values, in row-major order; `V` is the type of the array.
 *  @throws ShapeError when the shape does not hold as many elements as the value. */
export class Variable<V extends Values = Values> implements Described {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** Elements; of the whole, where ranks hold parts. */
  readonly length: number;
  /** Where ranks hold parts; see VariableOptions. */
  readonly layout: PartOfShape | undefined;
  /** Called after every update; see VariableOptions. */
  readonly constraint: Constraint | undefined;
  /** @internal Whether `build` moves the value into the backend's memory. */
  readonly adoptable: boolean;
  #value: V;
  /** Elements of the value on this rank. */
  readonly #here: number;
  #gradient: V | undefined;
  #adoption: Adoption | undefined;
  /** The value on its way back from memory that is far. */
  #returning: Promise<void> | undefined;

  /** Libraries that watch objects for changes (Vue) leave those alone that say what they are; a proxy of one would have no private members. */
  get [Symbol.toStringTag](): string {
    return "Variable";
  }

  constructor(value: V, options: VariableOptions = {}) {
    if (!isValues(value))
      throw new ShapeError(
        "A variable is made of a Float32Array or a Float64Array",
        show(value),
        "Convert it. In a pair, the gradient comes first.",
      );
    const { name, constraint, adopt, layout, shape = [value.length] } = checkKinds("Variable", options, OPTIONS);
    const here = layout?.localShape(shape) ?? shape;
    if (elementsIn(here) !== value.length)
      throw new ShapeError(
        `Variable ${show(name)} must fill its shape`,
        `shape [${here}] for ${value.length} elements`,
        "Correct one.",
      );
    this.name = name;
    this.shape = shape;
    this.dtype = value instanceof Float32Array ? "float32" : "float64";
    this.length = elementsIn(shape);
    this.layout = layout ?? undefined;
    this.#here = value.length;
    this.constraint = constraint;
    this.adoptable = adopt;
    this.#value = value;
  }

  /** The elements now, where they are in memory near by. A view that updates change in place; one taken before `build` is stale once the
   *  optimizer has adopted it.
   *  @throws BackendError where a backend holds them far away: `read` and `write` work everywhere. */
  get value(): V {
    const value = this.visible;
    if (value) return value;
    throw new BackendError(
      `The value of ${this} is not in memory that this thread sees`,
      "variable.value",
      "Await variable.read() or write(values).",
    );
  }

  /** Where shaders find the elements, where a GPU holds them: fixed from `build` on.
   *  @throws BackendError where none does. */
  get buffer(): DeviceBuffer {
    const buffer = this.#adoption?.row.buffer;
    if (buffer) return buffer;
    throw new BackendError(
      `The value of ${this} is not in memory of a GPU`,
      "variable.buffer",
      "Build it on adamax/webgpu first.",
    );
  }

  /** @internal The elements now, where this thread sees them. */
  get visible(): V | undefined {
    const row = this.#row;
    if (row) return row.view?.("w") as V | undefined;
    return this.#returning ? undefined : this.#value;
  }

  /** The row that holds the value. */
  get #row(): Row | undefined {
    return this.adoptable ? this.#adoption?.row : undefined;
  }

  /** A copy of the elements, as every call before has left them. On every backend. */
  async read(): Promise<V> {
    const values = new ARRAYS[this.dtype](this.length) as V;
    await this.readInto(0, values);
    return values;
  }

  /** Sets the elements, in the order of calls: the next step begins with them. On every backend. Averages of an optimizer stay as they are.
   *  @throws ShapeError for values of another length; what says why the optimizer cannot have them changed now. */
  async write(values: ArrayLike<number>): Promise<void> {
    const fitting = valuesFrom(this.dtype, values);
    if (fitting?.length !== this.length) throw new ShapeError(`${this} takes ${this.length} numbers`, show(values), "Write all.");
    this.life?.change("write");
    await this.writeFrom(0, fitting);
  }

  /** @internal Fills `into` with the elements from `begin` on. */
  async readInto(begin: number, into: Values): Promise<void> {
    if (this.#returning) await this.#returning;
    const row = this.#row;
    if (row) return row.read("w", begin, into);
    this.layout?.assertWhole(this);
    into.set(this.#value.subarray(begin, begin + into.length));
  }

  /** @internal Writes elements from `begin` on. */
  async writeFrom(begin: number, values: Values): Promise<void> {
    const row = this.#row;
    if (row) return row.write("w", begin, values);
    this.layout?.assertWhole(this);
    if (this.#returning) {
      values = values.slice();
      await this.#returning;
    }
    this.#value.set(values, begin);
  }

  /** @internal What patterns of names are looked for in. */
  get names(): readonly string[] {
    return [this.name];
  }

  /** As it stands in errors: with its name, shape and dtype. */
  toString(): string {
    return `variable ${show(this.name)} (shape [${this.shape}], ${this.dtype})`;
  }

  /** @internal The elements are in this array from now on. For variables that are not adopted. */
  relocate(value: V): void {
    this.#value = value;
  }

  /** @internal Whether others have the array of a variable that is not adopted. */
  get isShared(): boolean {
    return true;
  }

  /** @internal Where a step writes a variable that is not adopted. */
  target(): Values {
    return this.#value;
  }

  /** An array of the variable's length to write a gradient into; where the backend's memory is near by, in that, so that passing it to
   *  applyGradients copies nothing. Made on first use, zeros at first. Like `value`, stale if it was taken before `build`. */
  get gradient(): V {
    const row = this.#adoption?.row;
    if (row?.view) return row.view("g") as V;
    this.#gradient ??= new ARRAYS[this.dtype](this.#here) as V;
    return this.#gradient;
  }

  /** The optimizer that owns this variable's memory, by name, or null. */
  get owner(): string | null {
    return this.#adoption?.owner ?? null;
  }

  /** @internal Of the optimizer that owns it. */
  get life(): Lifecycle | undefined {
    return this.#adoption?.life;
  }

  /** Whether it has a constraint. */
  get isConstrained(): boolean {
    return this.constraint !== undefined;
  }

  /** @internal Applies the constraint, if there is one. */
  constrain(): void {
    if (!this.constraint) return;
    const { value } = this;
    const constrained = this.constraint(value, this);
    if (!constrained || constrained === value) return;
    if (!numbers.holds(constrained) || constrained.length !== value.length)
      throw new ShapeError(
        `The constraint of ${this} must return all values, or nothing`,
        show(constrained),
        "Change them in place.",
      );
    value.set(constrained);
  }

  /** @internal Moves the values into an optimizer's memory. Resolves when they are there, which in memory near by is at once. */
  async adopt(adoption: Adoption): Promise<void> {
    const { row } = adoption;
    this.#adoption = adoption;
    if (row.view) {
      if (this.#gradient) row.view("g").set(this.#gradient);
      this.#gradient = undefined;
    }
    if (!this.adoptable) return;
    const written = row.adopt ? row.adopt(this.#value) : row.write("w", 0, this.#value);
    if (!row.view) await written; // memory that is far may not have taken it
    this.#value = this.#value.slice(0, 0) as V;
    await written;
  }

  /** @internal
   *  @throws BackendError, ShapeError where no optimizer can take it over. */
  assertFree(): void {
    if (this.#adoption)
      throw new BackendError(`${this} is trained by another optimizer`, this.#adoption.owner, "Dispose that one first.");
    if (this.#returning)
      throw new BackendError(
        `The value of ${this} is still on its way back`,
        "a build meanwhile",
        "Await variable.read() first.",
      );
    const { visible } = this;
    if (visible && visible.length !== this.#here) refuseResized(this, visible.length);
  }

  /** @internal No optimizer owns it any more. */
  release(): void {
    const row = this.#row;
    this.#adoption = undefined;
    if (row) this.takeBack(row);
  }

  /** @internal Takes the values back from the row that has held them. */
  takeBack(row: Row): void {
    if (row.view) {
      this.#value = row.view("w").slice() as V;
      return;
    }
    const values = new ARRAYS[this.dtype](this.length) as V;
    this.#returning = row.read("w", 0, values).then(
      () => {
        this.#value = values;
        this.#returning = undefined;
      },
      (error) => {
        if (this.#value.length < this.length) throw error;
        this.#returning = undefined; // it has never left
      },
    );
    this.#returning.catch(() => {}); // whoever reads is told
  }
}
