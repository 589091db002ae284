/** The ranks that mpirun started: how MPI begins and how it ends. */

import { writeSync } from "node:fs";
import { isMainThread } from "node:worker_threads";
import { BackendError } from "../errors.js";
import type { Communicator, World } from "./communicator.js";
import { EndOfProcess } from "./ending.js";
import { gatherNumbers } from "./gathering.js";
import type { Launcher } from "./launcher.js";
import { type Job, MpiCommunicator } from "./mpi.js";
import { ABIS, handleFrom, loadMpi, type Mpi, numberFrom } from "./mpi-abi.js";
import { pause } from "./pause.js";
import { RollCall } from "./roll-call.js";
import { startInTime } from "./starting.js";

const MPI_THREAD_FUNNELED = 1; // only the main thread calls MPI

/** Milliseconds in which mpirun reads why the job ends. What it has not read by then is lost with the job, in MPICH's. */
const UNTIL_READ = 250;

/** MPI starts and ends once in a process: whoever asks for its world gets this one. */
let world: Promise<MpiWorld> | undefined;

/** `timeout`: milliseconds that a call may wait, from now on.
 *  @throws BackendError when MPI is not there, has ended, or was not started by this launcher. */
export const openMpiWorld = async (launcher: Launcher, timeout: number): Promise<World> => {
  world ??= start(launcher, timeout);
  return (await world).open(timeout);
};

const start = async (launcher: Launcher, timeout: number): Promise<MpiWorld> => {
  const { name, size, sign } = launcher;
  if (!isMainThread)
    throw new BackendError("A mesh of several ranks is made on the main thread", "a worker thread", "Call createMesh there.");
  const mpi = await loadMpi(ABIS[launcher.mpi]);
  const late =
    `adamax: createMesh has waited for the other ranks for longer than ${timeout} ms. The job ends. ` +
    "Every rank must call it. Where one may take longer, give createMesh a larger timeout, or Infinity.\n";
  await startInTime(timeout, late, () => mpi.Init_thread(null, null, MPI_THREAD_FUNNELED, new Int32Array(1)));
  const started = numberFrom((out) => mpi.Comm_size(mpi.worldHandle, out));
  if (started === size) return new MpiWorld(mpi, timeout);
  mpi.Finalize();
  throw new BackendError(
    `This process was started as one of several by ${name}, which the ${mpi.abi.name} that was loaded does not know`,
    `${sign}=${size}, and a world of ${started}`,
    `Start it by the mpirun of ${mpi.abi.name} (Debian: apt-get install ${mpi.abi.packages}), the same version as the library.`,
  );
};

class MpiWorld implements World, Job {
  readonly mpi: Mpi;
  readonly rollCall: RollCall;
  readonly all: Communicator;
  readonly ranksOnHost: number;
  optimizers = 0;
  timeout: number;
  readonly #rank: number;
  readonly #process = new EndOfProcess();
  #users = 0;
  #hasEnded = false;

  constructor(mpi: Mpi, timeout: number) {
    const { abi, worldHandle, noInfoHandle } = mpi;
    this.mpi = mpi;
    this.timeout = timeout;
    this.#rank = numberFrom((out) => mpi.Comm_rank(worldHandle, out));
    const channel = handleFrom(mpi, (out) => mpi.Comm_dup(worldHandle, out));
    this.rollCall = new RollCall(mpi, channel, this.#rank);
    this.all = new MpiCommunicator(this, worldHandle, "all ranks", this.#rank);
    const host = handleFrom(mpi, (out) => mpi.Comm_split_type(worldHandle, abi.sameHost, this.#rank, noInfoHandle, out));
    this.ranksOnHost = numberFrom((out) => mpi.Comm_size(host, out));
    this.#process.onEnd(
      () => this.#endOrAbort(),
      (status, why) => this.#hasEnded || this.abort(status, why),
    );
  }

  open(timeout: number): this {
    this.enter();
    this.timeout = timeout;
    this.#users++;
    return this;
  }

  enter(): void {
    this.#process.goesOn();
    if (this.#hasEnded)
      throw new BackendError(
        "MPI has ended in this process, and cannot start again",
        "a call after the last mesh was disposed",
        "Dispose the mesh as the last thing.",
      );
  }

  close(): void {
    if (--this.#users === 0) this.#end();
  }

  #end(): void {
    if (this.#hasEnded) return;
    // MPI_Finalize waits, too, but however long, and for whatever the others do.
    gatherNumbers(this.all, new Float64Array(0), new Array<number>(this.all.size).fill(0), "the end of the program");
    this.#hasEnded = true;
    this.mpi.Finalize();
  }

  #endOrAbort(): void {
    try {
      this.#end();
    } catch (error) {
      this.abort(1, `${error}`);
    }
  }

  abort(status: number, message: string): never {
    try {
      writeSync(2, `adamax: rank ${this.#rank} of ${this.all.size} ends the job. ${message}\n`);
      pause(UNTIL_READ);
    } finally {
      this.mpi.Abort(this.mpi.worldHandle, status);
    }
    throw new Error("MPI_Abort returned.");
  }
}
