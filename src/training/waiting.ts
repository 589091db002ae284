/** Waiting that a signal can end, and giving everything else its turn. */

export interface Waiting {
  /** The value of a promise; a rejection when the signal fires first, or has fired. */
  wait<Value>(value: Value | PromiseLike<Value>): Promise<Value>;
  /** Whether this was thrown because the signal fired: here, or by somebody who hears the same signal. */
  wasEndedBy(error: unknown): boolean;
  /** Hears the signal no longer. */
  end(): void;
}

export const waitingFor = (signal: AbortSignal | undefined): Waiting => {
  const broken = new Error("The signal fired.");
  let breakOff: (() => void) | undefined; // of what is awaited now: a race with one long promise would keep all of them
  const onAbort = () => breakOff?.();
  signal?.addEventListener("abort", onAbort);
  return {
    async wait(value) {
      if (!signal || !isPromise(value)) return value;
      return new Promise((resolve, reject) => {
        breakOff = () => reject(broken);
        if (signal.aborted) breakOff();
        value.then(resolve, reject);
      });
    },
    wasEndedBy: (error) =>
      signal?.aborted === true && ([broken, signal.reason].includes(error) || (error as Error | null)?.name === "AbortError"),
    end: () => signal?.removeEventListener("abort", onAbort),
  };
};

const isPromise = <Value>(value: Value | PromiseLike<Value>): value is PromiseLike<Value> =>
  typeof (value as PromiseLike<Value> | null)?.then === "function";

/** Gives timers, input and the signal their turn every 20 ms: a loop that awaits only resolved promises would starve them.
 *  By a message and not a timer, because browsers slow those down, in background pages to one a second. */
export const pauses = (clock: () => number) => {
  let last = clock();
  return () => {
    if (clock() - last < 20) return undefined;
    return new Promise<void>((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        last = clock();
        resolve();
      };
      port2.postMessage(null);
    });
  };
};
