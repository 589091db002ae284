/** A program that answers each line on its input with a line on its output: how sides in other processes are told to step. */

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

export interface Program {
  /** @throws when the program has ended. */
  ask(line: string): Promise<string>;
  /** The next line, unasked. */
  next(): Promise<string>;
  end(): void;
}

export const startProgram = (path: string, ...options: readonly (string | number)[]): Program => {
  const child = spawn(path, options.map(String), { stdio: ["pipe", "pipe", "ignore"] });
  child.on("error", () => {}); // shows as an end of its lines
  child.stdin.on("error", () => {});
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const { done, value } = await lines.next();
    if (done) throw new Error(`The program ended early: ${[path, ...options].join(" ")}`);
    return value;
  };
  return {
    next,
    ask: (line) => {
      child.stdin.write(`${line}\n`);
      return next();
    },
    end: () => child.stdin.end(),
  };
};

/** From "<wall nanoseconds> <processor nanoseconds>". */
export const timingFrom = (line: string): { wall: number; processor: number } => {
  const [wall, processor] = line.split(" ").map(Number);
  return { wall: wall!, processor: processor! };
};
