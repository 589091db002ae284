/** HDF5 has no checksum of what Keras stores in it. Files that we write carry one: an attribute of the file, which Keras does not look at. */

import { CheckpointError } from "../../errors.js";
import { crc32 } from "../format/crc32.js";
import type { Numbers } from "./arrays.js";
import type { Hdf5 } from "./hdf5-contents.js";

/** Eight hexadecimal digits. */
const ATTRIBUTE = "adamax_crc32";

/** The same file with its checksum. */
export const withChecksum = (contents: Hdf5): Hdf5 =>
  withRoot(contents, [[ATTRIBUTE, { shape: [], value: [checksumOf(contents)] }]]);

/** The same file without its checksum, if it has one.
 *  @throws CheckpointError where it is that of other contents. */
export const withoutChecksum = (contents: Hdf5, what: string): Hdf5 => {
  const saved = contents.get("")?.attributes.get(ATTRIBUTE)?.value[0];
  if (saved === undefined) return contents;
  const checksum = checksumOf(contents);
  if (saved === checksum) return withRoot(contents, []);
  throw new CheckpointError(
    `${what} is damaged`,
    `${ATTRIBUTE} ${saved}, where its contents have ${checksum}`,
    `Use another copy. If another program changed it on purpose, delete the attribute ${ATTRIBUTE}.`,
  );
};

const withRoot = (contents: Hdf5, more: readonly (readonly [string, { shape: []; value: string[] }])[]): Hdf5 => {
  const root = contents.get("")!;
  const kept = [...root.attributes].filter(([name]) => name !== ATTRIBUTE);
  return new Map([...contents, ["", { ...root, attributes: new Map([...kept, ...more]) }]]);
};

/** Of every path, attribute and element, whatever the order in which HDF5 keeps them. */
const checksumOf = (contents: Hdf5): string => {
  const encoder = new TextEncoder();
  let sum = 0;
  const add = (...parts: unknown[]) => {
    sum = crc32(encoder.encode(JSON.stringify(parts)), sum);
  };
  for (const [path, { attributes, dataset }] of sorted(contents)) {
    add(path);
    for (const [name, { value }] of sorted(attributes))
      if (name !== ATTRIBUTE || path !== "") add(name, Array.from(value, String));
    if (!dataset) continue;
    const { shape, value } = dataset;
    add(shape, value === null || isTexts(value) ? value : value.constructor.name);
    if (value !== null && !isTexts(value)) sum = crc32(new Uint8Array(value.buffer, value.byteOffset, value.byteLength), sum);
  }
  return sum.toString(16).padStart(8, "0");
};

const isTexts = (value: readonly string[] | Numbers): value is readonly string[] => Array.isArray(value);
const sorted = <Value>(map: ReadonlyMap<string, Value>): (readonly [string, Value])[] =>
  [...map].sort(([a], [b]) => (a < b ? -1 : 1));
