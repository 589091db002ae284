/** Where the elements of a variable lie on a mesh: layouts, as in DTensor. Pure: no rank is asked. */

import type { Described, PartOfShape, Values } from "../backend.js";
import { partOf, type Run } from "../backends/ranks/shares.js";
import { BackendError, OptionError, ShapeError, show } from "../errors.js";
import { check, integerFrom, type Kind, listOf } from "../kinds.js";
import { Variable, type VariableOptions } from "../variable.js";
import { Mesh } from "./mesh.js";
import { UNSHARDED } from "./unsharded.js";

/** For each axis, which indices a rank holds: [begin, end). */
export type Part = readonly (readonly [begin: number, end: number])[];

/** For each axis of a variable, along which dimension of a mesh it is cut, or UNSHARDED. Ranks that are at the same place in those dimensions hold
 *  the same elements. Sizes need not divide: 7 columns over 3 ranks are 2, 2 and 3. */
export class Layout implements PartOfShape {
  readonly shardingSpecs: readonly string[];
  readonly mesh: Mesh;

  /** @throws OptionError for a dimension that the mesh does not have, or one named twice. */
  constructor(shardingSpecs: readonly string[], mesh: Mesh) {
    if (!(mesh instanceof Mesh))
      throw new OptionError("A layout is made for a mesh", show(mesh), "Pass what createMesh has returned.");
    const isSpec = (spec: unknown) => spec === UNSHARDED || mesh.dimNames.includes(spec as string);
    const dimensions = mesh.dimNames.map(show).join(", ");
    const refuse = (wrong: string): never => {
      throw new OptionError(`shardingSpecs ${wrong}`, show(shardingSpecs), `Dimensions of this mesh: ${dimensions}.`);
    };
    if (!Array.isArray(shardingSpecs) || !shardingSpecs.every(isSpec))
      refuse("must be an array with, for each axis, a dimension of the mesh or UNSHARDED");
    const named = shardingSpecs.filter((spec) => spec !== UNSHARDED);
    if (new Set(named).size < named.length) refuse("can name a dimension only for one axis");
    this.shardingSpecs = [...shardingSpecs];
    this.mesh = mesh;
  }

  /** The whole on every rank. `rank`: how many axes the variable has. */
  static replicated(mesh: Mesh, rank: number): Layout {
    return new Layout(unsharded(rank), mesh);
  }

  /** Cut along the first axis. `rank`: how many axes the variable has, 1 or more. */
  static batchSharded(mesh: Mesh, batchDim: string, rank: number): Layout {
    if (rank === 0) throw new ShapeError("A scalar has no axis to cut", "rank=0", "Use Layout.replicated.");
    return new Layout([batchDim, ...unsharded(rank).slice(1)], mesh);
  }

  /** Axes. */
  get rank(): number {
    return this.shardingSpecs.length;
  }

  /** Whether every rank holds the whole. */
  get isFullyReplicated(): boolean {
    return this.shardingSpecs.every((_, axis) => this.numShards(axis) === 1);
  }

  /** @throws BackendError unless this rank holds all of the variable. */
  assertWhole(variable: Described): void {
    if (!this.isFullyReplicated)
      throw new BackendError(
        `Of ${variable} each rank holds a part (${this}), and only an optimizer with the mesh brings them together`,
        "a use without one",
        "Build an optimizer with the option mesh first; variable.value is this rank's part.",
      );
  }

  /** Into how many parts an axis is cut. */
  numShards(axis: number): number {
    const spec = this.shardingSpecs[axis]!;
    return spec === UNSHARDED ? 1 : this.mesh.dimSize(spec);
  }

  /** Which part of a variable of this shape a rank of the mesh holds. Default: this rank. */
  partOf(shape: readonly number[], rank: number = this.mesh.rank): Part {
    if (shape.length !== this.rank)
      throw new ShapeError(
        "A layout has as many axes as the shape that it is for",
        `shape [${shape}] for ${this}`,
        "Give a layout with a dimension, or UNSHARDED, for each axis.",
      );
    return shape.map((size, axis) => {
      const spec = this.shardingSpecs[axis]!;
      return spec === UNSHARDED ? [0, size] : partOf(size, this.mesh.coord(spec, rank), this.mesh.dimSize(spec));
    });
  }

  /** The shape of that part. */
  localShape(shape: readonly number[], rank?: number): number[] {
    return this.partOf(shape, rank).map(([begin, end]) => end - begin);
  }

  /** A variable that lies like this: this rank's part of `whole`, which is the same on every rank. Give its `shape`. */
  variable<V extends Values>(
    whole: V,
    options: Pick<VariableOptions, "name"> & { readonly shape: readonly number[] },
  ): Variable<V> {
    return new Variable(this.slice(whole, options.shape), { ...options, layout: this });
  }

  /** What lies together in a whole of this shape and in a rank's part of it, in order. */
  *runs(shape: readonly number[], rank?: number): Generator<Run> {
    const { count, length, axes, first } = runsOf(shape, this.partOf(shape, rank));
    if (length === 0) return;
    for (let i = 0; i < count; i++) yield { whole: placeOfRun(i, axes, first), part: i * length, length };
  }

  /** A rank's part, copied out of the `whole` of this shape. Both are row-major. */
  slice<V extends Values>(whole: V, shape: readonly number[], rank?: number): V {
    assertHolds(whole, shape);
    const result = new (whole.constructor as new (length: number) => V)(product(this.localShape(shape, rank)));
    for (const { whole: place, part, length } of this.runs(shape, rank)) result.set(whole.subarray(place, place + length), part);
    return result;
  }

  /** The way back: writes a rank's part to its place in the `whole` of this shape. */
  unslice(part: Values, whole: Values, shape: readonly number[], rank?: number): void {
    assertHolds(whole, shape);
    assertHolds(part, this.localShape(shape, rank));
    for (const run of this.runs(shape, rank)) whole.set(part.subarray(run.part, run.part + run.length), run.whole);
  }

  toString(): string {
    return `layout [${this.shardingSpecs.join(", ")}] on ${this.mesh}`;
  }
}

const unsharded = (rank: number): string[] => {
  const { holds, wanted } = integerFrom(0);
  if (!holds(rank)) throw new OptionError(`The rank of a layout, its number of axes, must be ${wanted}`, show(rank), "Give it.");
  return new Array<string>(rank).fill(UNSHARDED);
};

const assertHolds = (values: Values, shape: readonly number[]): void => {
  const elements = product(shape);
  if (values.length !== elements)
    throw new ShapeError(`An array of shape [${shape}] has ${elements} elements`, show(values), "Correct the one that is wrong.");
};

const product = (sizes: readonly number[]): number => sizes.reduce((product, size) => product * size, 1);

/** A part of a row-major array, as the stretches of it that lie together: `count` of them, each of `length` elements. */
interface Runs {
  readonly count: number;
  readonly length: number;
  /** Of the axes before those that lie together: how many indices of each, and by how much one of it moves on. */
  readonly axes: readonly { readonly size: number; readonly stride: number }[];
  /** Where the first one begins. */
  readonly first: number;
}

const runsOf = (shape: readonly number[], part: Part): Runs => {
  const strides = shape.map((_, axis) => product(shape.slice(axis + 1)));
  const first = part.reduce((sum, [begin], axis) => sum + begin * strides[axis]!, 0);
  const sizes = part.map(([begin, end]) => end - begin);
  // Behind the last axis that is cut, everything lies together.
  const together = Math.max(0, sizes.map((size, axis) => size !== shape[axis]).lastIndexOf(true));
  return {
    count: product(sizes.slice(0, together)),
    length: product(sizes.slice(together)),
    axes: sizes.slice(0, together).map((size, axis) => ({ size, stride: strides[axis]! })),
    first,
  };
};

/** Where run `i` begins. */
const placeOfRun = (i: number, axes: Runs["axes"], first: number): number => {
  let place = first;
  let rest = i;
  for (let axis = axes.length - 1; axis >= 0; axis--) {
    const { size, stride } = axes[axis]!;
    place += (rest % size) * stride;
    rest = Math.floor(rest / size);
  }
  return place;
};

/** Patterns of variables' names, and the layouts of those variables, as in tf_keras.dtensor. */
export class LayoutMap {
  readonly #layouts = new Map<string, Layout>();

  /** `entries`: pattern and layout; the first that fits a name counts. */
  constructor(entries: Iterable<readonly [pattern: string, layout: Layout]> = []) {
    const list = check("LayoutMap", "entries", entries, listOf("pairs [pattern, layout]") as Kind<typeof entries>);
    for (const entry of list) {
      const [pattern, layout] = check("LayoutMap", "an entry", entry, pair);
      this.set(pattern, layout);
    }
  }

  /** `pattern`: the text of a regular expression, which must fit from the beginning of the name on, as for Python's re.match: ".*kernel".
   *  @throws OptionError for what is no pattern, no layout, or a pattern that is there already. */
  set(pattern: string, layout: Layout): this {
    const refuse = (wrong: string, received: unknown, remedy: string): never => {
      throw new OptionError(wrong, show(received), remedy);
    };
    if (!(layout instanceof Layout))
      refuse("A LayoutMap holds layouts", layout, "Make one with new Layout(shardingSpecs, mesh).");
    if (this.#layouts.has(pattern)) refuse("This pattern has a layout already", pattern, "Delete it first, or use another one.");
    if (!isPattern(pattern)) refuse("A pattern must be the text of a regular expression", pattern, "Correct it.");
    this.#layouts.set(pattern, layout);
    return this;
  }

  delete(pattern: string): boolean {
    return this.#layouts.delete(pattern);
  }

  /** The layout whose pattern is the name itself; else that of the first pattern that fits; else null. */
  get(name: string): Layout | null {
    const exact = this.#layouts.get(name);
    if (exact) return exact;
    for (const [pattern, layout] of this.#layouts) if (startingWith(pattern).test(name)) return layout;
    return null;
  }

  /** A variable that lies as the layout of its name says, or whole on every rank where there is none. `whole`: its value, the same on every rank. */
  variable<V extends Values>(whole: V, options: Pick<VariableOptions, "name" | "shape">): Variable<V> {
    const { name = "variable", shape = [whole.length] } = options;
    return this.get(name)?.variable(whole, { name, shape }) ?? new Variable(whole, options);
  }

  get size(): number {
    return this.#layouts.size;
  }

  [Symbol.iterator](): IterableIterator<[pattern: string, layout: Layout]> {
    return this.#layouts.entries();
  }

  /** As of Variable. */
  get [Symbol.toStringTag](): string {
    return "LayoutMap";
  }
}

const pair: Kind<readonly [pattern: string, layout: Layout]> = {
  wanted: "a pair [pattern, layout]",
  holds: Array.isArray,
};

const startingWith = (pattern: string): RegExp => new RegExp(`^(?:${pattern})`);

const isPattern = (pattern: unknown): boolean => {
  try {
    return typeof pattern === "string" && Boolean(startingWith(pattern));
  } catch {
    return false;
  }
};
