/** Meshes of ranks that are not there, for what asks nobody. */

import type { Communicator } from "../../src/mesh/communicator.js";
import { Mesh } from "../../src/mesh/mesh.js";

/** As `rank` sees it. */
export const meshOf = (dimensions: Readonly<Record<string, number>>, rank = 0): Mesh => {
  const entries = Object.entries(dimensions);
  const size = entries.reduce((product, [, size]) => product * size, 1);
  return new Mesh(entries, { all: { rank, size } as Communicator, ranksOnHost: size, optimizers: 0, close() {} });
};
