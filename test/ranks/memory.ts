/** An exchange for tests: ranks are threads of one process, with a shared memory and a barrier. */

import type { Exchange, Placement, Reduced, SharedArray } from "../../src/backends/ranks/exchange.js";
import { BackendError } from "../../src/errors.js";

/** How long a rank waits for the others. */
const PATIENCE_MILLISECONDS = 60_000;

/** Words that all ranks see. */
const WORD = { arrived: 0, generation: 1, length: 2 } as const;

export interface RankMemory {
  readonly control: Int32Array;
  /** Room for what is exchanged: as many bytes for each rank. */
  readonly room: SharedArrayBuffer;
}

export const makeMemory = (bytesForEach: number, size: number): RankMemory => ({
  control: new Int32Array(new SharedArrayBuffer(4 * (WORD.length + size))),
  room: new SharedArrayBuffer(bytesForEach * size),
});

/** Faults that the tests must notice. */
export type Mutation = "none" | "blocks joined in another order" | "totals for blocks" | "values not shared";

export class ThreadExchange implements Exchange {
  readonly rank: number;
  readonly size: number;
  readonly sums = false;
  readonly #placement: Placement;
  readonly #memory: RankMemory;
  readonly #mutation: Mutation;

  constructor(rank: number, size: number, memory: RankMemory, mutation: Mutation = "none") {
    this.rank = rank;
    this.size = size;
    this.#memory = memory;
    this.#mutation = mutation;
    const members = Array.from({ length: size }, (_, r) => r);
    const team = {
      members,
      place: rank,
      reduce: (arrays: readonly Reduced[]) => this.#reduce(arrays),
      share: (arrays: readonly SharedArray[]) => this.#share(arrays),
      broadcast: () => {},
    };
    this.#placement = { team, replicas: team, membersOf: () => members, teams: [members] };
  }

  nextOptimizer(): number {
    return 1;
  }

  placementOf(): Placement {
    return this.#placement;
  }

  gatherTexts(own: string): string[] {
    return this.#all(Float64Array.from(own, (letter) => letter.codePointAt(0)!)).map((codes) => String.fromCodePoint(...codes));
  }

  /** Every rank of the tests has the whole batch: what is reduced is what each has. That it is the same is checked. */
  #reduce(arrays: readonly Reduced[]): void {
    let sum = 0;
    for (const { from: gradient, into } of arrays) {
      if (into !== gradient) into.set(gradient);
      const words = new Int32Array(gradient.buffer, gradient.byteOffset, gradient.byteLength / 4);
      for (let i = 0; i < words.length; i++) sum = (Math.imul(sum, 31) + words[i]!) | 0;
    }
    const sums = this.#all(Float64Array.of(sum)).map(([one]) => one);
    if (new Set(sums).size > 1) throw new Error(`ranks have gradients of different bits: ${sums}`);
  }

  gather(own: Float64Array, lengths: readonly number[], label: string): Float64Array[] {
    const all = this.#all(own);
    for (const [rank, { length }] of all.entries())
      if (length !== lengths[rank]) throw new Error(`${length} numbers from rank ${rank}, not ${lengths[rank]}`);
    if (!label.startsWith("norms")) return all;
    if (this.#mutation === "blocks joined in another order") for (const blocks of all) blocks.reverse();
    if (this.#mutation === "totals for blocks")
      for (const blocks of all) {
        const total = blocks.reduce((sum, value) => sum + value, 0);
        blocks.fill(0).set([total].slice(0, blocks.length));
      }
    return all;
  }

  #all(own: Float64Array): Float64Array[] {
    const bytes = this.#memory.room.byteLength / this.size;
    if (own.byteLength > bytes) throw new Error(`${own.byteLength} bytes to exchange, in room for ${bytes}`);
    new Float64Array(this.#memory.room, this.rank * bytes, own.length).set(own);
    this.#memory.control[WORD.length + this.rank] = own.length;
    this.#barrier();
    const all = Array.from({ length: this.size }, (_, rank) =>
      new Float64Array(this.#memory.room, rank * bytes, this.#memory.control[WORD.length + rank]!).slice(),
    );
    this.#barrier(); // nobody writes before all have read
    return all;
  }

  #share(arrays: readonly SharedArray[]): void {
    if (this.#mutation === "values not shared") return;
    for (const { array, ranges } of arrays) {
      const own = ranges[this.rank]!;
      // In float64, which holds every float32: a NaN may change its bits, which nothing promises.
      const parts = this.#all(Float64Array.from(array.subarray(own.begin, own.end)));
      parts.forEach((part, rank) => {
        if (rank !== this.rank) array.set(part, ranges[rank]!.begin);
      });
    }
  }

  #barrier(): void {
    const { control } = this.#memory;
    const generation = Atomics.load(control, WORD.generation);
    if (Atomics.add(control, WORD.arrived, 1) === this.size - 1) {
      Atomics.store(control, WORD.arrived, 0);
      Atomics.add(control, WORD.generation, 1);
      Atomics.notify(control, WORD.generation);
      return;
    }
    while (Atomics.load(control, WORD.generation) === generation)
      if (Atomics.wait(control, WORD.generation, generation, PATIENCE_MILLISECONDS) === "timed-out")
        throw new BackendError(
          "A rank did not come to where the others wait",
          `rank ${this.rank} of ${this.size} after ${PATIENCE_MILLISECONDS / 1000} s`,
          "Every rank makes the same calls, in the same order.",
        );
  }
}
