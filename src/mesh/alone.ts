/** A world of one: the program that was started without mpirun. It needs no MPI. */

import type { Communicator, Parts, Words, World } from "./communicator.js";

class Alone implements Communicator {
  readonly rank = 0;
  readonly size = 1;
  readonly bytesSent = 0;
  barrier(): void {}
  broadcast(): void {}
  allgather(): void {}
  alltoall(send: Parts, receive: Parts): void {
    const [begin, count] = [send.places[0]!, send.counts[0]!];
    wordsOf(receive.array).set(wordsOf(send.array).subarray(begin, begin + count), receive.places[0]!);
  }
  split(): Communicator {
    return this;
  }
}

const wordsOf = ({ buffer, byteOffset, byteLength }: Words): Int32Array => new Int32Array(buffer, byteOffset, byteLength / 4);

export const alone = (): World => ({ all: new Alone(), ranksOnHost: 1, close() {} });
