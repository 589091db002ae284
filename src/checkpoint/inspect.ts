/** What a checkpoint holds, without loading it. */

import { checkKinds, flag, optional } from "../kinds.js";
import type { TensorPlace } from "./format/safetensors.js";
import { readHeader } from "./format/safetensors.js";
import { namedTensors, readTensors } from "./format/tensors.js";
import { type Description, readDescription } from "./state.js";
import { type CheckpointSource, openSource } from "./storage/source.js";

export interface CheckpointContents extends Description {
  /** Names, dtypes, shapes, and where in the file their bytes are. */
  readonly tensors: readonly TensorPlace[];
  /** The size of the file. */
  readonly bytes: number;
}

/** Reads the header and, with `verify`, every byte, to compare the checksums.
 *  @throws CheckpointError for a file that is damaged, as far as it was read, or no checkpoint. */
export const inspectCheckpoint = async (
  given: CheckpointSource,
  options: { verify?: boolean } = {},
): Promise<CheckpointContents> => {
  const { verify } = checkKinds<{ verify?: boolean }>("inspectCheckpoint", options, { verify: optional(flag, false) });
  const source = await openSource(given);
  try {
    const header = await readHeader(source);
    const description = readDescription(header, source);
    const tensors = namedTensors(header, source);
    if (verify) await readTensors(source, header, () => {});
    return { ...description, tensors, bytes: source.size };
  } finally {
    await source.close();
  }
};
