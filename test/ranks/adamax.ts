/** "adamax" as the semantics suite sees it on a rank: every optimizer takes part in the exchange, and leaves a trace of its bits. */

import { workerData } from "node:worker_threads";
import { RankedBackend } from "../../src/backends/ranks/ranked.js";
import * as core from "../../src/index.js";
import { type Mutation, type RankMemory, ThreadExchange } from "./memory.js";

export * from "../../src/index.js";

export interface RankSettings {
  readonly rank: number;
  readonly size: number;
  readonly memory: RankMemory;
  readonly shardState: boolean;
  readonly threads: number;
  readonly mutation: Mutation;
}
const { rank, size, memory, shardState, threads, mutation } = workerData as RankSettings;
const exchange = new ThreadExchange(rank, size, memory, mutation);
const mesh: core.Ranks = {
  rank,
  size,
  ranksOnHost: 1,
  around: (backend) => (size === 1 ? backend : new RankedBackend(backend, exchange, { shardState })),
  meet: async (label, count, work) => {
    const own = Float64Array.from(await work());
    return exchange.gather(own, new Array<number>(size).fill(count), label).map((one) => [...one]);
  },
};

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
    ? { mesh, ...("backend" in options ? {} : { threads }), ...options }
    : options === undefined
      ? { mesh, threads }
      : (options as Options);

export class Optimizer<Hyper extends string = never> extends core.Optimizer<Hyper> {
  constructor(options?: ConstructorParameters<typeof core.Optimizer<Hyper>>[0]) {
    super(onRanks(options) as typeof options);
  }

  override applyGradients(pairs: Iterable<core.GradientAndVariable>): number {
    const updates = super.applyGradients(pairs);
    note(this as unknown as core.Optimizer);
    return updates;
  }
}

export class Adamax extends core.Adamax {
  constructor(options?: Options) {
    super(onRanks(options));
  }

  override applyGradients(pairs: Iterable<core.GradientAndVariable>): number {
    const updates = super.applyGradients(pairs);
    note(this as unknown as core.Optimizer);
    return updates;
  }
}
