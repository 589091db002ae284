/** MPI's start waits for every rank and cannot be interrupted: a thread beside it looks at the clock. */

import { Worker } from "node:worker_threads";

// It must not need the main thread, which is blocked: no console, no messages. Killed by a signal, because MPI cannot end a job before it has started.
const WATCH = `
const { workerData: { started, timeout, message } } = require("node:worker_threads");
if (Atomics.wait(started, 0, 0, timeout) === "timed-out") {
  require("node:fs").writeSync(2, message);
  process.kill(process.pid, "SIGKILL");
}`;

/** Runs `start`; where it takes longer than `timeout` milliseconds, `message` is written and this process is killed, at which mpirun ends the job. */
export const startInTime = async (timeout: number, message: string, start: () => void): Promise<void> => {
  if (timeout === Number.POSITIVE_INFINITY) return start();
  const started = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(WATCH, { eval: true, workerData: { started, timeout, message } });
  await new Promise((resolve, reject) => worker.once("online", resolve).once("error", reject));
  try {
    start();
  } finally {
    Atomics.store(started, 0, 1);
    Atomics.notify(started, 0);
  }
};
