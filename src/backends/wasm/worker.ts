/** A worker of the WebAssembly backend: claims jobs of each dispatch, spins a little for the next one, then sleeps.
 *  Runs as a worker thread of Node and as a Web Worker. */

import { countAsDropped, drain, type RunJob, setLoaded, WORD } from "./claims.js";

/** What the caller posts: first who this worker is, then each compiled instance, in the order of their numbers, and which are no longer needed. */
export type Message =
  | { readonly kind: "begin"; readonly control: Int32Array; readonly thread: number; readonly threads: number }
  | {
      readonly kind: "instance";
      readonly instance: number;
      readonly module: WebAssembly.Module;
      readonly memory: WebAssembly.Memory;
    }
  | { readonly kind: "release"; readonly instances: readonly number[]; readonly bytes: number };

/** Waking a sleeping worker takes about 160 µs, a spinning one 0.4 µs: so long may a pause between steps be for free. */
const SPIN_MILLISECONDS = 0.2;

const runners = new Map<number, RunJob>();
let control: Int32Array;
let thread = 0;
let threads = 1;
let handled = 0;
let scheduled = false;

const runnerOf = (instance: number): RunJob => runners.get(instance)!;

const receive = (message: Message): void => {
  handled++;
  if (message.kind === "begin") ({ control, thread, threads } = message);
  else if (message.kind === "release") {
    for (const instance of message.instances) runners.delete(instance);
    countAsDropped(message.bytes);
  } else {
    const { run } = new WebAssembly.Instance(message.module, { memory: { memory: message.memory } }).exports;
    const runAll = run as (jobs: number, count: number, jobBytes: number, scratch: number) => void;
    runners.set(message.instance, (job, scratch) => runAll(job, 1, 0, scratch));
    setLoaded(control, thread, message.instance);
  }
  // The loop below blocks the event loop; more messages may be waiting, so it begins after them.
  if (!scheduled) setTimeout(work, 0);
  scheduled = true;
};

const work = (): void => {
  scheduled = false;
  let generation = -1;
  while (Atomics.load(control, WORD.messages) === handled) {
    const now = Atomics.load(control, WORD.generation);
    if (now === generation) {
      rest(generation);
      continue;
    }
    generation = now;
    try {
      drain(control, threads, thread, runnerOf);
    } catch (error) {
      Atomics.store(control, WORD.failed, 1);
      throw error;
    }
  }
};

/** Returns when there is a new generation. */
const rest = (generation: number): void => {
  const end = performance.now() + SPIN_MILLISECONDS;
  while (performance.now() < end) for (let i = 0; i < 50; i++) if (Atomics.load(control, WORD.generation) !== generation) return;
  Atomics.add(control, WORD.sleepers, 1);
  Atomics.wait(control, WORD.generation, generation);
  Atomics.sub(control, WORD.sleepers, 1);
};

interface Port {
  on(event: "message", listener: (message: Message) => void): void;
}
const port = (globalThis as { process?: typeof import("node:process") }).process?.getBuiltinModule?.("node:worker_threads")
  ?.parentPort as Port | null | undefined;
if (port) port.on("message", receive);
else globalThis.onmessage = ({ data }: MessageEvent<Message>) => receive(data);
