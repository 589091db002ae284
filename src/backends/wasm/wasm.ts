/** The WebAssembly backend: compiled passes over memory of its own, on one thread or several. */

import { BackendError } from "../../errors.js";
import { type Checked, checkKinds, integerFrom, optional, threadCount } from "../../kinds.js";
import type { Program } from "../../rule/program.js";
import type { Engine, Memory, Segment, SegmentRunner } from "../cpu/memory.js";
import { CpuBackend } from "../cpu/step.js";
import { compileModule } from "./compiler.js";
import { encodeModule } from "./encoding.js";
import * as OP from "./opcodes.js";
import { MAX_AUTO_THREADS, MAX_PAGES, PAGE, WORTH_THREADS_BYTES } from "./sizes.js";
import type { ThreadPool } from "./threads.js";

export interface WasmOptions {
  /** Threads for a step, the calling one included: an integer of 1 or more, or "auto" (default), one per core for models from about 3e5
   *  parameters. Where threads cannot be had, one; `why` says the reason. The bits do not depend on it. */
  threads?: number | "auto";
  /** Processes like this one, this one included, among which "auto" divides the cores of the machine. An integer of 1 or more, default 1. */
  processes?: number;
  /** Where the worker's script is, for bundlers and servers that move it. Default: worker.js beside this module. */
  workerUrl?: URL | string;
}

/** WebAssembly SIMD. See `refusal` for where it cannot run. */
export class WasmBackend extends CpuBackend {
  readonly #wasm: WasmEngine;

  /** @throws OptionError when `threads` is out of range. */
  constructor(options: WasmOptions = {}) {
    const engine = new WasmEngine(options);
    super(engine);
    this.#wasm = engine;
  }

  /** Passes that were shared with worker threads so far. 0 until they have started, and as long as steps are too small to share. */
  get sharedPasses(): number {
    return this.#wasm.sharedPasses;
  }

  /** Why this machine cannot run the WebAssembly backend, or null when it can. */
  static refusal(): string | null {
    if (typeof WebAssembly !== "object") return "there is no WebAssembly here";
    const probe = encodeModule([[OP.i32]], [{ type: 0, locals: [[1, OP.v128]], code: [] }], null);
    try {
      if (!WebAssembly.validate(probe)) return "WebAssembly has no SIMD here";
      new WebAssembly.Module(probe); // a content security policy may forbid this
    } catch (error) {
      return `WebAssembly compilation is refused here (${error})`;
    }
    return null;
  }
}

/** By name: in Jest, a memory's buffer and ArrayBuffer are of two worlds. */
export const isSharedBuffer = (buffer: ArrayBufferLike): boolean => buffer[Symbol.toStringTag] === "SharedArrayBuffer";

/** What a compiled module exports. */
export type RunJobs = (jobs: number, count: number, jobBytes: number, scratch: number) => void;

/** Runs a segment's jobs on the calling thread: all in one call, or one by one where arrays have to be brought to them. */
export const runAlone =
  (segment: Segment, run: RunJobs): SegmentRunner =>
  (stager) => {
    const { jobs, pending, jobBytes, scratch } = segment;
    if (!stager) return run(jobs, pending, jobBytes, scratch);
    for (let job = 0; job < pending; job++) {
      stager.prepare(job, 0);
      run(jobs + job * jobBytes, 1, jobBytes, scratch);
      stager.complete(job, 0);
    }
  };

class WasmEngine implements Engine {
  readonly name = "wasm";
  readonly maxBytes = MAX_PAGES * PAGE;
  readonly #options: Checked<WasmOptions>;
  readonly #refusal = threadRefusal();
  /** Threads that were asked for or found worth it. The workers come later, and until then the caller works alone. */
  #planned = 1;
  #pool: ThreadPool | undefined;
  #starting: Promise<void> | undefined;
  #lost = "";
  sharedPasses = 0;

  constructor(options: WasmOptions) {
    this.#options = checkKinds("WasmBackend", options, {
      threads: threadCount,
      processes: optional(integerFrom(1), 1),
      workerUrl: { wanted: "a URL", holds: (value) => value instanceof URL || typeof value === "string", byDefault: "" },
    });
  }

  /** Less those that were lost. */
  get threads(): number {
    return this.#pool?.alive ?? (this.#lost ? 1 : this.#planned);
  }

  get why(): string {
    const { threads: asked } = this.#options;
    const { threads } = this;
    let words = `WebAssembly SIMD, the fastest in main memory; ${threads > 1 ? `${threads} threads` : "one thread"}`;
    if (this.#refusal && asked !== 1) words += `: ${this.#refusal}`;
    else if (this.#lost) words += ` of ${this.#planned}: ${this.#lost}`;
    else if (threads === 1 && asked === "auto") words += ": no model was large enough for more";
    return words;
  }

  threadsFor(elements: number): number {
    return this.#pool?.attends(elements) ? this.threads : 1;
  }

  allocate(bytes: number): Memory {
    if (this.#planned === 1) this.#startThreads(bytes);
    const pages = Math.ceil(bytes / PAGE);
    try {
      return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: this.#planned > 1 });
    } catch {
      throw new BackendError("There is not enough memory", `a request for ${pages * PAGE} bytes`, "Train fewer variables.");
    }
  }

  /** Starts workers, if they are asked for and worth it for a memory of this size. Their code is loaded when it is needed. */
  #startThreads(bytes: number): void {
    const { threads, workerUrl, processes } = this.#options;
    const cores = Math.max(1, Math.floor(coreCount() / processes));
    const auto = bytes < WORTH_THREADS_BYTES ? 1 : Math.min(cores, MAX_AUTO_THREADS);
    this.#planned = this.#refusal ? 1 : threads === "auto" ? auto : threads;
    if (this.#planned === 1) return;
    const lost = (words: string) => {
      this.#lost = words;
    };
    const starting = import("./threads.js").then(
      ({ ThreadPool }) => {
        if (this.#starting === starting) this.#pool = new ThreadPool(this.#planned, workerUrl || undefined, lost, BackendError);
      },
      (error) => {
        lost(`workers could not be loaded (${error})`);
        console.warn(`adamax: ${this.#lost}; training goes on with one thread.`);
      },
    );
    this.#starting = starting;
  }

  compile(programs: readonly Program[]): (segment: Segment) => SegmentRunner {
    const modules: WebAssembly.Module[] = []; // for memories of their own, and for shared ones
    return (segment) => {
      const memory = segment.memory as WebAssembly.Memory;
      const isShared = isSharedBuffer(memory.buffer);
      const kind = isShared ? 1 : 0;
      modules[kind] ??= new WebAssembly.Module(compileModule(programs, isShared ? MAX_PAGES : null));
      const module = modules[kind];
      const exports = new WebAssembly.Instance(module, { memory: { memory } }).exports;
      const run = exports.run as RunJobs;
      const alone = runAlone(segment, run);
      if (!isShared) return alone;
      let share: ReturnType<ThreadPool["sharer"]> | undefined;
      return (stager) => {
        share ??= this.#pool?.sharer(module, memory, (job, scratch) => run(job, 1, 0, scratch), segment);
        if (share?.(stager)) this.sharedPasses++;
        else alone(stager);
      };
    };
  }

  release({ memory }: Segment): void {
    this.#pool?.release(memory as WebAssembly.Memory);
  }

  dispose(): void {
    this.#pool?.dispose();
    this.#pool = this.#starting = undefined;
    this.#planned = 1;
    this.#lost = "";
  }
}

/** Why there can be no second thread here, or null. */
const threadRefusal = (): string | null => {
  const { crossOriginIsolated, process } = globalThis as {
    crossOriginIsolated?: boolean;
    process?: Partial<typeof import("node:process")>;
  };
  if (process?.getBuiltinModule) return null;
  if (crossOriginIsolated === false)
    return "the page is not cross-origin isolated (headers COOP: same-origin, COEP: require-corp)";
  if (typeof SharedArrayBuffer === "undefined") return "there is no SharedArrayBuffer here";
  return typeof Worker === "undefined" ? "there are no workers here; Node has them from 20.16 on" : null;
};

const coreCount = (): number => {
  const { navigator, process } = globalThis as {
    navigator?: { hardwareConcurrency?: number };
    process?: typeof import("node:process");
  };
  return navigator?.hardwareConcurrency ?? process?.getBuiltinModule?.("node:os")?.availableParallelism() ?? 1;
};
