/** A .weights.h5 file that is not there yet. */

import { CheckpointError, show } from "../../errors.js";
import type { Dialect } from "../../optimizer/configuration.js";
import { refuseTwice } from "../format/names.js";
import type { StoredArray } from "./arrays.js";
import { type Hdf5Object, type Hdf5Options, writeHdf5 } from "./hdf5.js";
import type { KerasContents } from "./model.js";
import { NO_LAYER, onlyTo, weightsFile } from "./store.js";

/** The path of each variable in a new file of weights, from names such as "dense/kernel" and "dense/bias" (then "layers/dense/vars/0" and "1",
 *  so the layers must have the names that Keras gives by class), or from names that are such paths.
 *  @throws CheckpointError for a name that could not be read again. */
const placesOf = (names: readonly string[]): Map<string, string> => {
  const counts = new Map<string, number>();
  const places = new Map(
    names.map((name) => {
      if (/(^|\/)vars\/\d+$/.test(name)) return [name, name];
      const layer = name.includes("/") ? name.slice(0, name.lastIndexOf("/")) : name;
      const index = counts.get(layer) ?? 0;
      counts.set(layer, index + 1);
      return [name, `layers/${layer}/vars/${index}`];
    }),
  );
  const counted = new Map<string, number>();
  for (const place of places.values()) counted.set(place, (counted.get(place) ?? 0) + 1);
  for (const [name, place] of places) {
    const parts = place.split("/");
    const folders = parts.slice(1).map((_, i) => parts.slice(0, i + 1).join("/"));
    const why =
      (/\0|\p{Surrogate}/u.test(name) && "it holds NUL, or half of a letter") ||
      (parts.some((part) => part === "" || part === ".") && 'a part of it is empty, or "."') ||
      (NO_LAYER.test(place) && `Keras keeps something else under ${parts[0]}`) ||
      ((counted.get(place)! > 1 || folders.some((folder) => counted.has(folder))) && "another variable is at its place");
    if (why)
      throw new CheckpointError(
        `A file of Keras cannot hold a variable of this name: ${why}`,
        show(name),
        "Name it as Keras does: dense/kernel, dense_1/kernel.",
      );
  }
  return places;
};

/** The contents of a .weights.h5 file that is not there yet, for these variables. */
export const newWeights = (variables: readonly StoredArray[], dialect: Dialect, options: Hdf5Options): KerasContents => {
  const names = variables.map(({ name }) => name);
  refuseTwice(names, "Name them as Keras does: dense/kernel, dense_1/kernel.");
  const places = placesOf(names);
  const contents = new Map<string, Hdf5Object>([["", { attributes: new Map() }]]);
  for (const place of places.values()) {
    const parts = place.split("/").slice(0, -1);
    parts.forEach((part, i) => {
      const path = parts.slice(0, i + 1).join("/");
      const name =
        part === "vars" && dialect === "keras" ? new Map([["name", { shape: [], value: [parts[i - 1] ?? "model"] }]]) : new Map();
      if (!contents.has(path)) contents.set(path, { attributes: name });
    });
  }
  return {
    format: "weights.h5",
    dialect,
    queues: [variables.map((one) => ({ variables: [{ ...one, trainable: null }] }))],
    optimizer: null,
    write: (model, format) => {
      onlyTo(format, "weights.h5");
      return writeHdf5(weightsFile(contents, places, model), "the file", options);
    },
  };
};
