/** How far a training is: a bar that rewrites one line of a terminal, or one plain line for each epoch. */

import type { Callback, EpochResult, History } from "./training.js";

/** What is written while training. */
export type ProgressKind = "bar" | "lines" | "none";

/** Where progress is written. */
export interface Terminal {
  /** May hold line ends and, where `isTTY`, control characters. */
  write(text: string): void;
  /** Whether a line can be written over. */
  readonly isTTY: boolean;
  /** Characters in a line. */
  readonly columns: number;
}

/** Standard error where there is one, so that standard output stays the program's own; else the console. */
export const ambientTerminal = (): Terminal => {
  const { process } = globalThis as { process?: { stderr?: Stream; env?: { TERM?: string } } };
  const stream = process?.stderr;
  if (!stream) return { write: (text) => console.log(text.trimEnd()), isTTY: false, columns: 80 };
  let broken = false;
  return {
    write(text) {
      if (broken) return;
      stream.write(text, (error) => {
        if (!error) return;
        broken = true;
        stream.once("error", () => {}); // an event comes next, which would end the process if nobody listened
      });
    },
    isTTY: stream.isTTY === true && process?.env?.TERM !== "dumb",
    columns: stream.columns ?? 80,
  };
};

/** What is used of one of Node's. */
interface Stream {
  write(text: string, done: (error?: Error | null) => void): void;
  once(event: "error", listener: () => void): void;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

interface Place {
  readonly name: string;
  readonly epoch: number;
  readonly batch: number;
}

export interface Progress extends Callback {
  /** A training goes on from a checkpoint: after whole epochs, and batches of the next one. */
  goesOn(from: Place, epochs: number): void;
  /** Leaves the line of the bar, also after an error. */
  close(): void;
}

/** Reports to `terminal`, the bar at most ten times a second. A terminal that cannot be written to ends the report, and not the training. */
export const progressReport = (kind: ProgressKind | "auto", terminal: Terminal, clock: () => number, data: unknown): Progress => {
  if (kind === "none") return { goesOn: () => {}, close: () => {} };
  const bar = kind === "bar" || (kind === "auto" && terminal.isTTY);
  let batches = Array.isArray(data) ? data.length : undefined;
  let begin = 0;
  let drawn = 0;
  let before = 0; // batches of the epoch that were trained before a restart
  let open = false;
  let broken = false;

  const write = (text: string) => {
    if (broken) return;
    try {
      terminal.write(text);
    } catch {
      broken = true;
    }
  };
  const draw = (line: string) => {
    write(`\r${line}\x1b[K`); // to the start of the line, the text, then erase what is left of the text before
    open = true;
  };
  const print = (line: string) => {
    write(`${open ? "\r\x1b[K" : ""}${line}\n`);
    open = false;
  };

  return {
    onEpochBegin: () => {
      begin = drawn = clock();
      before = 0;
    },
    goesOn(from, epochs) {
      before = from.batch;
      print(goesOnLine(from, epochs));
    },
    onBatchEnd(result, { epochs }) {
      const now = clock();
      if (!bar || now - drawn < 100) return;
      drawn = now;
      const { epoch, batch, meanLoss } = result;
      draw(barLine({ epoch, epochs, batch, batches, before, meanLoss, seconds: (now - begin) / 1000 }, terminal.columns));
    },
    onEpochEnd(result, { epochs }) {
      batches = result.batches; // unless the data has a length, the first epoch tells how long the others will be
      print(epochLine(result, epochs));
    },
    onTrainEnd({ epochs, history }) {
      if (history.stoppedBy) print(stopLine(history, epochs));
    },
    close: () => {
      if (open) write("\n");
      open = false;
    },
  };
};

/** A running epoch, as the bar shows it. */
export interface EpochSoFar {
  readonly epoch: number;
  readonly epochs: number;
  readonly batch: number;
  /** How many batches the epoch will have, if that is known. */
  readonly batches: number | undefined;
  /** How many were trained before a restart. Default 0. */
  readonly before?: number;
  readonly meanLoss: number;
  /** Since the epoch began, or went on. */
  readonly seconds: number;
}

/** One line, shorter than `columns`, so that the terminal does not wrap it. */
export const barLine = (soFar: EpochSoFar, columns: number): string => {
  const { epoch, epochs, batch, batches, before = 0, meanLoss, seconds } = soFar;
  const begin = `${epochOf(epoch, epochs)}  `;
  const loss = `loss ${short(meanLoss)}`;
  if (batches === undefined) return `${begin}${batch} batches  ${loss}  ${duration(seconds)}`.slice(0, columns - 1);

  const done = Math.min(1, batch / batches);
  const left = (seconds / (batch - before)) * Math.max(0, batches - batch);
  const end = `${`${batch}`.padStart(`${batches}`.length)}/${batches}  ${loss}  ${duration(left)} left`;
  const width = Math.min(30, columns - 3 - begin.length - end.length);
  const filled = Math.round(done * width);
  const bar = width < 5 ? "" : `${"█".repeat(filled)}${"░".repeat(width - filled)}  `;
  return (begin + bar + end).slice(0, columns - 1);
};

/** What a finished epoch leaves behind. */
export const epochLine = (result: EpochResult, epochs: number): string => {
  const { epoch, batches: _, learningRate, seconds, ...measured } = result;
  const numbers = Object.entries(measured).map(([name, value]) => `  ${name} ${short(value!)}`);
  return `${epochOf(epoch, epochs)}${numbers.join("")}  learning rate ${short(learningRate)}  ${duration(seconds)}`;
};

const goesOnLine = ({ name, epoch, batch }: Place, epochs: number) => {
  if (epoch >= epochs) return `${name}: all ${epochs} epochs are trained, nothing is left to do`;
  return `goes on from ${name}, ${batch > 0 ? `in epoch ${epoch + 1}, after ${batch} batches` : `after epoch ${epoch}`}`;
};

const stopLine = (history: History, epochs: number) => {
  const last = history.epochs.at(-1);
  const where = last ? `in epoch ${last.epoch} of ${epochs}, after ${last.batches} batches` : "before the first batch";
  return `stopped by ${history.stoppedBy === "signal" ? "the signal" : "a callback"} ${where}`;
};

const epochOf = (epoch: number, epochs: number) => `epoch ${`${epoch}`.padStart(`${epochs}`.length)}/${epochs}`;

/** Four digits are enough to see it fall. */
const short = (value: number) => `${Number(value.toPrecision(4))}`;

const duration = (seconds: number) => {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const [whole, unit] = seconds < 3600 ? [seconds, "min"] : [seconds / 60, "h"];
  return `${Math.floor(whole / 60)}:${`${Math.floor(whole % 60)}`.padStart(2, "0")} ${unit}`;
};
