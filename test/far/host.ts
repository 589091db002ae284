/** The far side: a CPU backend with its rows and steps, which does what messages say, in their order. */

import { parentPort, workerData } from "node:worker_threads";
import { IndexedSlices, InterpreterBackend, type NearRow, type NearStep, type RowRequest, WasmBackend } from "../../src/index.js";
import type { Answer, FarGradient, Kind, Message } from "./messages.js";

const port = parentPort!;
const backend = (workerData as Kind) === "wasm" ? new WasmBackend({ threads: 1 }) : new InterpreterBackend("asked for by name");

/** A row; or why there is none. */
interface Held {
  readonly row: NearRow | null;
  /** By array: why it does not hold what those believe who called. */
  readonly torn: Map<string, Error>;
}
const held = new Map<number, Held>();
/** Compiled, or why not. */
const steps = new Map<number, NearStep | Error>();
/** The step under way. */
let running: { step: NearStep | null; rows: readonly Held[]; error: Error | null } | null = null;
/** A fault that a test has ordered. */
let fault: { afterPasses: number; message: string } | null = null;

const answer = (given: Answer): void => port.postMessage(given);
const tell = (id: number, act: () => Omit<Answer, "id">): void => {
  try {
    answer({ id, ...act() });
  } catch (error) {
    const { name, message } = error as Error;
    answer({ id, error: { name, message } });
  }
};

const rowOf = ({ row, torn }: Held): NearRow => {
  if (row) return row;
  throw torn.get("w")!;
};
const assertIntact = ({ torn }: Held, arrays: Iterable<string> = torn.keys()): void => {
  for (const array of arrays) if (torn.has(array)) throw torn.get(array)!;
};

/** Where a step has broken off, nothing more of it is done. */
const attempt = (act: (step: NearStep) => void): void => {
  if (!running || running.error) return;
  try {
    act(running.step!);
  } catch (error) {
    running.error = error as Error;
  }
};

const asGradient = (gradient: FarGradient) =>
  gradient && "indices" in gradient ? new IndexedSlices(gradient.values, gradient.indices) : gradient;

const ACTS: { readonly [K in Message["kind"]]: (message: Extract<Message, { kind: K }>) => void } = {
  place({ rows, requests, programs, firstIndex, id }) {
    const asked = requests.map((request): RowRequest => {
      return { ...request, foreign: null, variable: { ...request.variable, isConstrained: false } };
    });
    try {
      const placed = backend.place(asked, programs, firstIndex, (progress) => answer({ id, progress }));
      for (const [i, row] of placed.entries()) held.set(rows[i]!, { row, torn: new Map() });
    } catch (error) {
      for (const row of rows) held.set(row, { row: null, torn: new Map([["w", error as Error]]) });
    }
  },

  compile({ step, programs, classes }) {
    try {
      steps.set(step, backend.compile(programs, classes));
    } catch (error) {
      steps.set(step, error as Error);
    }
  },

  begin({ step: number, rows, gradients, parameters }) {
    const chosen = rows.map((row) => held.get(row)!);
    running = { step: null, rows: chosen, error: null };
    attempt(() => {
      const step = steps.get(number)!;
      if (step instanceof Error) throw step;
      for (const one of chosen) assertIntact(one);
      const list = chosen.map(rowOf);
      list.forEach((row, i) => {
        row.gradient = asGradient(gradients[i]!);
      });
      step.begin(list, list.length, parameters);
      running!.step = step;
    });
  },

  pass({ pass }) {
    attempt((step) => {
      if (fault && fault.afterPasses-- === 0) {
        const { message } = fault;
        fault = null;
        throw new Error(message);
      }
      step.runPass(pass);
    });
  },

  join({ pass }) {
    attempt((step) => step.joinSums(pass));
  },

  /** Where the step broke off, no array that it may have written is what it should be. */
  end({ id }) {
    const { step, rows, error } = running!;
    running = null;
    step?.end();
    for (const { row, torn } of rows) {
      if (!row) continue;
      row.gradient = null;
      if (error) for (const array of ["w", ...row.request.state]) torn.set(array, error);
    }
    tell(id, () => {
      if (error) throw error;
      return {};
    });
  },

  read({ id, row, array, begin, length }) {
    tell(id, () => {
      const one = held.get(row)!;
      const view = rowOf(one).view(array);
      assertIntact(one, [array]);
      return { values: view.slice(begin, begin + length) };
    });
  },

  write({ id, row, array, begin, values }) {
    tell(id, () => {
      const one = held.get(row)!;
      const view = rowOf(one).view(array);
      view.set(values, begin);
      // Who restores an array writes it from its beginning to its end.
      if (begin + values.length === view.length) one.torn.delete(array);
      return {};
    });
  },

  free({ row }) {
    held.get(row)?.row?.free();
    held.delete(row);
  },

  forget({ step }) {
    steps.delete(step);
  },

  count({ id }) {
    answer({ id, held: { rows: held.size, steps: steps.size } });
  },

  break(given) {
    fault = { ...given };
  },

  die() {
    process.exit(1);
  },

  dispose() {
    backend.dispose();
    port.close(); // nothing is left that would keep the thread
  },
};
port.on("message", (message: Message) => ACTS[message.kind](message as never));
