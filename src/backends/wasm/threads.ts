/** The calling thread's side of a pool of workers. */

import type { BackendError } from "../../errors.js";
import type { Stager } from "../cpu/memory.js";
import { controlBytes, countAsDropped, deal, drain, isLoaded, type RunJob, WORD } from "./claims.js";
import type { Message } from "./worker.js";

/** What is run at once: jobs in a segment's memory. */
export interface Dispatch {
  readonly jobs: number;
  readonly pending: number;
  readonly jobBytes: number;
  readonly scratch: number;
  readonly scratchBytes: number;
  /** Elements in all the jobs. */
  readonly elements: number;
  /** Slots for arrays that lie elsewhere. */
  readonly slots: number;
}

/** Elements from which a dispatch is shared with workers that spin, and from which sleeping ones are woken for it. Measured
 *  (bench/threads.ts): below, handing over costs more than it saves. */
const WORTH_SHARING = 30_000;
const WORTH_WAKING = 1_000_000;
/** Steps with a shorter pause between them find workers still spinning that were awake for the one before. */
const SHORT_PAUSE_MILLISECONDS = 0.15;
/** What an element takes alone: roughly, and rather too little. */
const MILLISECONDS_PER_ELEMENT = 3e-7;
/** A job lasts milliseconds at most; one that is claimed and not done after this long has died with its worker. */
const PATIENCE_MILLISECONDS = 2000;

/** A worker of Node or of a page, as far as we use it. */
interface AnyWorker {
  postMessage(message: Message): void;
  terminate(): unknown;
}

export class ThreadPool {
  readonly threads: number;
  readonly #control: Int32Array;
  readonly #workers: AnyWorker[] = [];
  readonly #runners = new Map<number, RunJob>();
  /** The numbers of the instances that work in a memory. */
  readonly #instances = new Map<WebAssembly.Memory, number[]>();
  /** The newest; they begin at 1, because a worker that has loaded nothing says 0. */
  #instance = 0;
  #alive = 0;
  /** When a step last found the workers asleep. */
  #foundAsleep = Number.NEGATIVE_INFINITY;
  readonly #onLoss: (words: string) => void;
  readonly #BackendError: typeof BackendError;
  #hasWarned = false;
  /** Whether this thread may block: a page's main thread may not. */
  readonly #mayWait = typeof window === "undefined";

  /** Starts `threads - 1` workers; until they are ready, the caller works alone. `onLoss` gets the words for why there are fewer. The class of its
   *  error is passed in: a module that this file shared with the core would become a file of its own in every bundle. */
  constructor(
    threads: number,
    workerUrl: URL | string | undefined,
    onLoss: (words: string) => void,
    ErrorClass: typeof BackendError,
  ) {
    this.threads = threads;
    this.#onLoss = onLoss;
    this.#BackendError = ErrorClass;
    this.#control = new Int32Array(new SharedArrayBuffer(controlBytes(threads)));
    for (let thread = 1; thread < threads; thread++) this.#start(thread, workerUrl);
    this.#post((thread) => ({ kind: "begin", control: this.#control, thread, threads }));
  }

  #start(thread: number, workerUrl: URL | string | undefined): void {
    const lost = (reason: string) => {
      if (!this.#workers[thread - 1]) return;
      delete this.#workers[thread - 1];
      this.#alive--;
      this.#tellOfLoss(reason);
    };
    try {
      this.#workers[thread - 1] = startWorker(workerUrl, lost);
      this.#alive++;
    } catch (error) {
      this.#tellOfLoss(String(error));
    }
  }

  #tellOfLoss(reason: string): void {
    if (!this.#hasWarned)
      console.warn(`adamax: a worker thread was lost (${reason}); training goes on with those that are left.`);
    this.#hasWarned = true;
    this.#onLoss(`workers were lost (${reason})`);
  }

  /** The calling thread, and the workers that there are. */
  get alive(): number {
    return 1 + this.#alive;
  }

  /** Posts one message to every worker, and has them return to their event loops for it. */
  #post(messageFor: (thread: number) => Message): void {
    Atomics.add(this.#control, WORD.messages, 1);
    this.#workers.forEach((worker, i) => {
      worker.postMessage(messageFor(i + 1));
    });
    this.#wake();
  }

  #wake(): void {
    Atomics.add(this.#control, WORD.generation, 1);
    Atomics.notify(this.#control, WORD.generation);
  }

  /** What runs a segment's jobs on all threads, where that is faster than alone, and returns whether it did.
   *  It throws a BackendError when a worker died inside of a job: what that was writing is neither old nor new. */
  sharer(module: WebAssembly.Module, memory: WebAssembly.Memory, run: RunJob, jobs: Dispatch): (stager?: Stager) => boolean {
    const instance = this.#load(module, memory, run);
    return (stager) => {
      if (!this.#isWorth(instance, jobs, stager !== undefined)) return false;
      if (this.#run(instance, jobs, stager)) return true;
      // One that is only slow would still write later, and count itself done in another step.
      this.dispose();
      this.#onLoss("a worker died in the middle of a step, and the others were ended");
      throw new this.#BackendError(
        "A worker thread died in the middle of a step, and left variables and state neither old nor new",
        `a step over ${jobs.elements} elements that did not come to its end`,
        "Load the last checkpoint into the variables and the optimizer.",
      );
    };
  }

  /** Gives every worker a compiled instance; returns its number. */
  #load(module: WebAssembly.Module, memory: WebAssembly.Memory, run: RunJob): number {
    const instance = ++this.#instance;
    this.#runners.set(instance, run);
    this.#instances.set(memory, [...(this.#instances.get(memory) ?? []), instance]);
    this.#post(() => ({ kind: "instance", instance, module, memory }));
    return instance;
  }

  /** Nothing will run in this memory any more: neither this thread nor a worker keeps it. */
  release(memory: WebAssembly.Memory): void {
    const instances = this.#instances.get(memory);
    if (!instances) return;
    this.#instances.delete(memory);
    for (const instance of instances) this.#runners.delete(instance);
    const bytes = memory.buffer.byteLength;
    this.#post(() => ({ kind: "release", instances, bytes }));
    countAsDropped(bytes);
  }

  /** Whether a step over so many elements should be cut into parts. */
  attends(elements: number): boolean {
    if (this.#isReadyFor(elements)) return true;
    if (elements >= WORTH_SHARING && this.#alive > 0) this.#wakeForNext(elements);
    return false;
  }

  #isReadyFor(elements: number): boolean {
    if (elements < WORTH_SHARING || this.#alive === 0) return false;
    return elements >= WORTH_WAKING || Atomics.load(this.#control, WORD.sleepers) < this.#alive;
  }

  /** Whether sharing a dispatch is faster than running it alone, and every worker has what it needs. */
  #isWorth(instance: number, { elements, pending, slots }: Dispatch, isStaged: boolean): boolean {
    if (pending < 2 || (isStaged && slots < 2) || !this.#isReadyFor(elements)) return false;
    for (const thread in this.#workers) if (!isLoaded(this.#control, Number(thread) + 1, instance)) return false;
    return true;
  }

  /** For this step they would come too late. Where steps follow each other closely, they will be there for the next one. */
  #wakeForNext(elements: number): void {
    const now = performance.now();
    const lasted = elements * MILLISECONDS_PER_ELEMENT;
    if (now - this.#foundAsleep < lasted + SHORT_PAUSE_MILLISECONDS) this.#wake();
    this.#foundAsleep = now;
  }

  /** Returns whether all jobs are done. */
  #run(instance: number, dispatch: Dispatch, stager?: Stager): boolean {
    const control = this.#control;
    control[WORD.jobs] = dispatch.jobs;
    control[WORD.jobBytes] = dispatch.jobBytes;
    control[WORD.scratch] = dispatch.scratch;
    control[WORD.scratchBytes] = dispatch.scratchBytes;
    Atomics.store(control, WORD.instance, instance);
    if (stager) return this.#runStaged(dispatch, stager);
    this.#begin(0, dispatch.pending);
    return this.#finish(dispatch.pending);
  }

  /** In batches: while workers run one, this thread fills the slots of the next. */
  #runStaged({ pending, slots }: Dispatch, stager: Stager): boolean {
    const batch = Math.floor(slots / 2);
    for (let begin = 0, before = 0; before < pending; before = begin, begin = Math.min(begin + batch, pending)) {
      const end = Math.min(begin + batch, pending);
      for (let job = begin; job < end; job++) stager.prepare(job, job % (2 * batch));
      if (before < begin && !this.#finish(begin - before)) return false;
      if (begin < end) this.#begin(begin, end);
      for (let job = before; job < begin; job++) stager.complete(job, job % (2 * batch));
    }
    return true;
  }

  /** Offers jobs [begin, end) to the workers. */
  #begin(begin: number, end: number): void {
    const control = this.#control;
    deal(control, this.threads, begin, end);
    Atomics.add(control, WORD.generation, 1);
    if (Atomics.load(control, WORD.sleepers) > 0) Atomics.notify(control, WORD.generation);
  }

  /** Takes part in the `jobs` jobs that were begun until all are claimed, and waits for those that workers have claimed. Returns whether
   *  all are done. */
  #finish(jobs: number): boolean {
    const control = this.#control;
    drain(control, this.threads, 0, (number) => this.#runners.get(number)!);
    for (let i = 0; i < 1000; i++) if (Atomics.load(control, WORD.done) === jobs) return true;
    const begin = performance.now();
    for (;;) {
      const done = Atomics.load(control, WORD.done);
      const waited = performance.now() - begin;
      if (done === jobs) return true;
      if (Atomics.load(control, WORD.failed) === 1 || waited > PATIENCE_MILLISECONDS) return false;
      // The worker has lost its core for a while: give it ours.
      if (waited > 0.5 && this.#mayWait) Atomics.wait(control, WORD.done, done, 0.2);
    }
  }

  dispose(): void {
    const workers = this.#workers.splice(0);
    this.#alive = 0;
    for (const worker of workers) worker?.terminate();
  }
}

const NOT_LOADED =
  "its script could not be loaded; it must be where workerUrl says or worker.js beside this script (docs/bundlers.md), and " +
  "a content security policy must allow it (worker-src)";

/** A worker whose script is a file of its own, so that pages with a content security policy can allow it. */
const startWorker = (workerUrl: URL | string | undefined, lost: (reason: string) => void): AnyWorker => {
  const node = (globalThis as { process?: typeof import("node:process") }).process?.getBuiltinModule?.("node:worker_threads");
  if (node) {
    // A process must be able to end without disposing; loaders of the parent are not for us.
    const worker = new node.Worker(workerUrl ?? new URL("./worker.js", import.meta.url), { execArgv: [] });
    worker.unref();
    worker.on("error", (error) => lost(String(error)));
    worker.on("exit", (code) => lost(`it ended with code ${code}`));
    return worker;
  }
  const worker = workerUrl
    ? new Worker(workerUrl, { type: "module" })
    : new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  worker.onerror = (event) => lost(event.message || NOT_LOADED);
  return worker;
};
