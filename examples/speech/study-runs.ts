import { fork } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** One optimizer at one learning rate on one stream. */
export interface RunTask {
  readonly id: string;
  readonly learningRate: number;
  /** Of the stream and of the first weights. */
  readonly seed: number;
  readonly steps: number;
}

export interface RunResult extends RunTask {
  /** Mean SI-SDR gained on validation and test clips with the weights (or averages) of the end, in dB. null: it diverged. */
  readonly validation: number | null;
  readonly test: number | null;
  /** Mean loss on the way. */
  readonly loss: number | null;
  /** Median time of the optimizer's own part of a step, in ms. */
  readonly stepTime: number;
}

const folder = fileURLToPath(new URL("out/study", import.meta.url));
const worker = fileURLToPath(new URL("study-worker.ts", import.meta.url));

const fileOf = ({ id, learningRate, seed, steps }: RunTask): string =>
  join(folder, `${id} ${learningRate} ${seed} ${steps}.json`);

const finished = (task: RunTask): RunResult => JSON.parse(readFileSync(fileOf(task), "utf8")) as RunResult;

/** All results, in the order of the tasks. Each is written to a file when it is there, and not measured again. */
export async function carryOutAll(
  tasks: readonly RunTask[],
  processes: number,
  onResult: (done: number, result: RunResult) => void,
): Promise<RunResult[]> {
  mkdirSync(folder, { recursive: true });
  const waiting = tasks.filter((task) => !existsSync(fileOf(task)));
  let done = tasks.length - waiting.length;
  const keep = (result: RunResult): void => {
    writeFileSync(fileOf(result), JSON.stringify(result));
    done++;
    onResult(done, result);
  };
  await Promise.all(Array.from({ length: Math.min(processes, waiting.length) }, () => work(waiting, keep)));
  return tasks.map(finished);
}

/** A process that takes from `waiting` until nothing is left. */
function work(waiting: RunTask[], keep: (result: RunResult) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = fork(worker);
    child.on("error", reject);
    child.on("exit", (code) =>
      code === 0 || waiting.length === 0 ? resolve() : reject(new Error(`A run ended with code ${code}.`)),
    );
    child.on("message", (message: RunResult | "ready") => {
      if (message !== "ready") keep(message);
      const next = waiting.shift();
      if (next) child.send(next);
      else child.disconnect();
    });
  });
}
