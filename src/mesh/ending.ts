/** How this process ends. The other ranks must not wait for one that is gone, and mpirun must not take a broken job for a whole one: MPICH's says
 *  0 where a rank calls process.exit(0) in the middle. */

import { inspect } from "node:util";

export class EndOfProcess {
  // Node says beforeExit when nothing is left to do; not when process.exit is called, and not when an exception is not caught.
  #cameToItsEnd = false;
  #exception: { error: unknown } | null = null;

  /** `whole`: called when the program has come to its end. `broken`: when it is left before, with a status that is not 0, and why. */
  onEnd(whole: () => void, broken: (status: number, why: string) => void): void {
    process.on("beforeExit", () => {
      this.#cameToItsEnd = true;
    });
    process.on("uncaughtExceptionMonitor", (error) => {
      if (process.listenerCount("uncaughtException") === 0) this.#exception = { error };
    });
    process.on("exit", (code) => {
      const status = Number(process.exitCode ?? code); // an await without end sets it in this moment
      if (this.#cameToItsEnd && status === 0) whole();
      else broken(status || 1, this.#why(status));
    });
  }

  /** It has not come to its end yet. */
  goesOn(): void {
    this.#cameToItsEnd = false;
  }

  #why(status: number): string {
    // Node would show the exception after the end, which there will not be.
    if (this.#exception) return `An exception was not caught: ${inspect(this.#exception.error)}`;
    if (status !== 0) return `The process ends with status ${status}.`;
    return "process.exit was called before the end. To leave early without an error, call mesh.dispose() on every rank first.";
  }
}
