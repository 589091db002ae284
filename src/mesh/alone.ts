/** A world of one: the program that was started without mpirun. It needs no MPI. */

import type { Communicator, World } from "./communicator.js";

class Alone implements Communicator {
  readonly rank = 0;
  readonly size = 1;
  readonly bytesSent = 0;
  prepare(): void {}
  barrier(): void {}
  broadcast(): void {}
  gather(): void {}
  allgather(): void {}
  alltoall(): () => void {
    return () => {};
  }
  split(): Communicator {
    return this;
  }
}

export const alone = (): World => ({ all: new Alone(), ranksOnHost: 1, optimizers: 0, close() {} });
