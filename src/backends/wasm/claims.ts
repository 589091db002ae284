/** How threads share the jobs of a dispatch: a block of shared words that all of them read and write, by atomics only.
 *
 *  Each thread has a range of jobs and claims from it first; when it is through, it claims from the others'. So the calling thread
 *  never waits for a worker that is asleep, slow or dead: what that one has not claimed, others do. The caller waits only for jobs
 *  that are claimed and not yet done. Which thread runs a job does not change a bit of the result. */

/** A garbage collector counts plain buffers, and shared memories not: without a word, it would let hundreds of megabytes lie. A buffer of as many
 *  bytes (never touched, so it takes none) that is dropped at once makes them count. */
export const countAsDropped = (bytes: number): void => {
  try {
    new ArrayBuffer(Math.min(bytes, MOST_COUNTED_BYTES));
  } catch {} // where there is no room for it, the collector knows
};
const MOST_COUNTED_BYTES = 2 ** 28;

/** Words of the block. */
export const WORD = {
  /** Counts dispatches and messages; workers watch it. */
  generation: 0,
  /** Messages posted to every worker so far; one that has handled fewer returns to its event loop. */
  messages: 1,
  /** Jobs of the running dispatch that are done. */
  done: 2,
  /** Workers that sleep and must be woken. */
  sleepers: 3,
  /** 1 when a worker failed inside of a job. */
  failed: 4,
  /** The dispatch: which compiled instance, and where its jobs and scratch memory are. */
  instance: 5,
  jobs: 6,
  jobBytes: 7,
  scratch: 8,
  scratchBytes: 9,
  /** Then, for each thread, on a cache line of its own: its claims, and the newest instance that it has loaded. */
  threads: 16,
} as const;
export const WORDS_PER_THREAD = 16;
const LOADED = 1;

export const controlBytes = (threads: number): number => (WORD.threads + threads * WORDS_PER_THREAD) * 4;

const threadWord = (thread: number): number => WORD.threads + thread * WORDS_PER_THREAD;

/** Runs one job: where it is, and the scratch memory of the thread. */
export type RunJob = (job: number, scratch: number) => void;

/** Deals jobs [begin, end) out in contiguous ranges. Everything else of the dispatch must be written before. */
export const deal = (control: Int32Array, threads: number, begin: number, end: number): void => {
  const count = end - begin;
  Atomics.store(control, WORD.done, 0);
  // One word holds where a range ends (upper half) and what is claimed next, so that both change at once.
  for (let thread = 0; thread < threads; thread++)
    Atomics.store(
      control,
      threadWord(thread),
      ((begin + Math.floor((count * (thread + 1)) / threads)) << 16) | (begin + Math.floor((count * thread) / threads)),
    );
};

/** Claims and runs jobs, `own` range first, until none is left. `runnerOf` finds the compiled instance by its number. */
export const drain = (control: Int32Array, threads: number, own: number, runnerOf: (instance: number) => RunJob): void => {
  for (let k = 0; k < threads; k++) {
    const word = threadWord((own + k) % threads);
    for (;;) {
      // Looking first keeps a thread that comes late from counting up a range that is used up.
      const seen = Atomics.load(control, word);
      if ((seen & 0xffff) >= seen >>> 16) break;
      const claimed = Atomics.add(control, word, 1);
      const job = claimed & 0xffff;
      if (job >= claimed >>> 16) break;
      // A claim holds the dispatch open, so what is read after it belongs to it.
      const run = runnerOf(Atomics.load(control, WORD.instance));
      const scratch = (control[WORD.scratch]! >>> 0) + own * control[WORD.scratchBytes]!;
      run((control[WORD.jobs]! >>> 0) + job * control[WORD.jobBytes]!, scratch);
      Atomics.add(control, WORD.done, 1);
    }
  }
};

export const setLoaded = (control: Int32Array, thread: number, instance: number): void => {
  Atomics.store(control, threadWord(thread) + LOADED, instance);
};
export const isLoaded = (control: Int32Array, thread: number, instance: number): boolean =>
  Atomics.load(control, threadWord(thread) + LOADED) >= instance;
