/** HDF5 files as plain data. The library that reads and writes them is native code, so it runs in a worker that can be stopped, in a file
 *  system in memory. */

import { CheckpointError } from "../errors.js";
import type { Numbers } from "./keras-arrays.js";

/** A value of an attribute: texts or numbers, one or many. */
export interface Hdf5Attribute {
  readonly shape: readonly number[];
  readonly value: readonly string[] | Numbers;
}

export interface Hdf5Dataset {
  readonly shape: readonly number[];
  /** "float32", "float16", "bfloat16", ..., "string", or in words what we do not read. */
  readonly dtype: string;
  /** null: of a type that we do not read. */
  readonly value: readonly string[] | Numbers | null;
}

/** A group, or with `dataset` a dataset. */
export interface Hdf5Object {
  readonly attributes: ReadonlyMap<string, Hdf5Attribute>;
  readonly dataset?: Hdf5Dataset;
}

/** Every object by its path, parents first; the file itself is "". */
export type Hdf5 = ReadonlyMap<string, Hdf5Object>;

export interface Hdf5Options {
  /** Milliseconds that one file may take once the library is loaded. Default: 1000, and 1000 more for each 20 MB. */
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

/** @throws CheckpointError for bytes that are no HDF5 file, are damaged, or take too long. */
export const readHdf5 = async (bytes: Uint8Array, what: string, options: Hdf5Options = {}): Promise<Hdf5> => {
  if (!isHdf5(bytes))
    throw new CheckpointError(`${what} is no HDF5 file`, `${bytes.length} bytes without its signature`, "Pass the whole file.");
  const answer = await ask({ kind: "read", bytes }, bytes.length, what, options);
  if (answer.kind === "read") return answer.contents;
  throw new CheckpointError(
    `${what} cannot be read as HDF5`,
    "text" in answer ? answer.text : answer.kind,
    "The file is damaged, or not of this format.",
  );
};

/** @throws CheckpointError for what cannot be written. */
export const writeHdf5 = async (contents: Hdf5, what: string, options: Hdf5Options = {}): Promise<Uint8Array> => {
  const size = [...contents.values()].reduce(
    (sum, { dataset }) => sum + ((dataset?.value as Uint8Array | null)?.byteLength ?? 0),
    0,
  );
  const answer = await ask({ kind: "write", contents }, size, what, options);
  if (answer.kind === "written") return answer.bytes;
  throw new CheckpointError(
    `${what} cannot be written as HDF5`,
    "text" in answer ? answer.text : answer.kind,
    "Keep it in a file of another format.",
  );
};

/** One worker for one request; it ends with it. */
const ask = (request: Hdf5Request, size: number, what: string, { timeLimit, workerUrl }: Hdf5Options): Promise<Hdf5Answer> =>
  new Promise((resolve, reject) => {
    const milliseconds = timeLimit ?? 1000 + size / BYTES_PER_MILLISECOND;
    let timer: ReturnType<typeof setTimeout>;
    const end = (settle: () => void) => {
      clearTimeout(timer);
      worker.terminate();
      settle();
    };
    const fail = (wrong: string, received: string, remedy: string) =>
      end(() => reject(new CheckpointError(wrong, received, remedy)));
    const tooSlow = (limit: number) =>
      fail(`${what} takes too long`, `nothing after ${Math.round(limit)} ms`, "The file is damaged, or give a larger timeLimit.");
    const receive = (answer: Hdf5Answer) => {
      if (answer.kind !== "ready") return end(() => resolve(answer));
      clearTimeout(timer);
      timer = setTimeout(tooSlow, milliseconds, milliseconds);
      worker.post(request);
    };
    const worker = startWorker(workerUrl, receive, (reason) =>
      /h5wasm/.test(reason)
        ? fail("HDF5 files need the package h5wasm", reason, "Install it: npm install h5wasm")
        : fail(
            `The worker for ${what} ended`,
            reason,
            "The file is damaged, or the worker's script was not found: see workerUrl.",
          ),
    );
    timer = setTimeout(tooSlow, LOADING_MILLISECONDS, LOADING_MILLISECONDS);
  });

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
