/** A backend for tests whose memory is in another thread, and is reached by messages alone: calls enqueue, and answers come later. No memory is
 *  shared; what a message carries is a copy, made at the call. */

import { Worker } from "node:worker_threads";
import { checkGradient } from "../../src/backends/cpu/gradients.js";
import {
  type Backend,
  BackendError,
  type CompiledStep,
  type Described,
  type Gradient,
  IndexedSlices,
  type OnProgress,
  type Program,
  type Row,
  type RowClass,
  type RowRequest,
  ShapeError,
  type StepParameters,
  type Values,
} from "../../src/index.js";
import type { Answer, FarGradient, FarRequest, Held, Kind, Message } from "./messages.js";

interface Question {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

export class FarBackend implements Backend {
  readonly name: string;
  readonly why = "asked for by a test";
  readonly #worker: Worker;
  readonly #questions = new Map<number, Question>();
  readonly #told = new Map<number, OnProgress>();
  /** Of rows, steps and questions. */
  #numbers = 0;
  /** Why nothing can be said to the other side any more. */
  #closed: Error | null = null;
  /** A step that nobody has any more needs its code no longer. */
  readonly #forgotten = new FinalizationRegistry<number>((step) => {
    if (!this.#closed) this.post({ kind: "forget", step });
  });
  /** Settles when the other thread has ended. */
  readonly ended: Promise<unknown>;

  constructor(kind: Kind) {
    this.name = `far ${kind}`;
    this.#worker = new Worker(new URL("./host.mjs", import.meta.url), { workerData: kind });
    this.#worker.unref(); // but while a question is open
    this.#worker.on("message", (answer: Answer) => this.#hear(answer));
    this.#worker.on("error", (error) => this.#close(error.message));
    this.ended = new Promise((resolve) => this.#worker.on("exit", resolve));
    this.#worker.on("exit", (code) => this.#close(`its thread ended with ${code}`));
  }

  place(requests: readonly RowRequest[], programs: readonly Program[], firstIndex: number, onProgress?: OnProgress): Row[] {
    const told = requests.map(farRequest);
    const rows = requests.map((request, i) => new FarRow(this, this.number(), request, firstIndex + i));
    const id = this.number();
    if (onProgress) this.#told.set(id, onProgress);
    this.post({ kind: "place", rows: rows.map((row) => row.number), requests: told, programs, firstIndex, id });
    return rows;
  }

  checkGradient(gradient: Exclude<Gradient, null>, variable: Described): void {
    checkGradient(gradient, variable);
  }

  compile(programs: readonly Program[], classes: readonly RowClass[]): CompiledStep {
    const step = new FarStep(this, this.number(), Math.max(...programs.map(({ passes }) => passes.length)));
    this.post({ kind: "compile", step: step.number, programs, classes });
    this.#forgotten.register(step, step.number);
    return step;
  }

  /** The other side ends when it has done everything that it was told before. */
  dispose(): void {
    if (this.#closed) return;
    this.post({ kind: "dispose" });
    this.#closed = new BackendError("This backend was disposed", "a call after dispose()", "Make a new one.");
  }

  /** For tests: the other thread dies. */
  die(): void {
    this.post({ kind: "die" });
  }

  /** For tests: what is held over there. */
  async held(): Promise<Held> {
    return (await this.ask((id) => ({ kind: "count", id }))).held!;
  }

  /** For tests: the pass after so many others throws `message`. */
  breakAfter(passes: number, message: string): void {
    this.post({ kind: "break", afterPasses: passes, message });
  }

  number(): number {
    return ++this.#numbers;
  }

  post(message: Message, moved: readonly ArrayBufferLike[] = []): void {
    if (this.#closed) throw this.#closed;
    this.#worker.postMessage(message, moved as ArrayBuffer[]);
  }

  async ask(message: (id: number) => Message, moved: readonly ArrayBufferLike[] = []): Promise<Answer> {
    const id = this.number();
    this.post(message(id), moved);
    this.#worker.ref();
    return new Promise((resolve, reject) => this.#questions.set(id, { resolve, reject }));
  }

  #hear(answer: Answer): void {
    const { id, error, progress } = answer;
    if (progress) {
      this.#told.get(id)?.(progress);
      return;
    }
    const { resolve, reject } = this.#questions.get(id)!;
    this.#questions.delete(id);
    if (this.#questions.size === 0) this.#worker.unref();
    if (error) reject(errorLike(error));
    else resolve(answer);
  }

  #close(why: string): void {
    this.#closed ??= new BackendError(
      "The thread that held the memory is gone",
      why,
      "Make a new backend, and load a checkpoint.",
    );
    for (const { reject } of this.#questions.values()) reject(this.#closed);
    this.#questions.clear();
  }
}

/** @throws BackendError for what cannot be where this thread does not see it. */
const farRequest = ({ variable, foreign, ...request }: RowRequest): FarRequest => {
  const refuse = (wrong: string, remedy: string): never => {
    throw new BackendError(`A backend whose memory is far cannot ${wrong}`, `${variable}`, remedy);
  };
  if (variable.isConstrained)
    refuse("call a constraint, a function over the value", "Leave the constraint out, or use another backend.");
  if (foreign) refuse("train an array where it lies", "Pass a Variable without adopt: false.");
  const { name, shape, dtype, length } = variable;
  return { ...request, variable: { name, shape, dtype, length } };
};

const errorLike = ({ name, message }: { name: string; message: string }): Error =>
  name === "ShapeError" ? new ShapeError(message) : new BackendError(message);

class FarRow implements Row {
  gradient: Gradient = null;

  constructor(
    readonly backend: FarBackend,
    readonly number: number,
    readonly request: RowRequest,
    readonly index: number,
  ) {}

  async read(array: string, begin: number, into: Values): Promise<void> {
    const { length } = into;
    const { values } = await this.backend.ask((id) => ({ kind: "read", id, row: this.number, array, begin, length }));
    into.set(values!);
  }

  async write(array: string, begin: number, values: Values): Promise<void> {
    const copy = values.slice();
    await this.backend.ask((id) => ({ kind: "write", id, row: this.number, array, begin, values: copy }), [copy.buffer]);
  }

  free(): void {
    try {
      this.backend.post({ kind: "free", row: this.number });
    } catch {} // it went with its thread
  }
}

class FarStep implements CompiledStep {
  constructor(
    readonly backend: FarBackend,
    readonly number: number,
    readonly passes: number,
  ) {}

  begin(rows: readonly FarRow[], count: number, parameters: StepParameters): void {
    const taking = rows.slice(0, count);
    const gradients = taking.map(({ gradient }) => copyOf(gradient));
    const moved = gradients.flatMap((gradient) => {
      if (gradient === null) return [];
      return "indices" in gradient ? [gradient.values.buffer, gradient.indices.buffer] : [gradient.buffer];
    });
    const numbers = taking.map((row) => row.number);
    this.backend.post({ kind: "begin", step: this.number, rows: numbers, gradients, parameters }, moved);
  }

  runPass(pass: number): void {
    this.backend.post({ kind: "pass", pass });
  }

  joinSums(pass: number): void {
    this.backend.post({ kind: "join", pass });
  }

  async end(): Promise<void> {
    await this.backend.ask((id) => ({ kind: "end", id }));
  }
}

/** Gradients are free for reuse when the call returns. */
const copyOf = (gradient: Gradient): FarGradient => {
  if (gradient === null) return null;
  if (gradient instanceof IndexedSlices) return { values: gradient.values.slice(), indices: Int32Array.from(gradient.indices) };
  return (gradient as Values).slice();
};
