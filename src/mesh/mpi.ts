/** Ranks over MPI. Every collective is started without blocking and then tested for, so that no wait is without end. */

import { type Communicator, inOrder, type Parts, type Words } from "./communicator.js";
import { type Handle, handleFrom, type Mpi, numberFrom } from "./mpi-abi.js";
import { pause } from "./pause.js";
import type { RollCall, Whereabouts } from "./roll-call.js";

/** Tests made at once, about 0.2 µs each: a collective of a few numbers is done by then. */
const EAGER_TESTS = 200;
/** Milliseconds in which a rank only tests. Then it pauses between tests, for a sixteenth of the time that it has waited, at most one. */
const KEEN = 1;
const LONGEST_PAUSE = 1;

/** What the groups of a world share. */
export interface Job {
  readonly mpi: Mpi;
  readonly rollCall: RollCall;
  /** Milliseconds that a call may wait. */
  readonly timeout: number;
  /** Told before each call.
   *  @throws BackendError when MPI has ended. */
  enter(): void;
  /** Ends all ranks. */
  abort(status: number, message: string): never;
}

type Operation = "barrier" | "broadcast" | "gather" | "allgather" | "alltoall";

/** What an alltoall reads and writes until it is over. A rank's part for itself is left out: MPI takes three times as long to copy it as it needs. */
class Exchanging {
  readonly request = new BigInt64Array(1);
  readonly sent: Taken;
  readonly received: Taken;

  constructor(size: number) {
    const none = (): Taken => ({ array: null, counts: new Int32Array(size), places: new Int32Array(size) });
    this.sent = none();
    this.received = none();
  }
}
/** Parts, held. */
interface Taken extends Omit<Parts, "array"> {
  array: Words | null;
}
const take = (into: Taken, { array, counts, places }: Parts, own: number): void => {
  into.array = array;
  into.places.set(places);
  into.counts.set(counts);
  into.counts[own] = 0;
};

export class MpiCommunicator implements Communicator {
  readonly rank: number;
  readonly size: number;
  readonly #job: Job;
  /** One for each operation, so that MPI cannot take the messages of one for those of another: a rank that is in the wrong call waits. */
  readonly #handles: Readonly<Record<Operation, Handle>>;
  readonly #name: string;
  /** Ranks of the world, by rank of the group. */
  readonly #members: Int32Array;
  readonly #request = new BigInt64Array(1);
  /** Of exchanges that are over, for the next ones. */
  readonly #idle: Exchanging[] = [];
  readonly #flag = new Int32Array(1);
  /** What the running call reads and writes: MPI knows only addresses, and the garbage collector only references. */
  protected held: unknown;
  #calls = 0;
  #wordsSent = 0;
  #splits = 0;

  /** `handle`: a communicator that stays the caller's. `name` says which group this is, alike on all its ranks. */
  constructor(job: Job, handle: Handle, name: string, worldRank: number) {
    const duplicate = () => handleFrom(job.mpi, (out) => job.mpi.Comm_dup(handle, out));
    this.#job = job;
    this.#handles = {
      barrier: duplicate(),
      broadcast: duplicate(),
      gather: duplicate(),
      allgather: duplicate(),
      alltoall: duplicate(),
    };
    this.#name = name;
    this.rank = numberFrom((out) => job.mpi.Comm_rank(handle, out));
    this.size = numberFrom((out) => job.mpi.Comm_size(handle, out));
    this.#members = new Int32Array(this.size);
    this.#members[this.rank] = worldRank;
    this.allgather({ array: this.#members, ...inOrder(new Int32Array(this.size).fill(1)) }, `making ${name}`);
  }

  get bytesSent(): number {
    return 4 * this.#wordsSent;
  }

  prepare(memory: ArrayBufferLike): void {
    this.#job.mpi.askForLargePages(memory);
  }

  barrier(label: string): void {
    this.#enter(null).Ibarrier(this.#handles.barrier, this.#request);
    this.#wait("barrier", label);
  }

  broadcast(array: Words, root: number, label: string): void {
    const mpi = this.#enter(array);
    if (this.rank === root) this.#wordsSent += (array.byteLength / 4) * (this.size - 1);
    mpi.Ibcast(array, array.byteLength / 4, mpi.wordType, root, this.#handles.broadcast, this.#request);
    this.#wait("broadcast", label);
  }

  gather(parts: Parts, label: string): void {
    this.#allgather("gather", parts, label);
  }

  allgather(parts: Parts, label: string): void {
    this.#allgather("allgather", parts, label);
  }

  #allgather(operation: "gather" | "allgather", parts: Parts, label: string): void {
    const { array, counts, places } = parts;
    const mpi = this.#enter(parts);
    this.#wordsSent += counts[this.rank]! * (this.size - 1);
    const { abi, wordType } = mpi;
    mpi.Iallgatherv(abi.inPlace, 0, wordType, array, counts, places, wordType, this.#handles[operation], this.#request);
    this.#wait(operation, label);
  }

  alltoall(send: Parts, receive: Parts, label: string): () => void {
    const mpi = this.#enter(null);
    const exchanging = this.#idle.pop() ?? new Exchanging(this.size);
    const { sent, received, request } = exchanging;
    take(sent, send, this.rank);
    take(received, receive, this.rank);
    for (const count of sent.counts) this.#wordsSent += count;
    const word = mpi.wordType;
    mpi.Ialltoallv(
      ...[sent.array, sent.counts, sent.places, word, received.array, received.counts, received.places, word],
      ...[this.#handles.alltoall, request],
    );
    const calls = this.#calls;
    return () => {
      this.#wait("alltoall", label, request, calls);
      sent.array = received.array = null;
      this.#idle.push(exchanging);
    };
  }

  split(color: number, label: string): Communicator {
    this.barrier(label); // MPI has no split that can be tested for: where everybody is here, it is over at once
    const { mpi } = this.#job;
    const made = handleFrom(mpi, (out) => mpi.Comm_split(this.#handles.barrier, color, this.rank, out));
    this.#splits++;
    return new MpiCommunicator(this.#job, made, `${this.#name}/${this.#splits}`, this.#members[this.rank]!);
  }

  #enter(held: unknown): Mpi {
    this.#job.enter();
    this.held = held;
    this.#calls++;
    return this.#job.mpi;
  }

  /** Returns when the call is complete. */
  #wait(operation: Operation, label: string, request: BigInt64Array = this.#request, calls: number = this.#calls): void {
    for (let tests = 0; tests < EAGER_TESTS; tests++) if (this.#isComplete(request)) return;
    const here = { group: this.#name, calls, call: `${operation} (${label})`.slice(0, 200) };
    const begin = performance.now();
    while (!this.#isComplete(request)) {
      const waited = performance.now() - begin;
      if (waited < KEEN) continue;
      this.#job.rollCall.answer(here);
      if (waited > this.#job.timeout) this.#giveUp(here);
      pause(Math.min(waited / 16, LONGEST_PAUSE));
    }
  }

  #isComplete(request: BigInt64Array): boolean {
    const { mpi } = this.#job;
    mpi.Test(request, this.#flag, mpi.abi.ignoreStatus);
    return this.#flag[0] !== 0;
  }

  #giveUp(here: Whereabouts): never {
    const { timeout, rollCall } = this.#job;
    const others = [...this.#members].filter((_, rank) => rank !== this.rank);
    this.#job.abort(
      1,
      `${here.call} has waited for longer than ${timeout} ms. Received: ${rollCall.ask(others, here)}. ` +
        "Every rank must make the same calls. Where one may take longer (or is held by a debugger), give createMesh a larger timeout, or Infinity.",
    );
  }
}
