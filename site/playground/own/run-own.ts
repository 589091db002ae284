/** Runs the visitor's rule in a worker, and ends the worker where the rule does not end. */

import type { Problem } from "./compile.ts";
import type { OwnAnswer, OwnRequest } from "./worker.ts";

/** What a rule may take, once the worker is loaded. A race takes a few milliseconds. */
const LIMIT_MILLISECONDS = 2000;

export type OwnOutcome = Exclude<OwnAnswer, { kind: "ready" }>;

export class OwnRunner {
  #worker: Worker | null = null;
  /** null: it can be asked. */
  #ready: Promise<OwnOutcome | null> = Promise.resolve(null);
  #waiting: ((outcome: OwnOutcome | null) => void) | null = null;

  /** null: a later request took its place. */
  async run(request: OwnRequest): Promise<OwnOutcome | null> {
    this.#waiting?.(null);
    if (this.#waiting) this.#end(); // what it does is not wanted any more
    const worker = this.#worker ?? this.#start();
    let supersede: (outcome: OwnOutcome | null) => void = () => {};
    const superseded = new Promise<OwnOutcome | null>((resolve) => {
      supersede = resolve;
    });
    this.#waiting = supersede;
    let timer = 0;
    const outcome = await Promise.race([
      superseded,
      this.#ready.then(
        (failed) =>
          failed ??
          new Promise<OwnOutcome>((resolve) => {
            timer = window.setTimeout(() => resolve({ kind: "failed", problem: TOO_LONG }), LIMIT_MILLISECONDS);
            worker.onmessage = ({ data }: MessageEvent<OwnOutcome>) => resolve(data);
            worker.onerror = ({ message }) => resolve({ kind: "failed", problem: { message, line: null } });
            worker.postMessage(request);
          }),
      ),
    ]);
    window.clearTimeout(timer);
    if (this.#waiting === supersede) this.#waiting = null;
    if (outcome?.kind === "failed" && ENDING.includes(outcome.problem)) this.#end();
    return outcome;
  }

  dispose(): void {
    this.#waiting?.(null);
    this.#end();
  }

  #start(): Worker {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    this.#worker = worker;
    this.#ready = new Promise((resolve) => {
      worker.onmessage = () => resolve(null);
      worker.onerror = () => resolve({ kind: "failed", problem: NOT_STARTED });
    });
    return worker;
  }

  #end(): void {
    this.#worker?.terminate();
    this.#worker = null;
    this.#waiting = null;
  }
}

const TOO_LONG: Problem = {
  message: `The rule did not end within ${LIMIT_MILLISECONDS / 1000} seconds, so it was stopped. An update only records what is computed: it needs no loop that waits.`,
  line: null,
};
const NOT_STARTED: Problem = {
  message: "The worker that runs rules could not be started. Is there a network? Load the page again.",
  line: null,
};
/** After these a worker is of no more use. */
const ENDING = [TOO_LONG, NOT_STARTED];
