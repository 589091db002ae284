/** "adamax/checkpoint" as the suite sees it on a rank: what is restored has the mesh. */

import * as checkpoint from "../../../src/checkpoint/index.js";
import { mesh } from "./adamax.js";

export * from "../../../src/checkpoint/index.js";

export const readAdamaxExport: typeof checkpoint.readAdamaxExport = async (...source) => {
  const saved = await checkpoint.readAdamaxExport(...source);
  const restore: typeof saved.restore = (given) =>
    saved.restore(given && "applyGradients" in given ? given : { mesh, threads: 1, ...given });
  return Object.assign(Object.create(saved), { restore });
};
