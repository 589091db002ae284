/** What a user of the command sees: lines, colours and progress. Colours and progress on a terminal only. */

import type { OnProgress } from "../backend.js";
import { printable } from "../errors.js";

/** Where lines go. `colour` is put around what has been made printable. */
export type Print = (line: string, colour?: (text: string) => string) => void;

/** Names and settings come from files, which anybody may have written: no line gives a terminal orders. */
export const printOn =
  (stream: NodeJS.WriteStream): Print =>
  (line, colour = (text) => text) =>
    void stream.write(`${colour(printable(line))}\n`);

/** Writes text in a colour, where the stream shows colours (a terminal, unless NO_COLOR or TERM=dumb says otherwise). */
export interface Colours {
  bold(text: string): string;
  red(text: string): string;
}

export const coloursOf = (stream: NodeJS.WriteStream): Colours => {
  const shown = stream.isTTY && stream.hasColors();
  const colour = (on: number, off: number) => (text: string) => (shown ? `\x1b[${on}m${text}\x1b[${off}m` : text);
  return { bold: colour(1, 22), red: colour(31, 39) };
};

/** What takes a while, on one line that is overwritten and in the end wiped out. */
export interface Progress {
  say(what: string): void;
  /** For onProgress: a percentage after `what`. */
  of(what: string): OnProgress;
  end(): void;
}

const LEAST_PAUSE = 100; // ms between two percentages

export const progressOn = (stream: NodeJS.WriteStream): Progress => {
  const isShown = stream.isTTY && process.env.TERM !== "dumb";
  let line = "";
  let next = 0;
  const show = (text: string) => {
    if (isShown && text !== line) stream.write(`\r\x1b[K${printable(text)}`);
    line = text;
  };
  return {
    say: show,
    of:
      (what) =>
      ({ bytes, total }) => {
        const now = performance.now();
        if (now < next && bytes < total) return;
        next = now + LEAST_PAUSE;
        show(`${what}: ${total === 0 ? 100 : Math.floor((100 * bytes) / total)} %`);
      },
    end: () => show(""),
  };
};
