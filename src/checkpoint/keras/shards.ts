/** Keras 3's sharded weights: name.weights.json says which of the files beside it holds which weights. Each is a .weights.h5 file with a part of them. */

import { CheckpointError, show } from "../../errors.js";
import type { JsonValue } from "../format/json.js";
import type { OpenedFile } from "./files.js";
import { type Hdf5Object, type Hdf5Options, readHdf5 } from "./hdf5.js";
import { isObject } from "./layers.js";
import type { KerasContents } from "./model.js";
import { readWeights } from "./store.js";

/** Whether JSON is such a file. */
export const isShardList = (json: JsonValue): boolean => isObject(json) && isObject(json.weight_map);

/** @throws CheckpointError for files that are missing, damaged, or do not hold what the list says. */
export const readShards = async (
  json: JsonValue,
  { what, readFile }: OpenedFile,
  options: Hdf5Options,
): Promise<KerasContents> => {
  const shards = new Map<string, string[]>();
  for (const [path, names] of Object.entries((json as { weight_map: JsonValue }).weight_map ?? {}))
    for (const name of Array.isArray(names) ? names : [names]) {
      if (typeof name !== "string" || !/^[^/\\:]+\.h5$/.test(name))
        throw new CheckpointError(`${what} names a file that is no shard beside it`, show(name), "The file is damaged.");
      const paths = shards.get(name) ?? [];
      paths.push(path.replace(/^\//, ""));
      shards.set(name, paths);
    }
  const joined = new Map<string, Hdf5Object>([["", { attributes: new Map() }]]);
  for (const [name, paths] of shards) {
    const contents = await readHdf5(await readFile(name), name, options);
    for (const [path, object] of contents) {
      const before = joined.get(path);
      if (before && (before.dataset || object.dataset))
        throw new CheckpointError(`Two shards of ${what} hold the same weight`, show(path), "Copy those of one model only.");
      joined.set(path, before ? { attributes: new Map([...before.attributes, ...object.attributes]) } : object);
    }
    const absent = paths.find((path) => !contents.has(path));
    if (absent !== undefined)
      throw new CheckpointError(
        `${name} does not hold what ${what} says`,
        `no ${show(absent)}`,
        "Copy all files of one model, and no others.",
      );
  }
  return { ...readWeights(joined, what, options), format: "weights.json" };
};
