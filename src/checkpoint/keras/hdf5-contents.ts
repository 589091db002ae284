/** What an HDF5 file holds, as plain data. */

import type { Numbers } from "./arrays.js";

/** A value of an attribute: texts or numbers, one or many. */
export interface Hdf5Attribute {
  readonly shape: readonly number[];
  readonly value: readonly string[] | Numbers;
}

export interface Hdf5Dataset {
  readonly shape: readonly number[];
  /** "float32", "float16", "bfloat16", ..., "string", or in words what we do not read. */
  readonly dtype: string;
  /** null: of a type that we do not read. */
  readonly value: readonly string[] | Numbers | null;
}

/** A group, or with `dataset` a dataset. */
export interface Hdf5Object {
  readonly attributes: ReadonlyMap<string, Hdf5Attribute>;
  readonly dataset?: Hdf5Dataset;
}

/** Every object by its path, parents first; the file itself is "". */
export type Hdf5 = ReadonlyMap<string, Hdf5Object>;
