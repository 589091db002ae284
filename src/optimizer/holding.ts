/** What takes its time with an optimizer: readers, who notice when they were overtaken, and loading, which holds it. */

import { CheckpointError } from "../errors.js";
import type { Lifecycle } from "../lifecycle.js";

/** For a reader that takes its time. What it gets throws once something was changed, so that nobody takes old and new for one.
 *  @throws CheckpointError, or what says why nothing can be read now. */
export const reader = (lives: Iterable<Lifecycle>): (() => void) => {
  const before = [...lives].map((life) => ({ life, changes: life.changes }));
  for (const { life } of before) life.assert("save");
  return () => {
    for (const { life, changes } of before) {
      life.assert("save");
      if (life.changes !== changes)
        throw new CheckpointError(
          "Variables or state were changed while they were being saved, so that the checkpoint would be of two moments",
          `${life.changes - changes} changes (steps, swaps, values that were written or loaded)`,
          "Await saveCheckpoint before you go on.",
        );
    }
  };
};

/** Holds the optimizer while `load` writes, in pieces; nothing else may be done with it meanwhile. `load` calls what it is given before each
 *  piece: it throws once the optimizer was disposed. Where `load` breaks off, values and state are neither old nor new. */
export const holdFor = async (life: Lifecycle, load: (assertHeld: () => void) => Promise<void>): Promise<void> => {
  life.begin("load");
  life.settle("loading");
  const assertHeld = () => life.assert("hold");
  try {
    await load(assertHeld);
    assertHeld();
  } catch (error) {
    life.breakOff(error as Error, true);
    throw error;
  }
  life.settle();
};

/** The same for those that own what `load` writes besides. Their state stays as it is, so they must be whole before. */
export const holdWith = async (
  others: readonly Lifecycle[],
  life: Lifecycle,
  load: Parameters<typeof holdFor>[1],
): Promise<void> => {
  const [other, ...rest] = others;
  if (!other) return holdFor(life, load);
  other.assert("write");
  await holdFor(other, (assertHeld) =>
    holdWith(rest, life, (others) =>
      load(() => {
        assertHeld();
        others();
      }),
    ),
  );
};
