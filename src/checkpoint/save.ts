/** From an optimizer and its variables to a file. */

import type { OnProgress } from "../backend.js";
import { OptionError, show } from "../errors.js";
import { callable, checkKinds, isPlain, optional } from "../kinds.js";
import { Optimizer } from "../optimizer/optimizer.js";
import { together } from "../resuming/together.js";
import { crc32 } from "./format/crc32.js";
import { encodeTensors } from "./format/tensors.js";
import { assertSame, ranksOf, writeOnFirst } from "./on-ranks.js";
import { type Content, describe, nameMap } from "./state.js";
import type { Bytes } from "./storage/bytes.js";
import { type CheckpointTarget, writeTo } from "./storage/target.js";

export interface SaveOptions extends Content {
  onProgress?: OnProgress;
  /** Breaks the saving off: the old checkpoint stays. */
  signal?: AbortSignal;
}

/** Saves variables, the optimizer's state, its configuration and your own JSON as one safetensors file. A file is replaced as a whole or
 *  not at all. Await it before the next step: a step in between is an error, and the old checkpoint stays. On a mesh every rank calls it, and the first one
 *  writes.
 *  @throws CheckpointError when it cannot be written, OptionError for `user` that JSON cannot hold. */
export const saveCheckpoint = async (target: CheckpointTarget, options: SaveOptions): Promise<void> => {
  const ranks = ranksOf(options);
  if (!ranks) return writeTo(target, checkpointPieces(options).pieces);
  const described = await together(ranks, "a checkpoint", () => {
    const { onProgress, signal, ...content } = checkSaveOptions(options);
    const { tensors, metadata, assertUnchanged } = describe(content);
    const { total, pieces } = encodeTensors(tensors, metadata);
    const between = (bytes: number) => {
      if (bytes > 0) onProgress?.({ bytes, total });
      signal?.throwIfAborted();
      assertUnchanged();
    };
    return { tensors, pieces, between };
  });
  const shapes = described.tensors.map(({ name, dtype, shape }) => [name, dtype, shape]);
  const sum = crc32(new TextEncoder().encode(JSON.stringify(shapes)));
  await assertSame(ranks, [sum], "save the same list of variables", "Name the same variables, of the same shapes, on each.");
  await writeOnFirst(ranks, described.pieces, described.between, (pieces) => writeTo(target, pieces));
};

/** The bytes of a checkpoint as a Blob, for a download: the browser may keep it on disk. */
export const checkpointBlob = async (options: SaveOptions): Promise<Blob> => {
  const parts: Blob[] = [];
  for await (const piece of checkpointPieces(options).pieces) parts.push(new Blob([piece]));
  return new Blob(parts, { type: "application/octet-stream" });
};

/** Not a list, nor a Map: what is in them would not be saved. */

/** @throws OptionError for options that are unknown, missing or not of their kind. */
export const checkSaveOptions = (options: SaveOptions): SaveOptions => {
  const checked = checkKinds<object>("saveCheckpoint", options, {
    optimizer: { wanted: "an optimizer of this library", holds: (value: unknown) => value instanceof Optimizer },
    variables: optional(
      { wanted: "variables", holds: (value) => typeof (value as Iterable<unknown>)?.[Symbol.iterator] === "function" },
      [],
    ),
    names: optional(nameMap, undefined),
    user: optional({ wanted: "JSON", holds: () => true }, null),
    metrics: optional({ wanted: "an object of numbers", holds: isPlain }, {}),
    onProgress: optional(callable, undefined),
    signal: optional({ wanted: "an AbortSignal", holds: (value) => value instanceof AbortSignal }, undefined),
  } as never) as SaveOptions;
  for (const [name, value] of Object.entries<unknown>(checked.metrics!))
    if (typeof value !== "number")
      throw new OptionError(
        `The metric ${show(name)} of a checkpoint must be a number`,
        show(value),
        "Read it out of its array or tensor; what is no number goes into user.",
      );
  return checked;
};

/** The size of the file, and its bytes while the optimizer stands still. */
export const checkpointPieces = (options: SaveOptions): { total: number; pieces: AsyncIterable<Bytes> } => {
  const { onProgress, signal, ...content } = checkSaveOptions(options);
  const { tensors, metadata, assertUnchanged } = describe(content);
  const { total, pieces } = encodeTensors(tensors, metadata);
  const watched = async function* () {
    let bytes = 0;
    for await (const piece of pieces) {
      assertUnchanged();
      yield piece;
      signal?.throwIfAborted();
      assertUnchanged();
      bytes += piece.length;
      onProgress?.({ bytes, total });
    }
    assertUnchanged(); // onProgress is the caller's code
  };
  return { total, pieces: watched() };
};
