/** HDF5 files as plain data. The library that reads and writes them is native code, so it runs in a worker that can be stopped, in a file
 *  system in memory. */

import { CheckpointError } from "../../errors.js";
import { withChecksum, withoutChecksum } from "./hdf5-checksum.js";
import type { Hdf5 } from "./hdf5-contents.js";

export type { Hdf5, Hdf5Attribute, Hdf5Dataset, Hdf5Object } from "./hdf5-contents.js";

/** How long a file may take, and where the worker that reads HDF5 is. */
export interface Hdf5Options {
  /** Milliseconds that one file may take once the library is loaded. In Node, those of a processor: where others keep all processors busy, it may
   *  take up to twenty times as long. Default: 1000, and 1000 more for each 20 MB. */
  timeLimit?: number;
  /** The script of the worker. Default: the one of this package. */
  workerUrl?: URL | string;
}

export type Hdf5Request =
  | { readonly kind: "read"; readonly bytes: Uint8Array }
  | { readonly kind: "write"; readonly contents: Hdf5 };

export type Hdf5Answer =
  | { readonly kind: "ready" | "failed"; readonly text: string }
  | { readonly kind: "read"; readonly contents: Hdf5 }
  | { readonly kind: "written"; readonly bytes: Uint8Array };

const LOADING_MILLISECONDS = 60_000;
const BYTES_PER_MILLISECOND = 20_000;

const SIGNATURE = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a];
export const isHdf5 = (bytes: Uint8Array): boolean => SIGNATURE.every((byte, i) => bytes[i] === byte);

/** The options of a test that reads one file after the other. */
export interface Hdf5Access extends Hdf5Options {
  /** One that goes on with the next file. Default: each file gets a worker of its own, which ends with it. */
  readonly worker?: Hdf5Worker;
}

/** @throws CheckpointError for bytes that are no HDF5 file, are damaged, or take too long. */
export const readHdf5 = async (bytes: Uint8Array, what: string, options: Hdf5Access = {}): Promise<Hdf5> => {
  if (!isHdf5(bytes))
    throw new CheckpointError(`${what} is no HDF5 file`, `${bytes.length} bytes without its signature`, "Pass the whole file.");
  const answer = await ask({ kind: "read", bytes }, bytes.length, what, options);
  if (answer.kind === "read") return withoutChecksum(answer.contents, what);
  throw new CheckpointError(
    `${what} cannot be read as HDF5`,
    "text" in answer ? answer.text : answer.kind,
    "The file is damaged, or not of this format.",
  );
};

/** @throws CheckpointError for what cannot be written. */
export const writeHdf5 = async (contents: Hdf5, what: string, options: Hdf5Access = {}): Promise<Uint8Array> => {
  const size = [...contents.values()].reduce(
    (sum, { dataset }) => sum + ((dataset?.value as Uint8Array | null)?.byteLength ?? 0),
    0,
  );
  const answer = await ask({ kind: "write", contents: withChecksum(contents) }, size, what, options);
  if (answer.kind === "written") return answer.bytes;
  throw new CheckpointError(
    `${what} cannot be written as HDF5`,
    "text" in answer ? answer.text : answer.kind,
    "Keep it in a file of another format.",
  );
};

const ask = async (request: Hdf5Request, size: number, what: string, options: Hdf5Access): Promise<Hdf5Answer> => {
  const worker = options.worker ?? new Hdf5Worker(options.workerUrl);
  try {
    return await worker.ask(request, options.timeLimit ?? 1000 + size / BYTES_PER_MILLISECOND, what);
  } finally {
    if (!options.worker) worker.end();
  }
};

/** A worker that reads and writes files, one at a time. One that fell silent or broke down has ended. */
export class Hdf5Worker {
  readonly #worker: StoppableWorker;
  /** Settles once the library is loaded. */
  readonly #ready: Promise<Hdf5Answer>;
  #settle!: { readonly resolve: (answer: Hdf5Answer) => void; readonly reject: (reason: Error) => void };
  #ended = false;

  /** `workerUrl` is the script; default: the one of this package. */
  constructor(workerUrl?: URL | string) {
    this.#ready = this.#next();
    this.#ready.catch(() => {}); // `ask` tells of it
    this.#worker = startWorker(
      workerUrl,
      (answer) => this.#settle.resolve(answer),
      (reason) => this.#settle.reject(new Error(reason)),
    );
  }

  get ended(): boolean {
    return this.#ended;
  }

  #next(): Promise<Hdf5Answer> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }

  /** `milliseconds` from when the library is loaded.
   *  @throws CheckpointError when there is no answer in time, or the worker breaks down. */
  async ask(request: Hdf5Request, milliseconds: number, what: string): Promise<Hdf5Answer> {
    try {
      await within(LOADING_MILLISECONDS, this.#ready);
      const answer = this.#next();
      this.#worker.post(request);
      return await within(milliseconds, answer);
    } catch (error) {
      this.end();
      const { message } = error as Error;
      if (error instanceof TooSlow)
        throw new CheckpointError(`${what} takes too long`, message, "The file is damaged, or give a larger timeLimit.");
      throw /h5wasm/.test(message)
        ? new CheckpointError("HDF5 files need the package h5wasm", message, "Install it: npm install h5wasm")
        : new CheckpointError(
            `The worker for ${what} ended`,
            message,
            "The file is damaged, or the worker's script was not found: see workerUrl.",
          );
    }
  }

  end(): void {
    this.#ended = true;
    this.#worker.terminate();
  }
}

class TooSlow extends Error {}

/** Of `milliseconds` passed only those count that this process had a processor, where that is known; but no more than so many times as many pass. */
const PATIENCE = 20;
const within = <Value>(milliseconds: number, promise: Promise<Value>): Promise<Value> =>
  new Promise((resolve, reject) => {
    const [begin, used] = [performance.now(), processorTime()];
    const look = () => {
      const passed = performance.now() - begin;
      if (passed < milliseconds) return;
      if (processorTime() - used < milliseconds && passed < PATIENCE * milliseconds) return;
      reject(new TooSlow(`nothing after ${Math.round(passed)} ms`));
    };
    const timer = setInterval(look, Math.min(milliseconds, 100));
    promise.finally(() => clearInterval(timer)).then(resolve, reject);
  });

/** Milliseconds that all threads of this process have had; where the engine does not tell, those of the clock. */
const processorTime = (): number => {
  const usage = (globalThis as { process?: typeof import("node:process") }).process?.cpuUsage?.();
  return usage ? (usage.user + usage.system) / 1000 : performance.now();
};

interface StoppableWorker {
  post(request: Hdf5Request): void;
  terminate(): void;
}

const startWorker = (
  workerUrl: URL | string | undefined,
  receive: (answer: Hdf5Answer) => void,
  lost: (reason: string) => void,
): StoppableWorker => {
  const node = (globalThis as { process?: typeof import("node:process") }).process?.getBuiltinModule?.("node:worker_threads");
  if (node) {
    const worker = new node.Worker(workerUrl ?? new URL("./hdf5-worker.js", import.meta.url), {
      execArgv: [],
      stdout: true,
      stderr: true,
    });
    worker.on("message", receive);
    worker.on("error", (error) => lost(String(error)));
    return { post: (request) => worker.postMessage(request), terminate: () => void worker.terminate() };
  }
  const worker = workerUrl
    ? new Worker(workerUrl, { type: "module" })
    : new Worker(new URL("./hdf5-worker.js", import.meta.url), { type: "module" });
  worker.onmessage = ({ data }: MessageEvent<Hdf5Answer>) => receive(data);
  worker.onerror = (event) => lost(event.message || "its script could not be loaded");
  return { post: (request) => worker.postMessage(request), terminate: () => worker.terminate() };
};
