/** Files that a command writes. */

import { access } from "node:fs/promises";
import { CheckpointError } from "../errors.js";

/** @throws CheckpointError when there is something at `path` already, unless it was forced. */
export const refuseExisting = async (path: string, force: boolean): Promise<void> => {
  const exists = await access(path).then(
    () => true,
    () => false,
  );
  if (exists && !force)
    throw new CheckpointError(`${path} is there already`, "no --force", "Give --force to replace it, or another name.");
};
