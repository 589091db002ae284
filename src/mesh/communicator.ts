/** What ranks can say to each other.
 *
 *  - Every call is made by all ranks of the group, alike and in the same order: which root, which counts, everything is known to everybody.
 *  - Calls wait (but for the beginning of an alltoall): when one returns, this rank's arrays are read and written. They block the thread, so that a step can be synchronous.
 *  - What travels is memory, in words of four bytes, from where it lies to where it shall be: nothing here computes with it. A word is
 *    half a float64. Arrays are views over an ArrayBuffer, a SharedArrayBuffer or WebAssembly memory; no call copies them first.
 *  - A wait has an end. Where a rank stays away for longer than the timeout of the mesh, the job ends on all ranks, and the error names the
 *    operation, its label, and who is missing. So no call throws for another rank's fault: either it returns, or the job is over. */

/** Memory that can travel. */
export type Words = Float32Array | Float64Array | Int32Array | Uint32Array;

/** A part of one array for each rank, none of which overlap: `counts[r]` words, from word `places[r]` of the array on. */
export interface Parts {
  readonly array: Words;
  readonly counts: Int32Array;
  readonly places: Int32Array;
}

/** A group of ranks, seen by one of them. Labels say in errors what for: "gradients of step 12". */
export interface Communicator {
  /** This rank's place, from 0 on. */
  readonly rank: number;
  readonly size: number;
  /** What this rank has sent to others in this group so far. */
  readonly bytesSent: number;
  /** Told of memory from which much will travel, before it is written. No rank is asked. */
  prepare(memory: ArrayBufferLike): void;
  /** Returns when every rank has called it. */
  barrier(label: string): void;
  /** `array` of rank `root`, to that of every other. */
  broadcast(array: Words, root: number, label: string): void;
  /** Numbers and texts of each rank, to all: as allgather, and never taken for one. */
  gather(parts: Parts, label: string): void;
  /** Every rank's own part, to the same place of every other's array. */
  allgather(parts: Parts, label: string): void;
  /** Part s of this rank, to every other rank s, where it becomes part r of what is received, if r is this rank; its own part stays where it is. It only
   *  begins: what is returned waits for the end, and has to be called, in the order of beginnings. Until then nobody touches the arrays; the lists of counts
   *  and places may change. The arrays must not overlap: where both begin at one address, MPI would take it for an exchange in place. */
  alltoall(send: Parts, receive: Parts, label: string): () => void;
  /** The ranks that give the same color, an integer of 0 or more, in the order that they have here. */
  split(color: number, label: string): Communicator;
}

/** The ranks that mpirun started, or the one process that was started by itself. */
export interface World {
  readonly all: Communicator;
  /** Ranks on this machine, this one included. */
  readonly ranksOnHost: number;
  /** Optimizers that all ranks have built so far, on any mesh. */
  optimizers: number;
  /** Waits for all ranks; afterwards none can say anything. Once for each time that the world was opened: the last counts. */
  close(): void;
}

/** Counts and places of parts that lie one behind the other. */
export const inOrder = (counts: Int32Array): Pick<Parts, "counts" | "places"> => {
  const places = new Int32Array(counts.length);
  for (let r = 1; r < counts.length; r++) places[r] = places[r - 1]! + counts[r - 1]!;
  return { counts, places };
};
