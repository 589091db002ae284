/** "adamax" as the semantics suite sees it on a rank over MPI: every optimizer has a mesh, and leaves a trace of its bits. The first rank's gradients count; what
 *  the others have, which is the same, does not: so the mean is that gradient, bit for bit, in float64, too. */

import * as core from "../../../src/index.js";
import { createMesh } from "../../../src/mesh/index.js";

export * from "../../../src/index.js";

export const mesh = await createMesh([["batch", -1]], { timeout: 60_000, shardState: true });

/** Over all values after all steps, of every optimizer. NaNs count as one. */
export const trace = { hash: 0, steps: 0 };
const note = (optimizer: core.Optimizer): void => {
  trace.steps++;
  for (const { value } of optimizer.trainableVariables)
    for (const x of value) {
      const [low, high] = new Int32Array(Float64Array.of(Number.isNaN(x) ? NaN : x).buffer);
      trace.hash = (Math.imul(trace.hash, 31) + low! + Math.imul(high!, 7)) | 0;
    }
};

type Options = ConstructorParameters<typeof core.Adamax>[0];
const onRanks = (options: unknown): Options =>
  typeof options === "object" && options !== null && !(Symbol.iterator in options)
    ? { mesh, ...("backend" in options ? {} : { threads: 1 }), ...options }
    : options === undefined
      ? { mesh, threads: 1 }
      : (options as Options);
const COUNTS = { weight: mesh.rank === 0 ? 1 : 0 };

export class Optimizer<Hyper extends string = never> extends core.Optimizer<Hyper> {
  constructor(options?: ConstructorParameters<typeof core.Optimizer<Hyper>>[0]) {
    super(onRanks(options) as typeof options);
  }

  override applyGradients(pairs: Iterable<core.GradientAndVariable>, options: core.StepOptions = COUNTS): number {
    const updates = super.applyGradients(pairs, options);
    note(this as unknown as core.Optimizer);
    return updates;
  }
}

export class Adamax extends core.Adamax {
  constructor(options?: Options) {
    super(onRanks(options));
  }

  override applyGradients(pairs: Iterable<core.GradientAndVariable>, options: core.StepOptions = COUNTS): number {
    const updates = super.applyGradients(pairs, options);
    note(this as unknown as core.Optimizer);
    return updates;
  }
}
